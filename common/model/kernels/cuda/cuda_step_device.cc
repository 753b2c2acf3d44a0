#include "common/model/kernels/cuda/cuda_step_device.h"

#include <ATen/cuda/CUDAEvent.h>
#include <ATen/cuda/CUDAGraph.h>
#include <ATen/cuda/MemPool.h>
#include <ATen/ops/empty.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include <memory>
#include <utility>
#include <vector>

#include "common/model/device_memory.h"

namespace reckon {
namespace {

// The memory of graphs. LibTorch forgets a pool with the last graph that was recorded from it, and
// then refuses its name; this keeps it for as long as a graph may be recorded.
using GraphMemory = std::shared_ptr<at::cuda::MemPool>;

class CudaStepGraph : public StepGraph {
 public:
  explicit CudaStepGraph(GraphMemory memory) : memory_(std::move(memory)) {}

  void Run(absl::FunctionRef<void()> body) override {
    if (!ran_) {
      body();
      ran_ = true;
      return;
    }
    if (graph_ == nullptr) Record(body);
    graph_->replay();
  }

 private:
  void Record(absl::FunctionRef<void()> body) {
    auto graph = std::make_unique<at::cuda::CUDAGraph>();
    // Other threads of the process may call CUDA meanwhile.
    graph->capture_begin(memory_->id(), cudaStreamCaptureModeThreadLocal);
    try {
      body();
    } catch (...) {
      // The stream must leave its recording, whose own errors say less than the first.
      try {
        graph->capture_end();
      } catch (const c10::Error&) {
      }
      throw;
    }
    graph->capture_end();
    graph_ = std::move(graph);
  }

  const GraphMemory memory_;  // outlives the graph
  bool ran_ = false;
  std::unique_ptr<at::cuda::CUDAGraph> graph_;
};

class CudaStepDevice : public StepDevice {
 public:
  explicit CudaStepDevice(c10::Device device)
      : stream_(c10::cuda::getStreamFromPool(/*isHighPriority=*/false, device.index())) {}

  c10::Stream stream() const override { return stream_.unwrap(); }
  std::unique_ptr<StepGraph> NewGraph() override {
    GraphMemory memory = memory_.lock();
    if (memory == nullptr) {
      const c10::cuda::CUDAGuard on(stream_.device());
      memory_ = memory = std::make_shared<at::cuda::MemPool>();
    }
    return std::make_unique<CudaStepGraph>(std::move(memory));
  }

  at::Tensor Send(const at::Tensor& from) override {
    const c10::cuda::CUDAStreamGuard on(stream_);
    return SendToDevice(from, stream_.device());
  }

  at::Tensor NewHostTensor(at::IntArrayRef sizes, at::ScalarType type) override {
    return at::empty(sizes, at::TensorOptions(type).pinned_memory(true));
  }

  void Fetch(const at::Tensor& from, const at::Tensor& to, int64_t place) override {
    const c10::cuda::CUDAStreamGuard on(stream_);
    at::Tensor target = to;
    target.copy_(from, /*non_blocking=*/true);
    while (static_cast<int64_t>(events_.size()) <= place)
      events_.emplace_back(cudaEventDisableTiming);
    events_[place].record(stream_);
  }

  void Await(int64_t place) override { events_.at(place).synchronize(); }

 private:
  const c10::cuda::CUDAStream stream_;
  std::weak_ptr<at::cuda::MemPool> memory_;  // of the graphs that there are
  std::vector<at::cuda::CUDAEvent> events_;  // by place
};

}  // namespace

std::shared_ptr<StepDevice> MakeCudaStepDevice(c10::Device device) {
  return std::make_shared<CudaStepDevice>(device);
}

}  // namespace reckon
