#include "learner/parallel/gloo_parallel.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <optional>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "common/base/status_macros.h"
#include "common/model/broadcast/gloo_group.h"
#include "common/model/broadcast/rendezvous_store.h"
#include "learner/parallel/c10d_work.h"
#include "learner/report/learner_metrics.h"

namespace reckon {
namespace {

// How long a rank waits for another's share of a step, and for rank 0 while that samples or
// evaluates. A rank that dies is noticed earlier, by its connections.
constexpr std::chrono::minutes kStepTimeout(10);
constexpr std::chrono::hours kIdleTimeout(24 * 30);
// Bytes of a broadcast at a time, which exist twice meanwhile.
constexpr size_t kPieceBytes = 32 << 20;
// For a key of another rank, which has met this one.
constexpr absl::Duration kKeyPatience = absl::Minutes(2);

// A collective that this rank began.
struct Begun {
  c10::intrusive_ptr<c10d::Work> work;  // null: it could not begin
  absl::Status failed;
};

class Gloo : public Parallel {
 public:
  Gloo(const GlooOptions& options, std::stop_token stop,
       c10::intrusive_ptr<c10d::ProcessGroupGloo> group)
      : rank_(options.rank),
        world_(options.world),
        background_(options.background),
        stop_(stop),
        group_(std::move(group)) {}

  // Leaks a group with an operation that did not complete: its destructor would join threads that
  // wait for ranks that are gone.
  ~Gloo() override {
    if (incomplete_ > 0) group_.release();
  }

  int rank() const override { return rank_; }
  int world() const override { return world_; }

  std::unique_ptr<PendingCollective> BeginAllReduceSum(const at::Tensor& values) override {
    return std::make_unique<Pending>(this, "all-reduce", Begin("all-reduce", [&] {
                                       std::vector<at::Tensor> tensors = {values};
                                       c10d::AllreduceOptions options;
                                       options.timeout = kStepTimeout;
                                       return group_->allreduce(tensors, options);
                                     }));
  }

  std::unique_ptr<PendingCollective> AllGather(const at::Tensor& mine,
                                               const at::Tensor& all) override {
    return std::make_unique<Pending>(this, "all-gather", Begin("all-gather", [&] {
                                       // As bytes, because Gloo does not know every type.
                                       at::Tensor from = mine.view(at::kByte);
                                       at::Tensor to = all.view(at::kByte);
                                       c10d::AllgatherOptions options;
                                       options.timeout = kStepTimeout;
                                       return group_->_allgather_base(to, from, options);
                                     }));
  }

  // Every rank sends each other one its part and adds the parts that it got itself, in the order of
  // the ranks: Gloo has no reduce-scatter that does less than an all-reduce.
  std::unique_ptr<PendingCollective> ReduceScatterSum(const at::Tensor& all,
                                                      const at::Tensor& mine) override {
    at::Tensor parts = at::empty_like(all), from = all;
    Begun begun = Begin("reduce-scatter", [&] {
      std::vector<int64_t> equal;
      c10d::AllToAllOptions options;
      options.timeout = kStepTimeout;
      return group_->alltoall_base(parts, from, equal, equal, options);
    });
    return std::make_unique<Pending>(this, "reduce-scatter", std::move(begun),
                                     [parts, mine, world = world_] {
                                       const int64_t n = mine.numel();
                                       mine.copy_(parts.narrow(0, 0, n));
                                       for (int rank = 1; rank < world; ++rank) {
                                         mine.add_(parts.narrow(0, rank * n, n));
                                       }
                                     });
  }

  absl::Status Broadcast(absl::Span<char> bytes) override {
    for (size_t at = 0; at < bytes.size(); at += kPieceBytes) {
      RETURN_IF_ERROR(BroadcastPiece(bytes.subspan(at, kPieceBytes)));
    }
    return absl::OkStatus();
  }

 private:
  class Pending : public PendingCollective {
   public:
    Pending(Gloo* gloo, const char* what, Begun begun, std::function<void()> finish = nullptr)
        : gloo_(gloo), what_(what), begun_(std::move(begun)), finish_(std::move(finish)) {}
    absl::Status Wait() override {
      RETURN_IF_ERROR(gloo_->Wait(what_, begun_));
      if (finish_ != nullptr) finish_();
      return absl::OkStatus();
    }

   private:
    Gloo* const gloo_;
    const char* const what_;
    const Begun begun_;
    const std::function<void()> finish_;
  };

  absl::Status BroadcastPiece(absl::Span<char> bytes) {
    const at::Tensor owned = at::empty({static_cast<int64_t>(bytes.size())}, at::kByte);
    char* const data = static_cast<char*>(owned.data_ptr());
    if (rank_ == 0) std::copy(bytes.begin(), bytes.end(), data);
    RETURN_IF_ERROR(Wait("broadcast", Begin("broadcast", [&] {
                           c10d::BroadcastOptions options;
                           options.rootRank = 0;
                           // Here the other ranks wait while rank 0 samples or evaluates.
                           options.timeout = kIdleTimeout;
                           std::vector<at::Tensor> tensors = {owned};
                           return group_->broadcast(tensors, options);
                         })));
    if (rank_ != 0) std::copy_n(data, bytes.size(), bytes.begin());
    return absl::OkStatus();
  }

  Begun Begin(const char* what, absl::FunctionRef<c10::intrusive_ptr<c10d::Work>()> begin) {
    ++incomplete_;
    Begun begun;
    begun.failed = CatchCollectiveErrors(what, [&] {
      begun.work = begin();
      return absl::OkStatus();
    });
    return begun;
  }

  absl::Status Wait(const char* what, const Begun& begun) {
    RETURN_IF_ERROR(begun.failed);
    std::optional<ActivityScope> wait;
    if (!background_) {
      wait.emplace(&LearnerMetrics::Process().activity, LearnerMetrics::kWaitRanks);
    }
    RETURN_IF_ERROR(CatchCollectiveErrors(what, [&] { return Await(begun.work, stop_); }));
    --incomplete_;
    return absl::OkStatus();
  }

  const int rank_, world_;
  const bool background_;
  const std::stop_token stop_;
  c10::intrusive_ptr<c10d::ProcessGroupGloo> group_;
  int incomplete_ = 0;  // operations that were begun and have not completed
};

}  // namespace

absl::StatusOr<std::unique_ptr<Parallel>> MakeGloo(const GlooOptions& options,
                                                   std::shared_ptr<Coordinator::StubInterface> stub,
                                                   std::stop_token stop) {
  std::unique_ptr<Parallel> parallel;
  RETURN_IF_ERROR(CatchCollectiveErrors("rendezvous", [&] {
    const GlooGroupOptions gloo = {.rank = options.rank,
                                   .world = options.world,
                                   .host = options.interface_address,
                                   .timeout = kStepTimeout,
                                   .threads = 2};
    auto keys = c10::make_intrusive<RendezvousStore>(
        RendezvousOfTerm(std::move(stub), options.term, stop), kKeyPatience);
    const auto store = c10::make_intrusive<c10d::PrefixStore>(options.group, std::move(keys));
    parallel = std::make_unique<Gloo>(options, stop, MakeGlooGroup(gloo, store));
    return absl::OkStatus();
  }));
  return parallel;
}

}  // namespace reckon
