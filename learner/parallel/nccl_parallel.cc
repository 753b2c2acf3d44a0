#include "learner/parallel/nccl_parallel.h"

#include <chrono>
#include <string>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "common/base/status_macros.h"
#include "learner/parallel/c10d_work.h"
#include "learner/parallel/rendezvous_store.h"

namespace reckon {
namespace {

// Orders the caller's stream after the collective's and does not wait itself. A rank that is gone
// is noticed by the next AllReduceSum, or by the membership.
class OnStream : public PendingCollective {
 public:
  OnStream(c10::intrusive_ptr<c10d::Work> work, absl::Status failed)
      : work_(std::move(work)), failed_(std::move(failed)) {}
  absl::Status Wait() override {
    RETURN_IF_ERROR(failed_);
    return CatchCollectiveErrors("collective", [&] {
      work_->wait();
      return absl::OkStatus();
    });
  }

 private:
  const c10::intrusive_ptr<c10d::Work> work_;
  const absl::Status failed_;
};

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

  std::unique_ptr<PendingCollective> AllGather(const at::Tensor& mine,
                                               const at::Tensor& all) override {
    if (mine.is_cpu()) return host_->AllGather(mine, all);
    return Begin("all-gather", [&] {
      at::Tensor from = mine, to = all;
      return group_->_allgather_base(to, from);
    });
  }

  std::unique_ptr<PendingCollective> ReduceScatterSum(const at::Tensor& all,
                                                      const at::Tensor& mine) override {
    if (mine.is_cpu()) return host_->ReduceScatterSum(all, mine);
    return Begin("reduce-scatter", [&] {
      at::Tensor from = all, to = mine;
      return group_->_reduce_scatter_base(to, from);
    });
  }

  absl::Status Broadcast(absl::Span<char> bytes) override { return host_->Broadcast(bytes); }

 private:
  // c10d runs it on a stream of its own.
  static std::unique_ptr<PendingCollective> Begin(
      const char* what, absl::FunctionRef<c10::intrusive_ptr<c10d::Work>()> begin) {
    c10::intrusive_ptr<c10d::Work> work;
    absl::Status failed = CatchCollectiveErrors(what, [&] {
      work = begin();
      return absl::OkStatus();
    });
    return std::make_unique<OnStream>(std::move(work), std::move(failed));
  }

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
