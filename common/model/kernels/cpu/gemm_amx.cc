// Compiled for AMX and AVX-512F.
#include "common/model/kernels/cpu/gemm_amx.h"

#include <immintrin.h>

#include <algorithm>

namespace reckon {
namespace {

constexpr int64_t kTileRows = 16;
constexpr int64_t kPairs = 16;                      // of k, in a tile
constexpr int64_t kPairNumbers = 64;                // of the panel: 32 columns
constexpr int64_t kPairBytes = 2 * kPairNumbers;    // from a pair of the panel to the next
constexpr int64_t kSumsBytes = 32 * sizeof(float);  // from a row of sums to the next
constexpr int64_t kLastBytes = 2 * kPairs * sizeof(uint16_t);

// The compiler does not know that the tile instructions read and write memory.
void Fence() { asm volatile("" ::: "memory"); }

// Tiles 0 to 3 are C, 4 and 5 are A, 6 and 7 the panel. `rows0`, `rows1`: of the upper and the
// lower tiles of C and A.
void Configure(int64_t rows0, int64_t rows1) {
  struct alignas(64) {
    uint8_t palette = 1;
    uint8_t start_row = 0;
    uint8_t reserved[14] = {};
    uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
    uint8_t rows[16] = {};
  } config;
  static_assert(sizeof(config) == 64);
  for (int tile : {0, 1, 4}) config.rows[tile] = static_cast<uint8_t>(rows0);
  for (int tile : {2, 3, 5}) config.rows[tile] = static_cast<uint8_t>(rows1);
  for (int tile : {6, 7}) config.rows[tile] = kPairs;
  asm volatile("" : : "r"(&config) : "memory");
  _tile_loadconfig(&config);
}

// C += A * B for kPairs pairs. The strides are in bytes.
template <bool kTwo>
[[gnu::always_inline]] inline void Step(const uint16_t* a, int64_t stride, const uint16_t* b) {
  _tile_loadd(6, b, kPairBytes);
  _tile_loadd(7, b + 2 * kPairs, kPairBytes);
  _tile_loadd(4, a, stride);
  _tile_dpbf16ps(0, 4, 6);
  _tile_dpbf16ps(1, 4, 7);
  if constexpr (kTwo) {
    _tile_loadd(5, reinterpret_cast<const char*>(a) + kTileRows * stride, stride);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
}

template <bool kTwo>
[[gnu::always_inline]] inline void Store(float* c, int64_t stride) {
  _tile_stored(0, c, stride);
  _tile_stored(1, c + kTileRows, stride);
  if constexpr (kTwo) {
    char* lower = reinterpret_cast<char*>(c) + kTileRows * stride;
    _tile_stored(2, lower, stride);
    _tile_stored(3, lower + kTileRows * sizeof(float), stride);
  }
  Fence();
}

// Rows first .. first+m-1, up to 32, for which the tiles are configured; kTwo: more than 16.
template <bool kTwo>
void Rows(const PanelProduct<uint16_t>& product, int64_t first, int64_t m) {
  const int64_t lda = product.lda, ldc = product.ldc, k2 = product.k / 2;
  const uint16_t* a = product.a + first * lda;
  const uint16_t* panel = product.panel;
  _tile_zero(0);
  _tile_zero(1);
  if constexpr (kTwo) {
    _tile_zero(2);
    _tile_zero(3);
  }
  Fence();
  int64_t p = 0;
  for (; p + kPairs <= k2; p += kPairs) {
    Step<kTwo>(a + 2 * p, lda * static_cast<int64_t>(sizeof(uint16_t)), panel + p * kPairNumbers);
  }
  if (p < k2) {
    // The last pairs, with zeros behind.
    alignas(64) uint16_t last_a[2 * kTileRows * 2 * kPairs] = {};
    alignas(64) uint16_t last_b[kPairs * kPairNumbers] = {};
    for (int64_t i = 0; i < m; ++i) {
      std::copy_n(a + i * lda + 2 * p, 2 * (k2 - p), last_a + i * 2 * kPairs);
    }
    std::copy_n(panel + p * kPairNumbers, (k2 - p) * kPairNumbers, last_b);
    Fence();
    Step<kTwo>(last_a, kLastBytes, last_b);
  }
  float* c = static_cast<float*>(product.c) + first * ldc;  // unless it is bf16
  if (product.mode == OutputMode::kFp32) {
    return Store<kTwo>(c, ldc * static_cast<int64_t>(sizeof(float)));
  }
  alignas(64) float sums[2 * kTileRows * 32];
  Store<kTwo>(sums, kSumsBytes);
  if (product.mode == OutputMode::kBf16) {
    return ToBf16(sums, m, 32, 32, static_cast<uint16_t*>(product.c) + first * ldc, ldc);
  }
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j : {0, 16}) {
      float* to = c + i * ldc + j;
      _mm512_storeu_ps(to, _mm512_add_ps(_mm512_loadu_ps(to), _mm512_load_ps(sums + i * 32 + j)));
    }
  }
}

}  // namespace

void PanelBf16Amx(const PanelProduct<uint16_t>& product) {
  int64_t i = 0;
  if (product.m >= 2 * kTileRows) Configure(kTileRows, kTileRows);
  for (; i + 2 * kTileRows <= product.m; i += 2 * kTileRows) {
    Rows<true>(product, i, 2 * kTileRows);
  }
  const int64_t rest = product.m - i;
  if (rest > 0) {
    Configure(std::min(kTileRows, rest), std::max<int64_t>(1, rest - kTileRows));
    const auto rows = rest > kTileRows ? Rows<true> : Rows<false>;
    rows(product, i, rest);
  }
  // What follows on this thread finds no tiles in use, and the kernel none to save.
  _tile_release();
}

}  // namespace reckon
