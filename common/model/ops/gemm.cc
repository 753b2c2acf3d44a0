#include "common/model/ops/gemm.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "common/model/ops/clones.h"
#include "common/model/ops/gemm_kernels.h"
#include "common/model/ops/thread_pool.h"

namespace reckon {
namespace {

// Rows of A worked on together: with K = 1536 they fit the second-level cache beside a panel.
constexpr int64_t kRowsPerTask = 192;

Bf16PanelKernel Bf16Kernel() {
  static const Bf16PanelKernel kernel = HasAvx512Bf16() ? PanelBf16Avx512 : PanelBf16Portable;
  return kernel;
}

Fp32PanelKernel Fp32Kernel() {
  static const Fp32PanelKernel kernel = HasAvx512Bf16() ? PanelFp32Avx512 : PanelFp32Portable;
  return kernel;
}

void Panel(const void* a, int64_t m, int64_t lda, const PackedMatrix& b, int64_t panel, float* c,
           int64_t ldc, bool add) {
  if (b.element() == Element::kBf16) {
    Bf16Kernel()(static_cast<const uint16_t*>(a), m, lda,
                 static_cast<const uint16_t*>(b.panel(panel)), b.padded_k() / 2, c, ldc, add);
  } else {
    Fp32Kernel()(static_cast<const float*>(a), m, lda, static_cast<const float*>(b.panel(panel)),
                 b.k(), c, ldc, add);
  }
}

}  // namespace

bool HasAvx512Bf16() {
  static const bool has = [] {
    const char* off = std::getenv("RECKON_PORTABLE_KERNELS");
    if (off != nullptr && *off == '1') return false;
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512bf16");
  }();
  return has;
}

RECKON_CLONES void ToBf16(const float* x, int64_t n, uint16_t* out) {
  for (int64_t i = 0; i < n; ++i) out[i] = ToBf16(x[i]);
}

void PackedMatrix::Free::operator()(char* p) const { std::free(p); }

void PackedMatrix::Reset(Element element, int64_t k, int64_t n) {
  element_ = element;
  k_ = k;
  n_ = n;
  int64_t bytes = panel_bytes() * ((n + kPackColumns - 1) / kPackColumns);
  if (bytes != bytes_) {
    data_.reset(static_cast<char*>(std::aligned_alloc(64, (bytes + 63) / 64 * 64)));
    bytes_ = bytes;
    std::memset(data_.get(), 0, bytes);
  }
}

int64_t PackedMatrix::panel_bytes() const {
  return padded_k() * kPackColumns * (element_ == Element::kBf16 ? 2 : 4);
}

const void* PackedMatrix::panel(int64_t index) const { return data_.get() + index * panel_bytes(); }

void* PackedMatrix::At(int64_t row, int64_t column) {
  char* panel = data_.get() + column / kPackColumns * panel_bytes();
  int64_t within = column % kPackColumns;
  if (element_ == Element::kBf16) {
    return reinterpret_cast<uint16_t*>(panel) + (row / 2 * kPackColumns + within) * 2 + row % 2;
  }
  return reinterpret_cast<float*>(panel) + row * kPackColumns + within;
}

namespace {
void Put(void* at, Element element, float value) {
  if (element == Element::kBf16) {
    *static_cast<uint16_t*>(at) = ToBf16(value);
  } else {
    *static_cast<float*>(at) = value;
  }
}
void Put(void* at, Element element, uint16_t value) {
  if (element == Element::kBf16) {
    *static_cast<uint16_t*>(at) = value;
  } else {
    *static_cast<float*>(at) = FromBf16(value);
  }
}
}  // namespace

template <typename T>
void PackedMatrix::PackTransposedFrom(const T* w, int64_t n, int64_t first_column) {
  constexpr int64_t kColumnsPerTask = 32;
  ParallelFor((n + kColumnsPerTask - 1) / kColumnsPerTask, [&](int64_t task) {
    int64_t end = std::min(n, (task + 1) * kColumnsPerTask);
    // Row blocks keep the panel lines being written in the first-level cache.
    constexpr int64_t kBlock = 64;
    for (int64_t block = 0; block < k_; block += kBlock) {
      int64_t block_end = std::min(k_, block + kBlock);
      for (int64_t j = task * kColumnsPerTask; j < end; ++j) {
        for (int64_t row = block; row < block_end; ++row) {
          Put(At(row, first_column + j), element_, w[j * k_ + row]);
        }
      }
    }
  });
}

template <typename T>
void PackedMatrix::PackRowsFrom(const T* w, int64_t k, int64_t first_row, int64_t ld) {
  ParallelFor((n_ + kPackColumns - 1) / kPackColumns, [&](int64_t panel) {
    int64_t first = panel * kPackColumns, end = std::min(n_, first + kPackColumns);
    for (int64_t row = 0; row < k; ++row) {
      for (int64_t j = first; j < end; ++j) {
        Put(At(first_row + row, j), element_, w[row * ld + j]);
      }
    }
  });
}

void PackedMatrix::PackTransposed(const float* w, int64_t n, int64_t first_column) {
  PackTransposedFrom(w, n, first_column);
}
void PackedMatrix::PackTransposed(const uint16_t* w, int64_t n, int64_t first_column) {
  PackTransposedFrom(w, n, first_column);
}
void PackedMatrix::PackRows(const float* w, int64_t k, int64_t first_row, int64_t ld) {
  PackRowsFrom(w, k, first_row, ld);
}
void PackedMatrix::PackRows(const uint16_t* w, int64_t k, int64_t first_row, int64_t ld) {
  PackRowsFrom(w, k, first_row, ld);
}

void GemmPanels(const void* a, int64_t m, int64_t lda, const PackedMatrix& b, int64_t first_panel,
                int64_t panels, float* c, int64_t ldc) {
  for (int64_t p = 0; p < panels; ++p) {
    Panel(a, m, lda, b, first_panel + p, c + p * kPackColumns, ldc, false);
  }
}

void Gemm(const void* a, int64_t m, int64_t lda, const PackedMatrix& b, void* c, int64_t ldc,
          Store store) {
  int64_t element_bytes = b.element() == Element::kBf16 ? 2 : 4;
  int64_t row_tasks = (m + kRowsPerTask - 1) / kRowsPerTask;
  int64_t panels = (b.n() + kPackColumns - 1) / kPackColumns;
  ParallelFor(panels * row_tasks, [&](int64_t task) {
    int64_t panel = task / row_tasks, first = task % row_tasks * kRowsPerTask;
    int64_t rows = std::min(kRowsPerTask, m - first);
    int64_t column = panel * kPackColumns, columns = std::min(kPackColumns, b.n() - column);
    const char* a_rows = static_cast<const char*>(a) + first * lda * element_bytes;
    if (store != Store::kBf16 && columns == kPackColumns) {
      Panel(a_rows, rows, lda, b, panel, static_cast<float*>(c) + first * ldc + column, ldc,
            store == Store::kAddFp32);
      return;
    }
    alignas(64) float tile[kRowsPerTask * kPackColumns];
    Panel(a_rows, rows, lda, b, panel, tile, kPackColumns, false);
    for (int64_t i = 0; i < rows; ++i) {
      const float* from = tile + i * kPackColumns;
      int64_t at = (first + i) * ldc + column;
      if (store == Store::kBf16) {
        ToBf16(from, columns, static_cast<uint16_t*>(c) + at);
      } else {
        float* to = static_cast<float*>(c) + at;
        for (int64_t j = 0; j < columns; ++j) {
          to[j] = store == Store::kAddFp32 ? to[j] + from[j] : from[j];
        }
      }
    }
  });
}

}  // namespace reckon
