#include "common/model/kernels/cuda/cuda_step_device.h"

#include <ATen/cuda/CUDAEvent.h>
#include <ATen/cuda/CUDAGraph.h>
#include <ATen/ops/empty.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include <vector>

namespace reckon {
namespace {

class CudaStepGraph : public StepGraph {
 public:
  explicit CudaStepGraph(at::cuda::MempoolId_t pool) : pool_(pool) {}

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
    graph->capture_begin(pool_, cudaStreamCaptureModeThreadLocal);
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

  const at::cuda::MempoolId_t pool_;
  bool ran_ = false;
  std::unique_ptr<at::cuda::CUDAGraph> graph_;
};

class CudaStepDevice : public StepDevice {
 public:
  explicit CudaStepDevice(c10::Device device)
      : stream_(c10::cuda::getStreamFromPool(/*isHighPriority=*/false, device.index())),
        pool_(at::cuda::graph_pool_handle()) {}

  c10::Stream stream() const override { return stream_.unwrap(); }
  std::unique_ptr<StepGraph> NewGraph() override { return std::make_unique<CudaStepGraph>(pool_); }

  at::Tensor Send(const at::Tensor& from) override {
    const c10::cuda::CUDAStreamGuard on(stream_);
    // LibTorch keeps the pinned copy until the stream has read it.
    return from.pin_memory().to(stream_.device(), from.scalar_type(), /*non_blocking=*/true,
                                /*copy=*/true);
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
  const at::cuda::MempoolId_t pool_;
  std::vector<at::cuda::CUDAEvent> events_;  // by place
};

}  // namespace

std::shared_ptr<StepDevice> MakeCudaStepDevice(c10::Device device) {
  return std::make_shared<CudaStepDevice>(device);
}

}  // namespace reckon
