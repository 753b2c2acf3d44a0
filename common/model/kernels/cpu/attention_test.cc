#include "common/model/kernels/cpu/attention.h"

#include "common/model/kernels/cpu/attention_avx512.h"
#include "common/model/kernels/cpu/attention_portable.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

TEST(ChooseAttentionTest, TheAvx512KernelIsForBf16AndForHeadsThatItCanDivide) {
  const CpuFeatures skylake = {.avx512f = true};
  const CpuFeatures zen4 = {.avx512f = true, .avx512_bf16 = true};
  const KvShape bf16 = {.dtype = Dtype::kBf16, .head_dim = 64};
  EXPECT_EQ(ChooseAttention({}, bf16), AttendRowPortable);
  EXPECT_EQ(ChooseAttention(skylake, bf16), AttendRowPortable);
  EXPECT_EQ(ChooseAttention(zen4, bf16), AttendRowAvx512);
  EXPECT_EQ(ChooseAttention(zen4, {.dtype = Dtype::kFp32, .head_dim = 64}), AttendRowPortable);
  EXPECT_EQ(ChooseAttention(zen4, {.dtype = Dtype::kBf16, .head_dim = 40}), AttendRowPortable);
  EXPECT_EQ(ChooseAttention(zen4, {.dtype = Dtype::kBf16, .head_dim = 256}), AttendRowPortable);
}

}  // namespace
}  // namespace reckon
