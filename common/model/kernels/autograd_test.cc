#include "common/model/kernels/autograd.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/full.h>

#include "common/model/kernels/interface.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

at::Tensor Scale(const at::Tensor& x, float factor) {
  GradientRecorder recorder({x, at::Tensor()});
  EXPECT_FALSE(at::GradMode::is_enabled());
  const at::Tensor y = x * factor;
  if (!recorder.recording()) return y;
  return recorder.Record(
      y, [factor](const at::Tensor& dy) -> Tensors { return {dy * factor, at::Tensor()}; });
}

TEST(GradientRecorderTest, RecordsWhereAnInputNeedsAGradient) {
  const at::Tensor x = at::full({2}, 3.0).requires_grad_(true);
  const at::Tensor y = Scale(Scale(x, 2) + x, 5);
  y.sum().backward();
  EXPECT_TRUE(x.grad().eq(15).all().item<bool>());
  EXPECT_FALSE(Scale(x.detach(), 2).requires_grad());
  at::NoGradGuard no_grad;
  EXPECT_FALSE(Scale(x, 2).requires_grad());
}

// A graph owns what its backward reads: the weight may be packed again or destroyed.
TEST(GradientRecorderTest, AGraphKeepsTheWeightsOfItsForwardPass) {
  for (Backend backend : {Backend::kCpuKernels, Backend::kTorchCpu}) {
    const Ops& ops = OpsOf(backend);
    const at::Tensor x = at::full({3, 4}, 1.0f, at::kFloat).requires_grad_(true);
    at::Tensor y;
    {
      LinearWeight weight;
      ops.Pack({at::full({2, 4}, 0.5f, at::kFloat)}, Dtype::kFp32, /*trainable=*/true, &weight);
      y = ops.Linear(x, weight);
      ops.Pack({at::full({2, 4}, 7.0f, at::kFloat)}, Dtype::kFp32, /*trainable=*/true, &weight);
    }
    y.sum().backward();
    EXPECT_TRUE(x.grad().eq(1).all().item<bool>());
  }
}

}  // namespace
}  // namespace reckon
