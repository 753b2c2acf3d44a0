#include "common/model/broadcast/rendezvous_store.h"

#include <c10/util/Exception.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/net/channel.h"
#include "common/net/retry.h"

namespace reckon {
namespace {

constexpr uint32_t kWaitMs = 1000;  // how long one GET or WAIT is held

std::string Bytes(const std::vector<uint8_t>& value) { return {value.begin(), value.end()}; }

// Names one logical call, and its retries are the same one to the coordinator: an ADD that was
// repeated because its reply was lost must count once. Time and process id tell apart the ranks of
// one machine and the lives of one rank.
std::string UniqueId() {
  static std::atomic<uint64_t> next = 0;
  static const std::string prefix =
      absl::StrCat(absl::ToUnixNanos(absl::Now()), ".", ::getpid(), ".");
  return absl::StrCat(prefix, next++);
}

RendezvousRequest Request(RendezvousRequest::Op op, const std::string& key) {
  RendezvousRequest request;
  request.set_op(op);
  request.add_keys(key);
  return request;
}

}  // namespace

RendezvousCall RendezvousOfTerm(std::shared_ptr<Coordinator::StubInterface> stub, uint64_t term,
                                std::stop_token stop) {
  return [stub = std::move(stub), term, stop](RendezvousRequest request, absl::Duration patience,
                                              RendezvousReply* reply) {
    request.set_term(term);
    return CallWithRetry(stop, {.patience = patience}, [&](grpc::ClientContext* context) {
      return stub->Rendezvous(context, request, reply);
    });
  };
}

RendezvousStore::RendezvousStore(RendezvousCall call, absl::Duration patience)
    : call_(std::move(call)), patience_(patience) {}

c10::intrusive_ptr<c10d::Store> RendezvousStore::clone() {
  return c10::make_intrusive<RendezvousStore>(call_, patience_);
}

RendezvousReply RendezvousStore::Call(RendezvousRequest request) {
  request.set_id(UniqueId());
  RendezvousReply reply;
  const absl::Status status = call_(request, patience_, &reply);
  if (!status.ok()) {
    C10_THROW_ERROR(DistStoreError, absl::StrCat("rendezvous: ", status.message()));
  }
  return reply;
}

RendezvousReply RendezvousStore::Await(RendezvousRequest request,
                                       std::chrono::milliseconds timeout) {
  const absl::Duration patience = std::min(patience_, absl::FromChrono(timeout));
  const absl::Time deadline = absl::Now() + patience;
  // Held until the keys exist. It is short and repeated, so that a stop and the deadline below are
  // noticed within a second.
  request.set_wait_ms(kWaitMs);
  while (true) {
    RendezvousReply reply = Call(request);
    if (reply.found()) return reply;
    if (absl::Now() > deadline) {
      C10_THROW_ERROR(DistStoreError,
                      absl::StrCat("rendezvous: no key ", request.keys(0), " after ",
                                   absl::FormatDuration(patience), ": is a rank missing?"));
    }
  }
}

void RendezvousStore::set(const std::string& key, const std::vector<uint8_t>& value) {
  RendezvousRequest request = Request(RendezvousRequest::SET, key);
  request.set_value(Bytes(value));
  Call(std::move(request));
}

std::vector<uint8_t> RendezvousStore::compareSet(const std::string& key,
                                                 const std::vector<uint8_t>& expected,
                                                 const std::vector<uint8_t>& desired) {
  RendezvousRequest request = Request(RendezvousRequest::COMPARE_SET, key);
  request.set_expected(Bytes(expected));
  request.set_value(Bytes(desired));
  RendezvousReply reply = Call(std::move(request));
  return {reply.value().begin(), reply.value().end()};
}

std::vector<uint8_t> RendezvousStore::get(const std::string& key) {
  RendezvousReply reply = Await(Request(RendezvousRequest::GET, key), timeout_);
  return {reply.value().begin(), reply.value().end()};
}

int64_t RendezvousStore::add(const std::string& key, int64_t value) {
  RendezvousRequest request = Request(RendezvousRequest::ADD, key);
  request.set_amount(value);
  return Call(std::move(request)).sum();
}

bool RendezvousStore::deleteKey(const std::string& key) {
  return Call(Request(RendezvousRequest::DELETE, key)).sum() > 0;
}

bool RendezvousStore::check(const std::vector<std::string>& keys) {
  RendezvousRequest request;
  request.set_op(RendezvousRequest::CHECK);
  request.mutable_keys()->Add(keys.begin(), keys.end());
  return Call(std::move(request)).found();
}

int64_t RendezvousStore::getNumKeys() {
  C10_THROW_ERROR(NotImplementedError, "the coordinator does not count the keys of a rendezvous");
}

void RendezvousStore::wait(const std::vector<std::string>& keys) { wait(keys, timeout_); }

void RendezvousStore::wait(const std::vector<std::string>& keys,
                           const std::chrono::milliseconds& timeout) {
  // The coordinator refuses a call without keys; for c10d it is satisfied.
  if (keys.empty()) return;
  RendezvousRequest request;
  request.set_op(RendezvousRequest::WAIT);
  request.mutable_keys()->Add(keys.begin(), keys.end());
  Await(std::move(request), timeout);
}

}  // namespace reckon
