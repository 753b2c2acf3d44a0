#include "tests/support/stream_backend.h"

#include <stdexcept>
#include <utility>

namespace reckon {
namespace {

class StreamWork : public c10d::Work {
 public:
  bool wait(std::chrono::milliseconds) override {
    std::unique_lock<std::mutex> lock(mutex_);
    cv_.wait(lock, [&] { return completed_; });
    return true;
  }
  void End(std::exception_ptr error) { finish(std::move(error)); }
};

}  // namespace

void StreamMeeting::FailFrom(uint64_t collective) {
  absl::MutexLock lock(&mutex_);
  fails_from_ = collective;
}

bool StreamMeeting::aborted(int rank) const {
  absl::MutexLock lock(&mutex_);
  return aborted_.contains(rank);
}

void StreamMeeting::Abort(int rank) {
  absl::MutexLock lock(&mutex_);
  aborted_.insert(rank);
}

c10::intrusive_ptr<c10d::Work> StreamMeeting::Join(Kind kind, uint64_t number, int rank,
                                                   const at::Tensor& in, const at::Tensor& out) {
  absl::MutexLock lock(&mutex_);
  if (number >= fails_from_) {
    // At once: the other ranks may have noticed and never come.
    auto failed = c10::make_intrusive<StreamWork>();
    failed->End(std::make_exception_ptr(std::runtime_error("a rank is gone")));
    return failed;
  }
  Collective& all = collectives_[number];
  if (all.arrived++ == 0) {
    all.in.resize(world_);
    all.out.resize(world_);
    for (int i = 0; i < world_; ++i) all.works.push_back(c10::make_intrusive<StreamWork>());
  }
  all.in[rank] = in;
  all.out[rank] = out;
  const c10::intrusive_ptr<c10d::Work> mine = all.works[rank];
  if (all.arrived < world_) return mine;
  if (kind == Kind::kAllGather) {
    for (const at::Tensor& to : all.out) {
      const int64_t n = to.numel() / world_;
      for (int i = 0; i < world_; ++i) to.narrow(0, i * n, n).copy_(all.in[i]);
    }
  } else {
    at::Tensor sum = all.in[0].clone();
    for (int i = 1; i < world_; ++i) sum.add_(all.in[i]);
    for (int i = 0; i < world_; ++i) {
      const int64_t n = all.out[i].numel();
      all.out[i].copy_(kind == Kind::kAllReduce ? sum : sum.narrow(0, i * n, n));
    }
  }
  for (const auto& work : all.works) static_cast<StreamWork&>(*work).End(nullptr);
  collectives_.erase(number);
  return mine;
}

c10::intrusive_ptr<c10d::Work> StreamBackend::allreduce(std::vector<at::Tensor>& tensors,
                                                        const c10d::AllreduceOptions&) {
  return meeting_->Join(StreamMeeting::Kind::kAllReduce, begun_++, getRank(), tensors[0],
                        tensors[0]);
}

c10::intrusive_ptr<c10d::Work> StreamBackend::_allgather_base(at::Tensor& out, at::Tensor& in,
                                                              const c10d::AllgatherOptions&) {
  return meeting_->Join(StreamMeeting::Kind::kAllGather, begun_++, getRank(), in, out);
}

c10::intrusive_ptr<c10d::Work> StreamBackend::_reduce_scatter_base(
    at::Tensor& out, at::Tensor& in, const c10d::ReduceScatterOptions&) {
  return meeting_->Join(StreamMeeting::Kind::kReduceScatter, begun_++, getRank(), in, out);
}

}  // namespace reckon
