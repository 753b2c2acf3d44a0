#include "learner/parallel/device_parallel.h"

#include <deque>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "common/base/status_macros.h"
#include "learner/parallel/c10d_work.h"
#include "learner/report/learner_metrics.h"
// Last.
#include "common/base/log.h"

namespace reckon {
namespace {

using WorkPtr = c10::intrusive_ptr<c10d::Work>;

class DeviceParallel : public Parallel {
 public:
  DeviceParallel(std::unique_ptr<Parallel> host, c10::intrusive_ptr<c10d::Backend> backend,
                 c10::DeviceType device, std::stop_token stop)
      : host_(std::move(host)), stop_(stop), device_(device), backend_(std::move(backend)) {}

  // Leaks a backend with an operation that did not complete, as Gloo does. Of the others nothing is
  // under way, so there is nothing to wait for in an orderly end, which all ranks would have to
  // make together.
  ~DeviceParallel() override {
    if (failed_.ok()) Abort();
    if (!begun_.empty() || !failed_.ok()) backend_.release();
  }

  int rank() const override { return host_->rank(); }
  int world() const override { return host_->world(); }

  std::unique_ptr<PendingCollective> BeginAllReduceSum(const at::Tensor& values) override {
    if (!IsHere(values)) return OnHost([&] { return host_->BeginAllReduceSum(values); });
    return Begin("all-reduce", [&] {
      std::vector<at::Tensor> tensors = {values};
      return backend_->allreduce(tensors);
    });
  }

  absl::Status Settle() override {
    while (failed_.ok() && !begun_.empty()) SettleFirst();
    return failed_;
  }

  std::unique_ptr<PendingCollective> AllGather(const at::Tensor& mine,
                                               const at::Tensor& all) override {
    if (!IsHere(mine)) return OnHost([&] { return host_->AllGather(mine, all); });
    return Begin("all-gather", [&] {
      at::Tensor from = mine, to = all;
      return backend_->_allgather_base(to, from);
    });
  }

  std::unique_ptr<PendingCollective> ReduceScatterSum(const at::Tensor& all,
                                                      const at::Tensor& mine) override {
    if (!IsHere(mine)) return OnHost([&] { return host_->ReduceScatterSum(all, mine); });
    return Begin("reduce-scatter", [&] {
      at::Tensor from = all, to = mine;
      return backend_->_reduce_scatter_base(to, from);
    });
  }

  absl::Status Broadcast(absl::Span<char> bytes) override {
    RETURN_IF_ERROR(Settle());
    return host_->Broadcast(bytes);
  }

 private:
  // Orders the caller's stream after the collective's.
  class OnStream : public PendingCollective {
   public:
    OnStream(WorkPtr work, absl::Status failed)
        : work_(std::move(work)), failed_(std::move(failed)) {}
    absl::Status Wait() override {
      RETURN_IF_ERROR(failed_);
      return CatchCollectiveErrors("collective", [&] {
        work_->wait();
        return absl::OkStatus();
      });
    }

   private:
    const WorkPtr work_;
    const absl::Status failed_;
  };
  class Failed : public PendingCollective {
   public:
    explicit Failed(absl::Status status) : status_(std::move(status)) {}
    absl::Status Wait() override { return status_; }

   private:
    const absl::Status status_;
  };

  bool IsHere(const at::Tensor& values) const { return values.device().type() == device_; }

  std::unique_ptr<PendingCollective> Begin(const char* what, absl::FunctionRef<WorkPtr()> begin) {
    // Those that have ended are settled on the way, so that the queue is as long as what is under
    // way.
    while (failed_.ok() && !begun_.empty() && begun_.front()->isCompleted()) SettleFirst();
    WorkPtr work;
    if (failed_.ok()) {
      Note(CatchCollectiveErrors(what, [&] {
        work = begin();
        return absl::OkStatus();
      }));
    }
    if (failed_.ok()) begun_.push_back(work);
    return std::make_unique<OnStream>(std::move(work), failed_);
  }

  std::unique_ptr<PendingCollective> OnHost(
      absl::FunctionRef<std::unique_ptr<PendingCollective>()> begin) {
    if (const absl::Status settled = Settle(); !settled.ok()) {
      return std::make_unique<Failed>(settled);
    }
    return begin();
  }

  void SettleFirst() {
    const ActivityScope wait(&LearnerMetrics::Process().activity, LearnerMetrics::kWaitRanks);
    Note(CatchCollectiveErrors("collective", [&] { return Await(begun_.front(), stop_); }));
    if (failed_.ok()) begun_.pop_front();
  }

  // The status of the collective that was begun or settled last.
  void Note(absl::Status status) {
    failed_ = std::move(status);
    if (!failed_.ok()) Abort();
  }
  void Abort() {
    const absl::Status aborted = CatchCollectiveErrors("abort", [&] {
      backend_->abort();
      return absl::OkStatus();
    });
    LOG_IF(WARNING, !aborted.ok()) << aborted;
  }

  const std::unique_ptr<Parallel> host_;
  const std::stop_token stop_;
  const c10::DeviceType device_;
  c10::intrusive_ptr<c10d::Backend> backend_;
  std::deque<WorkPtr> begun_;  // in order, not yet settled
  absl::Status failed_;        // the first error
};

}  // namespace

std::unique_ptr<Parallel> MakeDeviceParallel(std::unique_ptr<Parallel> host,
                                             c10::intrusive_ptr<c10d::Backend> backend,
                                             c10::DeviceType device, std::stop_token stop) {
  return std::make_unique<DeviceParallel>(std::move(host), std::move(backend), device, stop);
}

}  // namespace reckon
