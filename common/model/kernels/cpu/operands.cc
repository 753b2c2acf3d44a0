#include "common/model/kernels/cpu/operands.h"

#include <ATen/ops/empty.h>
#include <emmintrin.h>

#include <algorithm>

#include "common/base/thread_pool.h"
#include "common/model/kernels/cpu/gemm.h"
#include "common/model/kernels/interface.h"

namespace reckon {
namespace {

// to [8, 8] = from [8, 8]^T, by SSE2; row strides in elements.
void Transpose8x8(const uint16_t* from, int64_t ld, uint16_t* to, int64_t to_ld) {
  __m128i a[8], b[8];
  for (int i = 0; i < 8; ++i) {
    a[i] = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + i * ld));
  }
  // Interleaves rows i and i + 4; after three rounds, each row holds one column.
  auto interleave = [](const __m128i* x, __m128i* y) {
    for (int i = 0; i < 4; ++i) {
      y[2 * i] = _mm_unpacklo_epi16(x[i], x[i + 4]);
      y[2 * i + 1] = _mm_unpackhi_epi16(x[i], x[i + 4]);
    }
  };
  interleave(a, b);
  interleave(b, a);
  interleave(a, b);
  for (int i = 0; i < 8; ++i) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to + i * to_ld), b[i]);
  }
}

template <typename T>
void TransposeTiles(const T* from, int64_t rows, int64_t n, int64_t ld, T* to, int64_t to_ld) {
  // Tile by tile, because either the reads or the writes of a transposition jump by a whole row;
  // within a tile the cache lines that are touched are used up.
  constexpr int64_t kTile = 32, kAhead = 16;
  for (int64_t first = 0; first < n; first += kTile) {
    const int64_t end = std::min(n, first + kTile);
    for (int64_t row = 0; row < rows; row += kTile) {
      const int64_t row_end = std::min(rows, row + kTile);
      int64_t whole_row = row, whole_column = first;  // the ends of what is done by eights
      if constexpr (sizeof(T) == 2) {
        whole_row += (row_end - row) / 8 * 8;
        whole_column += (end - first) / 8 * 8;
        for (int64_t i = row; i < whole_row; i += 8) {
          for (int64_t r = i; r < i + 8; ++r) {
            // The lines that are read soon and those that the next tile writes: both lie a row
            // apart, where the hardware fetches nothing ahead. A fetch beyond the end does no harm.
            __builtin_prefetch(from + (r + kAhead) * ld + first);
            __builtin_prefetch(to + (first + r - row) * to_ld + row + kTile, /*rw=*/1);
          }
          for (int64_t j = first; j < whole_column; j += 8) {
            Transpose8x8(from + i * ld + j, ld, to + j * to_ld + i, to_ld);
          }
        }
      }
      for (int64_t j = first; j < end; ++j) {
        const int64_t begin = j < whole_column ? whole_row : row;
        for (int64_t i = begin; i < row_end; ++i) to[j * to_ld + i] = from[i * ld + j];
      }
    }
    for (int64_t j = first; j < end; ++j) {
      // bf16 kernels read pairs along k. The partner of an odd last row must be zero and not merely
      // unused: 0 times what memory holds may be NaN.
      for (int64_t i = rows; i < to_ld; ++i) to[j * to_ld + i] = T(0);
    }
  }
}

template <typename T>
at::Tensor TransposedAs(const at::Tensor& x) {
  const int64_t rows = x.size(0), n = x.size(1), padded = (rows + 1) / 2 * 2;
  at::Tensor out = at::empty({n, padded}, x.scalar_type());
  const T* from = static_cast<const T*>(x.const_data_ptr());
  T* to = static_cast<T*>(out.mutable_data_ptr());
  constexpr int64_t kColumnsPerTask = 32;
  ParallelFor((n + kColumnsPerTask - 1) / kColumnsPerTask, [&](int64_t task) {
    const int64_t first = task * kColumnsPerTask;
    TransposeRows(from + first, rows, std::min(n - first, kColumnsPerTask), n, to + first * padded,
                  padded);
  });
  return out;
}

}  // namespace

void TransposeRows(const uint16_t* from, int64_t rows, int64_t n, int64_t ld, uint16_t* to,
                   int64_t to_ld) {
  TransposeTiles(from, rows, n, ld, to, to_ld);
}
void TransposeRows(const float* from, int64_t rows, int64_t n, int64_t ld, float* to,
                   int64_t to_ld) {
  TransposeTiles(from, rows, n, ld, to, to_ld);
}

at::Tensor TransposedLeft(const at::Tensor& x) {
  return DtypeOf(x) == Dtype::kBf16 ? TransposedAs<uint16_t>(x) : TransposedAs<float>(x);
}

PackedMatrix PackedRows(const at::Tensor& x) {
  PackedMatrix out;
  out.Reset(DtypeOf(x), x.size(0), x.size(1));
  if (DtypeOf(x) == Dtype::kBf16) {
    out.PackRows(static_cast<const uint16_t*>(x.const_data_ptr()), x.size(0), 0, x.stride(0));
  } else {
    out.PackRows(x.const_data_ptr<float>(), x.size(0), 0, x.stride(0));
  }
  return out;
}

at::Tensor Multiply(const at::Tensor& x, const PackedMatrix& b) {
  at::Tensor out = at::empty({x.size(0), b.n()}, x.scalar_type());
  Gemm(x.const_data_ptr(), x.size(0), x.stride(0), b, out.mutable_data_ptr(), b.n(),
       b.dtype() == Dtype::kBf16 ? OutputMode::kBf16 : OutputMode::kFp32);
  return out;
}

const char* AddressOf(const at::Tensor& x, int64_t row, int64_t column) {
  return static_cast<const char*>(x.const_data_ptr()) +
         (row * x.stride(0) + column) * BytesOf(DtypeOf(x));
}

}  // namespace reckon
