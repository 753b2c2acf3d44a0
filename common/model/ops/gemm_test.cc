#include "common/model/ops/gemm.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "common/base/rng.h"
#include "common/model/ops/gemm_kernels.h"
#include "common/model/ops/gemm_tiles.h"
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
  b.Reset(Element::kFp32, k, n);
  b.PackTransposed(w.data(), n, 0);
  std::vector<float> c(m * n, 1.0f);
  Gemm(a.data(), m, k, b, c.data(), n, Store::kAddFp32);
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
  b.Reset(Element::kBf16, k, n);
  b.PackTransposed(w.data(), n, 0);
  std::vector<float> c(m * n);
  Gemm(a.data(), m, k, b, c.data(), n, Store::kFp32);
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      double sum = 0;
      for (int64_t p = 0; p < k; ++p) {
        sum += static_cast<double>(FromBf16(a[i * k + p])) * FromBf16(ToBf16(w[j * k + p]));
      }
      ASSERT_NEAR(c[i * n + j], sum, 1e-3) << i << "," << j;
    }
  }
  // The same operand packed from its transpose is the same matrix.
  std::vector<float> wt(k * n);
  for (int64_t j = 0; j < n; ++j) {
    for (int64_t p = 0; p < k; ++p) wt[p * n + j] = w[j * k + p];
  }
  rows.Reset(Element::kBf16, k, n);
  rows.PackRows(wt.data(), k, 0, n);
  std::vector<float> again(m * n);
  Gemm(a.data(), m, k, rows, again.data(), n, Store::kFp32);
  EXPECT_EQ(c, again);
}

TEST_P(GemmTest, ARowDoesNotDependOnTheOtherRows) {
  auto [k, n] = GetParam();
  const int64_t most = 400;
  for (Element element : {Element::kBf16, Element::kFp32}) {
    auto a32 = Random(most * k, 5), w = Random(n * k, 6);
    std::vector<uint16_t> a16(most * k);
    ToBf16(a32.data(), most * k, a16.data());
    auto a = [&](int64_t row) {
      return element == Element::kBf16 ? static_cast<const void*>(a16.data() + row * k)
                                       : static_cast<const void*>(a32.data() + row * k);
    };
    PackedMatrix b;
    b.Reset(element, k, n);
    b.PackTransposed(w.data(), n, 0);
    std::vector<float> whole(most * n);
    Gemm(a(0), most, k, b, whole.data(), n, Store::kFp32);
    for (int64_t m : {1, 2, 5, 11, 12, 13, 24, 64, 193}) {
      for (int64_t first : {int64_t{0}, int64_t{7}, most - m}) {
        std::vector<float> part(m * n);
        Gemm(a(first), m, k, b, part.data(), n, Store::kFp32);
        ASSERT_TRUE(std::equal(part.begin(), part.end(), whole.begin() + first * n))
            << "m " << m << " first " << first;
      }
    }
  }
}

// Tiles of 16 rows of 64 bytes in plain C++; what lies beyond a tile's rows is never touched.
class PlainTiles {
 public:
  PlainTiles(int rows0, int rows1) : rows_(rows0 + rows1) {
    EXPECT_TRUE(rows1 == 0 || rows0 == 16);
  }
  void Zero() { std::fill(&c_[0][0], &c_[0][0] + 32 * 32, 0.0f); }
  void Load(const float* c, int64_t ldc) {
    for (int i = 0; i < rows_; ++i) std::copy_n(c + i * ldc, 32, c_[i]);
  }
  void Step(const uint16_t* a, int64_t lda, const uint16_t* b) {
    for (int i = 0; i < rows_; ++i) {
      for (int p = 0; p < 32; ++p) {
        for (int j = 0; j < 32; ++j) {
          c_[i][j] += FromBf16(a[i * lda + p]) * FromBf16(b[p / 2 * 64 + j * 2 + p % 2]);
        }
      }
    }
  }
  void Store(float* c, int64_t ldc) {
    for (int i = 0; i < rows_; ++i) std::copy_n(c_[i], 32, c + i * ldc);
  }

 private:
  const int rows_;
  float c_[32][32];
};

TEST(GemmTilesTest, TilesGiveWhatThePlainKernelGives) {
  const int64_t most = 70;
  for (int64_t k2 : {1, 15, 16, 17, 36}) {
    auto a32 = Random(most * 2 * k2, 7), b32 = Random(k2 * 64, 8);
    std::vector<uint16_t> a(a32.size()), b(b32.size());
    ToBf16(a32.data(), a32.size(), a.data());
    ToBf16(b32.data(), b32.size(), b.data());
    for (int64_t m : {1, 15, 16, 17, 31, 32, 33, 64, 70}) {
      for (bool add : {false, true}) {
        std::vector<float> tiles(m * 32, 0.5f), plain(m * 32, 0.5f);
        PanelBf16Tiles<PlainTiles>(a.data(), m, 2 * k2, b.data(), k2, tiles.data(), 32, add);
        PanelBf16Portable(a.data(), m, 2 * k2, b.data(), k2, plain.data(), 32, add);
        for (size_t i = 0; i < plain.size(); ++i) {
          ASSERT_NEAR(tiles[i], plain[i], 1e-5) << "m " << m << " k2 " << k2;
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, GemmTest,
                         testing::Values(Shape{64, 96}, Shape{48, 33}, Shape{576, 192},
                                         Shape{2, 1}));

}  // namespace
}  // namespace reckon
