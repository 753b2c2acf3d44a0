#include "common/model/kernels/cuda/layer_ops.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/full.h>
#include <ATen/ops/logaddexp.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <functional>
#include <limits>
#include <string>
#include <tuple>

#include "common/model/backend.h"
#include "common/model/kernels/torch/torch_ops.h"
#include "gtest/gtest.h"
#include "tests/support/kernel_test.h"
#include "tests/support/test_tensors.h"

#ifdef RECKON_CUDA_ON_CPU
#define LayerOpsTest CpuLayerOpsTest
#else
#define LayerOpsTest GpuLayerOpsTest
#endif

// Compares values and gradients with those of LibTorch's operations on the CPU: on a GPU, and with
// the kernels compiled as C++ (tests/support/cuda_on_cpu) on the CPU.
namespace reckon {
namespace {

class LayerOpsTest : public KernelTest<testing::TestWithParam<Dtype>> {
 protected:
  using Operation = std::function<at::Tensor(const at::Tensor& x)>;

  // One step of bf16, where it is computed in another order.
  static void ExpectClose(const at::Tensor& got, const at::Tensor& wanted) {
    ASSERT_EQ(got.sizes(), wanted.sizes());
    ASSERT_EQ(got.scalar_type(), wanted.scalar_type());
    const at::Tensor a = got.detach().to(at::kCPU, at::kFloat), b = wanted.detach().to(at::kFloat);
    const double allowed = GetParam() == Dtype::kBf16 ? 1.0 / 128 : 1e-5;
    EXPECT_LE((a - b).abs().max().item<double>() / b.abs().max().item<double>(), allowed);
  }

  static TableWeight NormWeight(int64_t n, uint64_t key) {
    TableWeight out;
    out.leaf = (RandomFloats({n}, key) + 1).set_requires_grad(true);
    out.values = out.leaf.detach();
    return out;
  }
  static TableWeight OnDevice(const TableWeight& weight) {
    TableWeight out;
    out.leaf = weight.leaf.detach().to(DeviceOf(kBackend), at::kFloat, false, /*copy=*/true);
    out.leaf.set_requires_grad(true);
    out.values = out.leaf.detach();
    return out;
  }

  static void Compare(at::IntArrayRef sizes, const Operation& fused, const Operation& composed) {
    const at::Tensor x = (RandomFloats(sizes, 1) * 6).to(ScalarTypeOf(GetParam()));
    const at::Tensor here = x.clone().to(DeviceOf(kBackend)).set_requires_grad(true);
    const at::Tensor there = x.clone().set_requires_grad(true);
    const at::Tensor got = fused(here), wanted = composed(there);
    ExpectClose(got, wanted);
    const at::Tensor d = RandomFloats(wanted.sizes(), 2).to(x.scalar_type());
    // Also of a gradient that is a view.
    const at::Tensor columns = d.t().contiguous().t();
    got.backward(columns.to(DeviceOf(kBackend)));
    wanted.backward(d);
    ExpectClose(here.grad(), there.grad());
    const at::NoGradGuard no_grad;
    ExpectClose(fused(here), wanted);
  }
};

// Also with more rows than there are sums of the weight's gradient.
TEST_P(LayerOpsTest, RmsNorm) {
  for (const auto& [rows, n] : {std::pair<int64_t, int64_t>{3, 576}, {260, 40}}) {
    const TableWeight there = NormWeight(n, 3), here = OnDevice(there);
    const at::Tensor x = RandomFloats({rows, n}, 1) * 6;
    const at::Tensor from =
        x.to(DeviceOf(kBackend), at::kFloat, false, true).set_requires_grad(true);
    const at::Tensor other = x.clone().set_requires_grad(true);
    const at::Tensor got = FusedRmsNorm(from, here, 1e-5, GetParam());
    const at::Tensor wanted = TorchOps().RmsNorm(other, there, 1e-5, GetParam());
    ExpectClose(got, wanted);
    const at::Tensor d = RandomFloats(wanted.sizes(), 2).to(wanted.scalar_type());
    got.backward(d.to(DeviceOf(kBackend)));
    wanted.backward(d);
    ExpectClose(from.grad(), other.grad());
    ExpectClose(here.leaf.grad(), there.leaf.grad());
    // Of a weight that is frozen.
    const at::Tensor again = from.detach().set_requires_grad(true);
    FusedRmsNorm(again, {.values = here.values}, 1e-5, GetParam())
        .backward(d.to(DeviceOf(kBackend)));
    EXPECT_TRUE(again.grad().equal(from.grad()));
  }
}

TEST_P(LayerOpsTest, HeadNorm) {
  for (const auto& [rows, heads, kv_heads, dim] :
       {std::tuple<int64_t, int64_t, int64_t, int64_t>{3, 7, 2, 80}, {260, 2, 1, 16}}) {
    const TableWeight query = NormWeight(dim, 3), key = NormWeight(dim, 4);
    const TableWeight own_query = OnDevice(query), own_key = OnDevice(key);
    Compare(
        {rows, (heads + 2 * kv_heads) * dim},
        [&](const at::Tensor& x) {
          return FusedHeadNorm(x, own_query, own_key, heads, kv_heads, dim, 1e-5);
        },
        [&](const at::Tensor& x) {
          return TorchOps().HeadNorm(x, query, key, heads, kv_heads, dim, 1e-5);
        });
    ExpectClose(own_query.leaf.grad(), query.leaf.grad());
    ExpectClose(own_key.leaf.grad(), key.leaf.grad());
  }
}

// Widths of whole 16 bytes, and of none; of several blocks.
TEST_P(LayerOpsTest, SwiGlu) {
  for (const int64_t n : {8, 37, 1032, 2311}) {
    Compare({3, 2 * n}, FusedSwiGlu, [](const at::Tensor& x) { return TorchOps().SwiGlu(x); });
  }
}

TEST_P(LayerOpsTest, Rope) {
  for (const auto& [heads, rotated, dim] :
       {std::tuple<int64_t, int64_t, int64_t>{5, 4, 16}, {7, 5, 80}, {3, 3, 128}}) {
    const at::Tensor positions = Ints({0, 1, 511});
    const at::Tensor frequency = (at::arange(dim / 2) * -0.3).to(at::kFloat).exp();
    const at::Tensor table = TorchOps().RopeTable(positions, frequency, 1.2);
    Compare(
        {3, heads * dim},
        [&](const at::Tensor& x) {
          return FusedRope(x, table.to(DeviceOf(kBackend)), rotated, dim);
        },
        [&](const at::Tensor& x) { return TorchOps().Rope(x, table, rotated, dim); });
  }
}

// Rows whose target is in the tile, before it and after it; columns that are excluded, also all of
// a tile; sums that begin with nothing.
TEST_P(LayerOpsTest, TilesOfLogits) {
  constexpr int64_t kRows = 4, kColumns = 700, kFirst = 100;
  constexpr double kScale = 1 / 0.7, kInf = std::numeric_limits<double>::infinity();
  const auto send = [](const at::Tensor& x) { return x.to(DeviceOf(kBackend)); };
  const at::Tensor x = RandomFloats({kRows, kColumns}, 1) * 30;
  const at::Tensor targets = Ints({kFirst + 3, 99, kFirst + kColumns, 799}).to(at::kLong);
  const at::Tensor d_logprob = RandomFloats({kRows}, 2);
  for (const int64_t excluded : {int64_t{0}, int64_t{50}, kColumns}) {
    at::Tensor mask = at::zeros({kColumns}, at::kFloat);
    mask.narrow(0, kColumns - excluded, excluded).fill_(-kInf);
    const LogitColumns tile = {send(x), excluded == 0 ? at::Tensor() : send(mask), send(targets),
                               kFirst, kScale};
    const at::Tensor logits = x.to(at::kDouble) * kScale + mask;
    const at::Tensor before = at::tensor({-kInf, 1.5, -200.0, 40.0}, at::kFloat);
    const at::Tensor log_sum = send(before.clone());
    const at::Tensor target = send(at::full({kRows}, 7.0, at::kFloat));
    FusedAddLogSum(tile, log_sum, target);
    const at::Tensor wanted = at::logaddexp(before.to(at::kDouble), logits.logsumexp({1}));
    EXPECT_TRUE(log_sum.cpu().to(at::kDouble).allclose(wanted, 1e-6, 1e-6)) << excluded;
    const at::Tensor other = at::full({}, 7.0, at::kDouble);
    const at::Tensor wanted_target = at::stack({logits[0][3], other, other, logits[3][699]});
    EXPECT_TRUE(target.cpu().to(at::kDouble).allclose(wanted_target, 1e-6)) << excluded;
    const at::Tensor sums = at::tensor({9.0, 12.0, 15.0, 11.0}, at::kFloat);
    const at::Tensor got =
        FusedLogitGradient(tile, send(sums), send(d_logprob), ScalarTypeOf(GetParam()));
    at::Tensor one_hot = at::zeros({kRows, kColumns}, at::kDouble);
    one_hot[0][3] = one_hot[3][699] = 1;
    const at::Tensor gradient = (one_hot - (logits - sums.to(at::kDouble).unsqueeze(1)).exp()) *
                                d_logprob.to(at::kDouble).unsqueeze(1) * kScale;
    ExpectClose(got, gradient.to(ScalarTypeOf(GetParam())));
  }
}

INSTANTIATE_TEST_SUITE_P(, LayerOpsTest, testing::Values(Dtype::kBf16, Dtype::kFp32),
                         [](const auto& info) {
                           return std::string(info.param == Dtype::kBf16 ? "bf16" : "fp32");
                         });

}  // namespace
}  // namespace reckon
