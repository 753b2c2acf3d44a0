#ifndef RECKON_TESTS_SUPPORT_CUDA_ON_CPU_CPU_STEP_DEVICE_H_
#define RECKON_TESTS_SUPPORT_CUDA_ON_CPU_CPU_STEP_DEVICE_H_

#include <map>
#include <memory>
#include <set>
#include <utility>

#include "common/model/decode/step_device.h"

namespace reckon {

// A StepDevice on the CPU, whose steps compute at once. It is as late as a GPU may be with results:
// memory that Fetch fills holds nothing of use before Await. Counts what it was asked for.
class CpuStepDevice : public StepDevice {
 public:
  c10::Stream stream() const override;
  std::unique_ptr<StepGraph> NewGraph() override;
  at::Tensor Send(const at::Tensor& from) override;
  at::Tensor NewHostTensor(at::IntArrayRef sizes, at::ScalarType type) override;
  void Fetch(const at::Tensor& from, const at::Tensor& to, int64_t place) override;
  void Await(int64_t place) override;

  int64_t graphs() const { return graphs_; }
  int64_t runs() const { return runs_; }
  int64_t sends() const { return sends_; }
  // Steps whose results nobody had awaited, at most.
  int64_t most_pending() const { return most_pending_; }

 private:
  class Graph;

  std::map<int64_t, std::pair<at::Tensor, at::Tensor>> pending_;  // by place: what, and where to
  int64_t graphs_ = 0, runs_ = 0, sends_ = 0, most_pending_ = 0;
};

}  // namespace reckon

#endif  // RECKON_TESTS_SUPPORT_CUDA_ON_CPU_CPU_STEP_DEVICE_H_
