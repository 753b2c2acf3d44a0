#ifndef RECKON_TESTS_SUPPORT_STREAM_BACKEND_H_
#define RECKON_TESTS_SUPPORT_STREAM_BACKEND_H_

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <torch/csrc/distributed/c10d/Backend.hpp>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace reckon {

// Where the ranks of a StreamBackend meet; all are threads of one process.
class StreamMeeting {
 public:
  explicit StreamMeeting(int world) : world_(world) {}
  // From the `collective`-th on (0: the first of every rank) each one ends with an error on every
  // rank, as when a rank is gone.
  void FailFrom(uint64_t collective);
  // Whether a rank has aborted its backend.
  bool aborted(int rank) const;

 private:
  friend class StreamBackend;
  enum class Kind { kAllReduce, kAllGather, kReduceScatter };
  struct Collective {
    int arrived = 0;
    std::vector<at::Tensor> in, out;
    std::vector<c10::intrusive_ptr<c10d::Work>> works;
  };
  void Abort(int rank);
  c10::intrusive_ptr<c10d::Work> Join(Kind kind, uint64_t number, int rank, const at::Tensor& in,
                                      const at::Tensor& out);

  const int world_;
  mutable absl::Mutex mutex_;
  std::map<uint64_t, Collective> collectives_ ABSL_GUARDED_BY(mutex_);
  std::set<int> aborted_ ABSL_GUARDED_BY(mutex_);  // ranks
  uint64_t fails_from_ ABSL_GUARDED_BY(mutex_) = ~uint64_t{0};
};

// A c10d backend with NCCL's manners on the CPU: to begin a collective does not wait; it runs when
// the last rank has begun it; a work that has failed says that it is completed, and its wait()
// returns without throwing, with the result undefined.
class StreamBackend : public c10d::Backend {
 public:
  StreamBackend(int rank, int world, std::shared_ptr<StreamMeeting> meeting)
      : c10d::Backend(rank, world), meeting_(std::move(meeting)) {}

  const std::string getBackendName() const override { return "stream"; }
  void abort() override { meeting_->Abort(getRank()); }
  c10::intrusive_ptr<c10d::Work> allreduce(std::vector<at::Tensor>& tensors,
                                           const c10d::AllreduceOptions& options) override;
  c10::intrusive_ptr<c10d::Work> _allgather_base(at::Tensor& out, at::Tensor& in,
                                                 const c10d::AllgatherOptions& options) override;
  c10::intrusive_ptr<c10d::Work> _reduce_scatter_base(
      at::Tensor& out, at::Tensor& in, const c10d::ReduceScatterOptions& options) override;

 private:
  const std::shared_ptr<StreamMeeting> meeting_;
  uint64_t begun_ = 0;
};

}  // namespace reckon

#endif  // RECKON_TESTS_SUPPORT_STREAM_BACKEND_H_
