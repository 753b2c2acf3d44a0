#include "learner/parallel/nccl_parallel.h"

#include <chrono>
#include <string>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>
#include <utility>
#include <vector>

#include "common/base/status_macros.h"
#include "learner/parallel/c10d_work.h"
#include "learner/parallel/rendezvous_store.h"

namespace reckon {
namespace {

class Nccl : public Parallel {
 public:
  Nccl(std::unique_ptr<Parallel> host, std::stop_token stop,
       c10::intrusive_ptr<c10d::ProcessGroupNCCL> group)
      : host_(std::move(host)), stop_(stop), group_(std::move(group)) {}

  // Leaks a group whose last operation did not complete, as Gloo does.
  ~Nccl() override {
    if (broken_) group_.release();
  }

  int rank() const override { return host_->rank(); }
  int world() const override { return host_->world(); }

  absl::Status AllReduceSum(const at::Tensor& values) override {
    if (values.is_cpu()) return host_->AllReduceSum(values);
    return CatchCollectiveErrors("all-reduce", [&] {
      std::vector<at::Tensor> tensors = {values};
      broken_ = true;  // until it has completed
      RETURN_IF_ERROR(Await(group_->allreduce(tensors), stop_));
      broken_ = false;
      return absl::OkStatus();
    });
  }

  absl::Status Broadcast(absl::Span<char> bytes) override { return host_->Broadcast(bytes); }

 private:
  const std::unique_ptr<Parallel> host_;
  const std::stop_token stop_;
  c10::intrusive_ptr<c10d::ProcessGroupNCCL> group_;
  bool broken_ = false;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Parallel>> MakeNccl(std::unique_ptr<Parallel> host, uint64_t term,
                                                   std::shared_ptr<Coordinator::StubInterface> stub,
                                                   std::stop_token stop) {
  std::unique_ptr<Parallel> parallel;
  RETURN_IF_ERROR(CatchCollectiveErrors("rendezvous", [&] {
    auto options = c10d::ProcessGroupNCCL::Options::create();
    options->timeout = std::chrono::minutes(10);  // for another rank's share of a step
    // The host's Gloo group has used the same term's keys; the prefix keeps the two groups apart.
    auto store = c10::make_intrusive<c10d::PrefixStore>(
        "nccl", c10::make_intrusive<RendezvousStore>(std::move(stub), term, stop));
    auto group =
        c10::make_intrusive<c10d::ProcessGroupNCCL>(store, host->rank(), host->world(), options);
    parallel = std::make_unique<Nccl>(std::move(host), stop, std::move(group));
    return absl::OkStatus();
  }));
  return parallel;
}

}  // namespace reckon
