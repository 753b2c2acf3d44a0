#ifndef RECKON_COMMON_MODEL_OPS_GEMM_TILES_H_
#define RECKON_COMMON_MODEL_OPS_GEMM_TILES_H_

#include <algorithm>
#include <cstdint>

namespace reckon {

// A bf16 panel (see gemm_kernels.h) by matrix tiles of 16 rows of 64 bytes, as AMX has them. Two
// tiles of A meet two of B; every element of C is one sum over the pairs in order, whichever tile
// its row is in. `Tiles` is the machine: the CPU's, or a test's in plain C++.
//
//   Tiles(rows0, rows1)      C and A tiles of that many rows; rows1 may be 0
//   Zero(), Load(c, ldc)     what C [rows0 + rows1, 32] begins with
//   Step(a, lda, b)          C += A [rows0 + rows1, 16 pairs] * B [16 pairs, 32 columns]
//   Store(c, ldc)
template <typename Tiles>
void PanelBf16Tiles(const uint16_t* a, int64_t m, int64_t lda, const uint16_t* panel, int64_t k2,
                    float* c, int64_t ldc, bool add) {
  constexpr int64_t kRows = 16, kPairs = 16, kPanelRow = 64;
  for (int64_t i = 0; i < m; i += 2 * kRows) {
    const int64_t rows0 = std::min(kRows, m - i);
    const int64_t rows1 = std::clamp<int64_t>(m - i - kRows, 0, kRows);
    Tiles tiles(static_cast<int>(rows0), static_cast<int>(rows1));
    if (add) {
      tiles.Load(c + i * ldc, ldc);
    } else {
      tiles.Zero();
    }
    const uint16_t* rows = a + i * lda;
    int64_t p = 0;
    for (; p + kPairs <= k2; p += kPairs) tiles.Step(rows + 2 * p, lda, panel + p * kPanelRow);
    if (p < k2) {
      // The last pairs, with zeros behind.
      alignas(64) uint16_t last_a[2 * kRows * 2 * kPairs] = {};
      alignas(64) uint16_t last_b[kPairs * kPanelRow] = {};
      for (int64_t r = 0; r < rows0 + rows1; ++r) {
        std::copy_n(rows + r * lda + 2 * p, 2 * (k2 - p), last_a + r * 2 * kPairs);
      }
      std::copy_n(panel + p * kPanelRow, (k2 - p) * kPanelRow, last_b);
      tiles.Step(last_a, 2 * kPairs, last_b);
    }
    tiles.Store(c + i * ldc, ldc);
  }
}

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_OPS_GEMM_TILES_H_
