#include "learner/parallel/coordinator_store.h"

#include <c10/util/Exception.h>
#include <unistd.h>

#include <atomic>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/net/channel.h"
#include "learner/coordinator_call.h"

namespace reckon {
namespace {

constexpr uint32_t kWaitMs = 1000;  // how long one GET or WAIT stays with the coordinator

std::string Bytes(const std::vector<uint8_t>& value) { return {value.begin(), value.end()}; }

std::string UniqueId() {
  static std::atomic<uint64_t> next = 0;
  static const std::string prefix =
      absl::StrCat(absl::ToUnixNanos(absl::Now()), ".", ::getpid(), ".");
  return absl::StrCat(prefix, next++);
}

StoreRequest Request(StoreRequest::Op op, const std::string& key) {
  StoreRequest request;
  request.set_op(op);
  request.add_keys(key);
  return request;
}

}  // namespace

CoordinatorStore::CoordinatorStore(std::shared_ptr<Coordinator::StubInterface> stub, uint64_t epoch,
                                   const StopToken* stop)
    : stub_(std::move(stub)), epoch_(epoch), stop_(stop) {}

c10::intrusive_ptr<c10d::Store> CoordinatorStore::clone() {
  return c10::make_intrusive<CoordinatorStore>(stub_, epoch_, stop_);
}

StoreReply CoordinatorStore::Call(StoreRequest request) {
  request.set_epoch(epoch_);
  request.set_id(UniqueId());
  StoreReply reply;
  absl::Status status = CallWithRetry(
      stop_, absl::FromChrono(timeout_),
      [&](grpc::ClientContext* context) { return stub_->Store(context, request, &reply); });
  if (!status.ok()) {
    C10_THROW_ERROR(DistStoreError, absl::StrCat("rendezvous: ", status.message()));
  }
  return reply;
}

StoreReply CoordinatorStore::Await(StoreRequest request, std::chrono::milliseconds timeout) {
  absl::Time deadline = absl::Now() + absl::FromChrono(timeout);
  request.set_wait_ms(kWaitMs);
  while (true) {
    StoreReply reply = Call(request);
    if (reply.found()) return reply;
    if (absl::Now() > deadline) {
      C10_THROW_ERROR(DistStoreError,
                      absl::StrCat("rendezvous: no key ", request.keys(0), " after ",
                                   timeout.count(), " ms: is a rank missing?"));
    }
  }
}

void CoordinatorStore::set(const std::string& key, const std::vector<uint8_t>& value) {
  StoreRequest request = Request(StoreRequest::SET, key);
  request.set_value(Bytes(value));
  Call(std::move(request));
}

std::vector<uint8_t> CoordinatorStore::compareSet(const std::string& key,
                                                  const std::vector<uint8_t>& expected,
                                                  const std::vector<uint8_t>& desired) {
  StoreRequest request = Request(StoreRequest::COMPARE_SET, key);
  request.set_expected(Bytes(expected));
  request.set_value(Bytes(desired));
  StoreReply reply = Call(std::move(request));
  return {reply.value().begin(), reply.value().end()};
}

std::vector<uint8_t> CoordinatorStore::get(const std::string& key) {
  StoreReply reply = Await(Request(StoreRequest::GET, key), timeout_);
  return {reply.value().begin(), reply.value().end()};
}

int64_t CoordinatorStore::add(const std::string& key, int64_t value) {
  StoreRequest request = Request(StoreRequest::ADD, key);
  request.set_amount(value);
  return Call(std::move(request)).sum();
}

bool CoordinatorStore::deleteKey(const std::string& key) {
  return Call(Request(StoreRequest::DELETE, key)).sum() > 0;
}

bool CoordinatorStore::check(const std::vector<std::string>& keys) {
  StoreRequest request;
  request.set_op(StoreRequest::CHECK);
  request.mutable_keys()->Add(keys.begin(), keys.end());
  return Call(std::move(request)).found();
}

int64_t CoordinatorStore::getNumKeys() {
  C10_THROW_ERROR(NotImplementedError, "the coordinator's store does not count its keys");
}

void CoordinatorStore::wait(const std::vector<std::string>& keys) { wait(keys, timeout_); }

void CoordinatorStore::wait(const std::vector<std::string>& keys,
                            const std::chrono::milliseconds& timeout) {
  if (keys.empty()) return;
  StoreRequest request;
  request.set_op(StoreRequest::WAIT);
  request.mutable_keys()->Add(keys.begin(), keys.end());
  Await(std::move(request), timeout);
}

}  // namespace reckon
