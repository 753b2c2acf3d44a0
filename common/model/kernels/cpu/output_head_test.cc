#include "common/model/kernels/cpu/output_head.h"

#include <ATen/ops/tensor.h>

#include <cstdint>
#include <vector>

#include "common/model/kernels/autograd.h"
#include "common/model/kernels/cpu/cpu_ops.h"
#include "gtest/gtest.h"
#include "tests/support/test_tensors.h"

namespace reckon {
namespace {

// Rows and columns beyond a block of each, and columns without a token.
constexpr int64_t kRows = 150, kWidth = 48, kVocab = 2100;

class OutputHeadTest : public testing::TestWithParam<Dtype> {};

// Which blocks are kept depends on how many rows come together, and must not be seen.
TEST_P(OutputHeadTest, ErrorsThatAreComputedAgainHaveTheBitsOfThoseKept) {
  const at::Tensor leaf = RandomFloats({kVocab, kWidth}, 1).set_requires_grad(true);
  LinearWeight head;
  CpuOps().Pack({leaf.detach()}, GetParam(), /*trainable=*/true, &head);
  head.parts = {leaf};
  head.masked = at::tensor({int64_t{7}, int64_t{1024}, kVocab - 1});
  const at::Tensor hidden = RandomFloats({kRows, kWidth}, 2).to(ScalarTypeOf(GetParam()));
  std::vector<int32_t> ids(kRows);
  for (int32_t i = 0; i < kRows; ++i) ids[i] = 14 * i + 8;
  const at::Tensor targets = Ints(ids), d = RandomFloats({kRows}, 3);

  HeadRows kept;
  const at::Tensor logprob = LogProbForward(hidden, head, targets, 0.9f, &kept);
  EXPECT_TRUE(LogProbForward(hidden, head, targets, 0.9f, nullptr).equal(logprob));
  ASSERT_EQ(kept.errors.size(), 2u);
  const at::Tensor dx = LogProbBackward(hidden, head, targets, 0.9f, kept, d);
  const at::Tensor grad = GradOf(leaf).clone();
  for (size_t block = 0; block < kept.errors.size(); ++block) {
    ASSERT_TRUE(kept.errors[block].defined());
    kept.errors[block] = at::Tensor();
    GradOf(leaf).zero_();
    EXPECT_TRUE(LogProbBackward(hidden, head, targets, 0.9f, kept, d).equal(dx)) << block;
    EXPECT_TRUE(GradOf(leaf).equal(grad)) << block;
  }
}

INSTANTIATE_TEST_SUITE_P(Dtypes, OutputHeadTest, testing::Values(Dtype::kFp32, Dtype::kBf16));

}  // namespace
}  // namespace reckon
