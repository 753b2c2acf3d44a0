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
at::Tensor TransposedAs(const at::Tensor& x) {
  int64_t rows = x.size(0), n = x.size(1), padded = (rows + 1) / 2 * 2;
  at::Tensor out = at::empty({n, padded}, x.scalar_type());
  const T* from = static_cast<const T*>(x.const_data_ptr());
  T* to = static_cast<T*>(out.mutable_data_ptr());
  // Tile by tile, because either the reads or the writes of a transposition jump by a whole row;
  // within a tile the cache lines that are touched are used up.
  constexpr int64_t kTile = 32;
  ParallelFor((n + kTile - 1) / kTile, [&](int64_t task) {
    int64_t first = task * kTile, end = std::min(n, first + kTile);
    for (int64_t row = 0; row < rows; row += kTile) {
      int64_t row_end = std::min(rows, row + kTile);
      if constexpr (sizeof(T) == 2) {
        if (row_end - row == kTile && end - first == kTile) {
          for (int64_t i = row; i < row_end; i += 8) {
            for (int64_t j = first; j < end; j += 8) {
              Transpose8x8(from + i * n + j, n, to + j * padded + i, padded);
            }
          }
          continue;
        }
      }
      for (int64_t j = first; j < end; ++j) {
        for (int64_t i = row; i < row_end; ++i) to[j * padded + i] = from[i * n + j];
      }
    }
    for (int64_t j = first; j < end; ++j) {
      // bf16 kernels read pairs along k. The partner of an odd last row must be zero and not merely
      // unused: 0 times what memory holds may be NaN.
      for (int64_t i = rows; i < padded; ++i) to[j * padded + i] = T(0);
    }
  });
  return out;
}

}  // namespace

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
