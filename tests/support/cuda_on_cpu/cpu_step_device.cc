#include "tests/support/cuda_on_cpu/cpu_step_device.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/full.h>

#include <algorithm>

// Last.
#include "common/base/log.h"

namespace reckon {

class CpuStepDevice::Graph : public StepGraph {
 public:
  explicit Graph(CpuStepDevice* device) : device_(*device) { ++device_.graphs_; }
  void Run(absl::FunctionRef<void()> body) override {
    ++device_.runs_;
    body();
  }

 private:
  CpuStepDevice& device_;
};

c10::Stream CpuStepDevice::stream() const {
  return c10::Stream(c10::Stream::DEFAULT, c10::Device(c10::kCPU));
}

std::unique_ptr<StepGraph> CpuStepDevice::NewGraph() { return std::make_unique<Graph>(this); }

at::Tensor CpuStepDevice::Send(const at::Tensor& from) {
  ++sends_;
  return from.clone();
}

at::Tensor CpuStepDevice::NewHostTensor(at::IntArrayRef sizes, at::ScalarType type) {
  return at::full(sizes, 0x55, type);
}

void CpuStepDevice::Fetch(const at::Tensor& from, const at::Tensor& to, int64_t place) {
  to.fill_(0x55);
  CHECK(pending_.emplace(place, std::pair(from.clone(), to)).second) << "a place that is in use";
  most_pending_ = std::max<int64_t>(most_pending_, pending_.size());
}

void CpuStepDevice::Await(int64_t place) {
  const auto it = pending_.find(place);
  CHECK(it != pending_.end()) << "nothing is on its way to this place";
  it->second.second.copy_(it->second.first);
  pending_.erase(it);
}

}  // namespace reckon
