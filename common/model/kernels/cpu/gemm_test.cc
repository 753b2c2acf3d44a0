#include "common/model/kernels/cpu/gemm.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "common/base/rng.h"
#include "common/model/kernels/cpu/gemm_amx.h"
#include "common/model/kernels/cpu/gemm_avx512.h"
#include "common/model/kernels/cpu/gemm_kernels.h"
#include "common/model/kernels/cpu/gemm_portable.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

std::vector<float> Random(int64_t n, uint64_t seed) {
  CounterRng rng(seed);
  std::vector<float> out(n);
  for (int64_t i = 0; i < n; ++i) out[i] = static_cast<float>(rng.Uniform(i) - 0.5);
  return out;
}

struct Shape {
  int64_t k, n;
};
class GemmTest : public testing::TestWithParam<Shape> {};

TEST_P(GemmTest, Fp32EqualsTheDefinition) {
  auto [k, n] = GetParam();
  const int64_t m = 37;
  auto a = Random(m * k, 1), w = Random(n * k, 2);
  PackedMatrix b;
  b.Reset(Dtype::kFp32, k, n);
  b.PackTransposed(w.data(), n, 0);
  std::vector<float> c(m * n, 1.0f);
  Gemm(a.data(), m, k, b, c.data(), n, OutputMode::kAccumulateFp32);
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      double sum = 1;
      for (int64_t p = 0; p < k; ++p) sum += static_cast<double>(a[i * k + p]) * w[j * k + p];
      ASSERT_NEAR(c[i * n + j], sum, 1e-4) << i << "," << j;
    }
  }
}

TEST_P(GemmTest, Bf16EqualsTheDefinitionOfRoundedOperands) {
  auto [k, n] = GetParam();
  const int64_t m = 29;
  auto a32 = Random(m * k, 3), w = Random(n * k, 4);
  std::vector<uint16_t> a(m * k);
  ToBf16(a32.data(), m * k, a.data());
  PackedMatrix b, rows;
  b.Reset(Dtype::kBf16, k, n);
  b.PackTransposed(w.data(), n, 0);
  std::vector<float> c(m * n);
  Gemm(a.data(), m, k, b, c.data(), n, OutputMode::kFp32);
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      double sum = 0;
      for (int64_t p = 0; p < k; ++p) {
        sum += static_cast<double>(FromBf16(a[i * k + p])) * FromBf16(ToBf16(w[j * k + p]));
      }
      ASSERT_NEAR(c[i * n + j], sum, 1e-3) << i << "," << j;
    }
  }
  std::vector<uint16_t> rounded(m * n), wanted(m * n);
  Gemm(a.data(), m, k, b, rounded.data(), n, OutputMode::kBf16);
  ToBf16(c.data(), m * n, wanted.data());
  EXPECT_EQ(rounded, wanted);
  // The same operand packed from its transpose is the same matrix.
  std::vector<float> wt(k * n);
  for (int64_t j = 0; j < n; ++j) {
    for (int64_t p = 0; p < k; ++p) wt[p * n + j] = w[j * k + p];
  }
  rows.Reset(Dtype::kBf16, k, n);
  rows.PackRows(wt.data(), k, 0, n);
  std::vector<float> again(m * n);
  Gemm(a.data(), m, k, rows, again.data(), n, OutputMode::kFp32);
  EXPECT_EQ(c, again);
}

TEST_P(GemmTest, ARowDoesNotDependOnTheOtherRows) {
  auto [k, n] = GetParam();
  const int64_t most = 400;
  for (Dtype dtype : {Dtype::kBf16, Dtype::kFp32}) {
    auto a32 = Random(most * k, 5), w = Random(n * k, 6);
    std::vector<uint16_t> a16(most * k);
    ToBf16(a32.data(), most * k, a16.data());
    auto a = [&](int64_t row) {
      return dtype == Dtype::kBf16 ? static_cast<const void*>(a16.data() + row * k)
                                   : static_cast<const void*>(a32.data() + row * k);
    };
    PackedMatrix b;
    b.Reset(dtype, k, n);
    b.PackTransposed(w.data(), n, 0);
    std::vector<float> whole(most * n);
    Gemm(a(0), most, k, b, whole.data(), n, OutputMode::kFp32);
    for (int64_t m : {1, 2, 5, 11, 12, 13, 24, 64, 193}) {
      for (int64_t first : {int64_t{0}, int64_t{7}, most - m}) {
        std::vector<float> part(m * n);
        Gemm(a(first), m, k, b, part.data(), n, OutputMode::kFp32);
        ASSERT_TRUE(std::equal(part.begin(), part.end(), whole.begin() + first * n))
            << "m " << m << " first " << first;
      }
    }
  }
}

// Of a block diagonal second operand, whose zeros are not read; its rows have the bits of any pass.
TEST_P(GemmTest, ASecondProductIsAddedBeforeRounding) {
  auto [k, n] = GetParam();
  const int64_t m = 200, rank = 4;
  const std::vector<int64_t> ends =
      n > 2 ? std::vector<int64_t>{n / 3, n} : std::vector<int64_t>{n};
  const auto ranks = static_cast<int64_t>(ends.size()) * rank;
  auto a = Random(m * k, 11), w = Random(n * k, 12), low = Random(m * ranks, 13);
  auto up = Random(n * ranks, 14);
  for (int64_t j = 0; j < n; ++j) {
    const int64_t part = j < ends[0] ? 0 : 1;
    for (int64_t p = 0; p < ranks; ++p) {
      if (p / rank != part) up[j * ranks + p] = 0;
    }
  }
  PackedMatrix b, second;
  b.Reset(Dtype::kFp32, k, n);
  b.PackTransposed(w.data(), n, 0);
  second.Reset(Dtype::kFp32, ranks, n);
  second.PackTransposed(up.data(), n, 0);
  const auto product = [&](int64_t first, int64_t rows, OutputMode mode, std::vector<float> c) {
    Gemm(a.data() + first * k, rows, k, b, c.data(), n, mode,
         {low.data() + first * ranks, ranks, &second, ends, rank});
    return c;
  };
  const std::vector<float> sum = product(0, m, OutputMode::kFp32, std::vector<float>(m * n));
  const std::vector<float> more =
      product(0, m, OutputMode::kAccumulateFp32, std::vector<float>(m * n, 2.0f));
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      double wanted = 0;
      for (int64_t p = 0; p < k; ++p) wanted += double{a[i * k + p]} * w[j * k + p];
      for (int64_t p = 0; p < ranks; ++p) wanted += double{low[i * ranks + p]} * up[j * ranks + p];
      ASSERT_NEAR(sum[i * n + j], wanted, 1e-4) << i << "," << j;
      ASSERT_NEAR(more[i * n + j], wanted + 2, 1e-4) << i << "," << j;
    }
  }
  const std::vector<float> part = product(190, 7, OutputMode::kFp32, std::vector<float>(7 * n));
  EXPECT_TRUE(std::equal(part.begin(), part.end(), sum.begin() + 190 * n));
}

TEST_P(GemmTest, WhatIsPackedCanBeUnpacked) {
  auto [k, n] = GetParam();
  auto w = Random(n * k, 15), again = std::vector<float>(n * k);
  PackedMatrix b;
  b.Reset(Dtype::kFp32, k, n);
  b.PackTransposed(w.data(), n, 0);
  b.UnpackTransposed(again.data());
  EXPECT_EQ(again, w);
  std::vector<uint16_t> rounded(n * k), again16(n * k);
  ToBf16(w.data(), n * k, rounded.data());
  b.Reset(Dtype::kBf16, k, n);
  b.PackTransposed(w.data(), n, 0);
  b.UnpackTransposed(again16.data());
  EXPECT_EQ(again16, rounded);
}

INSTANTIATE_TEST_SUITE_P(Shapes, GemmTest,
                         testing::Values(Shape{64, 96}, Shape{48, 33}, Shape{576, 192},
                                         Shape{2, 1}));

// Which is written past the caches where rows of C begin at a cache line, as all but the last two
// do.
TEST(GemmTest, ALargeResultHasTheBitsOfItsRows) {
  const int64_t m = 300, k = 6, n = 8192;
  auto a = Random(m * k, 16), w = Random(n * k, 17);
  PackedMatrix b;
  b.Reset(Dtype::kFp32, k, n);
  b.PackTransposed(w.data(), n, 0);
  std::vector<float> row(n), memory(m * (n + 1) + 16);
  float* const line = memory.data() + 16 - reinterpret_cast<uintptr_t>(memory.data()) % 64 / 4;
  struct Place {
    float* c;
    int64_t ldc;
  };
  for (const Place& place : {Place{line, n}, Place{line - 1, n}, Place{line, n + 1}}) {
    std::fill(memory.begin(), memory.end(), 0.0f);
    Gemm(a.data(), m, k, b, place.c, place.ldc, OutputMode::kFp32);
    for (const int64_t i : {int64_t{0}, int64_t{12}, m / 2, m - 1}) {
      Gemm(a.data() + i * k, 1, k, b, row.data(), n, OutputMode::kFp32);
      EXPECT_TRUE(std::equal(row.begin(), row.end(), place.c + i * place.ldc)) << i;
    }
  }
}

TEST(GemmKernelsTest, EveryCpuGetsTheBestKernelThatItCanRun) {
  const GemmKernels any = ChooseGemmKernels({});
  EXPECT_EQ(any.bf16, PanelBf16Portable);
  EXPECT_EQ(any.fp32, PanelFp32Portable);
  const GemmKernels skylake = ChooseGemmKernels({.avx512f = true});
  EXPECT_EQ(skylake.bf16, PanelBf16Portable);
  EXPECT_EQ(skylake.fp32, PanelFp32Avx512);
  const GemmKernels zen4 = ChooseGemmKernels({.avx512f = true, .avx512_bf16 = true});
  EXPECT_EQ(zen4.bf16, PanelBf16Avx512);
  EXPECT_EQ(zen4.fp32, PanelFp32Avx512);
  const GemmKernels sapphire =
      ChooseGemmKernels({.avx512f = true, .avx512_bf16 = true, .amx_bf16 = true});
  EXPECT_EQ(sapphire.bf16, PanelBf16Amx);
  EXPECT_EQ(sapphire.fp32, PanelFp32Avx512);
}

template <typename T>
void RunKernel(PanelKernel<T> kernel, PanelProduct<T> product, OutputMode mode, void* c) {
  product.mode = mode;
  product.c = c;
  kernel(product);
}

// On a CPU without AVX-512 this compares the portable kernels with themselves.
TEST(GemmKernelsTest, TheKernelsOfThisCpuAgreeWithThePortableOnes) {
  const GemmKernels kernels = ChooseGemmKernels(CpuFeatures::OfThisCpu());
  const int64_t k = 70;
  auto b = Random(k * kPanelColumns, 8);
  std::vector<uint16_t> b16(b.size());
  ToBf16(b.data(), b.size(), b16.data());
  for (int64_t m : {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 37}) {
    auto a = Random(m * k, 7);
    std::vector<uint16_t> a16(a.size());
    ToBf16(a.data(), a.size(), a16.data());
    const PanelProduct<uint16_t> product16 = {.a = a16.data(),
                                              .lda = k,
                                              .m = m,
                                              .panel = b16.data(),
                                              .k = k,
                                              .ldc = kPanelColumns,
                                              .next = b16.data()};
    const PanelProduct<float> product = {
        .a = a.data(), .lda = k, .m = m, .panel = b.data(), .k = k, .ldc = kPanelColumns};
    for (OutputMode mode : {OutputMode::kFp32, OutputMode::kAccumulateFp32}) {
      std::vector<float> got(m * kPanelColumns, 0.5f), wanted = got;
      RunKernel(kernels.bf16, product16, mode, got.data());
      RunKernel(PanelBf16Portable, product16, mode, wanted.data());
      for (size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], wanted[i], 1e-5) << "m " << m;
      RunKernel(kernels.fp32, product, mode, got.data());
      RunKernel(PanelFp32Portable, product, mode, wanted.data());
      for (size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], wanted[i], 1e-5) << "m " << m;
    }
    // What a kernel rounds is its own sum.
    for (const PanelKernel<uint16_t> kernel : {kernels.bf16, PanelBf16Portable}) {
      std::vector<float> sums(m * kPanelColumns);
      std::vector<uint16_t> got(sums.size()), wanted(sums.size());
      RunKernel(kernel, product16, OutputMode::kFp32, sums.data());
      RunKernel(kernel, product16, OutputMode::kBf16, got.data());
      ToBf16(sums.data(), static_cast<int64_t>(sums.size()), wanted.data());
      ASSERT_EQ(got, wanted) << "m " << m;
    }
  }
}

TEST(PackedMatrixTest, ResetLeavesCopiesAsTheyAre) {
  auto w = Random(40 * 6, 9);
  PackedMatrix a;
  a.Reset(Dtype::kFp32, 6, 40);
  a.PackTransposed(w.data(), 40, 0);
  const PackedMatrix copy = a;
  EXPECT_EQ(copy.panel(0), a.panel(0));
  const std::vector<float> before(static_cast<const float*>(copy.panel(0)),
                                  static_cast<const float*>(copy.panel(0)) + 6 * kPanelColumns);
  for (float& x : w) x += 1;
  a.Reset(Dtype::kFp32, 6, 40);
  a.PackTransposed(w.data(), 40, 0);
  EXPECT_TRUE(std::equal(before.begin(), before.end(), static_cast<const float*>(copy.panel(0))));
  EXPECT_EQ(static_cast<const float*>(a.panel(0))[0], before[0] + 1);
  const void* memory = a.panel(0);
  a.Reset(Dtype::kFp32, 6, 40);
  EXPECT_EQ(a.panel(0), memory);
}

}  // namespace
}  // namespace reckon
