#include "learner/parallel/gloo_parallel.h"

#include <chrono>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <utility>
#include <vector>

#include "absl/strings/strip.h"
#include "common/base/status_macros.h"
#include "learner/parallel/c10d_work.h"
#include "learner/parallel/rendezvous_store.h"

namespace reckon {
namespace {

// How long a rank waits for another's share of a step, and for rank 0 while that samples or
// evaluates. A rank that dies is noticed earlier, by its connections.
constexpr std::chrono::minutes kStepTimeout(10);
constexpr std::chrono::hours kIdleTimeout(24 * 30);

class Gloo : public Parallel {
 public:
  Gloo(const GlooOptions& options, std::stop_token stop,
       c10::intrusive_ptr<c10d::ProcessGroupGloo> group)
      : rank_(options.rank), world_(options.world), stop_(stop), group_(std::move(group)) {}

  // Leaks a group whose last operation did not complete: its destructor would join threads that
  // wait for ranks that are gone.
  ~Gloo() override {
    if (broken_) group_.release();
  }

  int rank() const override { return rank_; }
  int world() const override { return world_; }

  absl::Status AllReduceSum(const at::Tensor& values) override {
    return CatchCollectiveErrors("all-reduce", [&] {
      std::vector<at::Tensor> tensors = {values};
      c10d::AllreduceOptions options;
      options.timeout = kStepTimeout;
      return Wait(group_->allreduce(tensors, options));
    });
  }

  absl::Status Broadcast(absl::Span<char> bytes) override {
    return CatchCollectiveErrors("broadcast", [&] {
      c10d::BroadcastOptions options;
      options.rootRank = 0;
      // Broadcast is where the other ranks wait while rank 0 samples or evaluates.
      options.timeout = kIdleTimeout;
      std::vector<at::Tensor> data = {
          at::from_blob(bytes.data(), {static_cast<int64_t>(bytes.size())}, at::kByte)};
      return Wait(group_->broadcast(data, options));
    });
  }

 private:
  absl::Status Wait(const c10::intrusive_ptr<c10d::Work>& work) {
    broken_ = true;  // until it has completed
    // Await also throws; then `broken_` stays true as it does when it returns an error.
    RETURN_IF_ERROR(Await(work, stop_));
    broken_ = false;
    return absl::OkStatus();
  }

  const int rank_, world_;
  const std::stop_token stop_;
  c10::intrusive_ptr<c10d::ProcessGroupGloo> group_;
  bool broken_ = false;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Parallel>> MakeGloo(const GlooOptions& options,
                                                   std::shared_ptr<Coordinator::StubInterface> stub,
                                                   std::stop_token stop) {
  std::unique_ptr<Parallel> parallel;
  RETURN_IF_ERROR(CatchCollectiveErrors("rendezvous", [&] {
    auto gloo = c10d::ProcessGroupGloo::Options::create(kStepTimeout);
    absl::string_view host = options.interface_address;
    if (absl::ConsumePrefix(&host, "[")) absl::ConsumeSuffix(&host, "]");  // of IPv6
    gloo->devices.push_back(c10d::ProcessGroupGloo::createDeviceForHostname(std::string(host)));
    gloo->threads = 2;
    auto store = c10::make_intrusive<RendezvousStore>(std::move(stub), options.term, stop);
    parallel = std::make_unique<Gloo>(
        options, stop,
        c10::make_intrusive<c10d::ProcessGroupGloo>(store, options.rank, options.world, gloo));
    return absl::OkStatus();
  }));
  return parallel;
}

}  // namespace reckon
