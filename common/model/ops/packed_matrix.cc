#include "common/model/ops/packed_matrix.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "common/model/ops/clones.h"
#include "common/model/ops/thread_pool.h"

namespace reckon {

RECKON_CLONES void ToBf16(const float* x, int64_t n, uint16_t* out) {
  for (int64_t i = 0; i < n; ++i) out[i] = ToBf16(x[i]);
}

namespace {

// A panel is rows of 32 units of 32 bits: a unit is one fp32 value, or the bf16 values of two rows.
using Unit = uint32_t;
constexpr int64_t kBlockUnits = 32;

// n values in the panel's own type.
void Stage(const uint16_t* from, int64_t n, uint16_t* to) { std::copy_n(from, n, to); }
void Stage(const float* from, int64_t n, uint16_t* to) { ToBf16(from, n, to); }
void Stage(const float* from, int64_t n, float* to) { std::copy_n(from, n, to); }
void Stage(const uint16_t* from, int64_t n, float* to) {
  for (int64_t i = 0; i < n; ++i) to[i] = FromBf16(from[i]);
}

RECKON_CLONES void Interleave(const uint16_t* low, const uint16_t* high, Unit* to) {
  for (int64_t j = 0; j < kPackColumns; ++j) to[j] = low[j] | static_cast<Unit>(high[j]) << 16;
}

// to[u][j] = from[j][u] for the columns given.
RECKON_CLONES void Turn(const Unit (*from)[kBlockUnits], int64_t units, int64_t first_column,
                        int64_t end_column, Unit* to) {
  if (first_column == 0 && end_column == kPackColumns) {
    for (int64_t u = 0; u < units; ++u) {
      for (int64_t j = 0; j < kPackColumns; ++j) to[u * kPackColumns + j] = from[j][u];
    }
    return;
  }
  for (int64_t u = 0; u < units; ++u) {
    for (int64_t j = first_column; j < end_column; ++j) to[u * kPackColumns + j] = from[j][u];
  }
}

}  // namespace

void PackedMatrix::Free::operator()(char* p) const { std::free(p); }

void PackedMatrix::Reset(Element element, int64_t k, int64_t n) {
  if (element == element_ && k == k_ && n == n_ && data_ != nullptr) return;
  element_ = element;
  k_ = k;
  n_ = n;
  const int64_t bytes = panel_bytes() * ((n + kPackColumns - 1) / kPackColumns);
  data_.reset(static_cast<char*>(std::aligned_alloc(64, (bytes + 63) / 64 * 64)));
  // What packing does not write is padding.
  if (n % kPackColumns != 0 || k != padded_k()) std::memset(data_.get(), 0, bytes);
}

int64_t PackedMatrix::panel_bytes() const {
  return padded_k() * kPackColumns * (element_ == Element::kBf16 ? 2 : 4);
}

const void* PackedMatrix::panel(int64_t index) const { return data_.get() + index * panel_bytes(); }

// Block by block: 32 columns' next units, row by row as they lie in w, then turned.
template <typename T>
void PackedMatrix::PackTransposedFrom(const T* w, int64_t n, int64_t first_column) {
  const int64_t first_panel = first_column / kPackColumns;
  const int64_t end_panel = (first_column + n + kPackColumns - 1) / kPackColumns;
  const int64_t per_unit = element_ == Element::kBf16 ? 2 : 1;
  ParallelFor(end_panel - first_panel, [&](int64_t task) {
    const int64_t column = (first_panel + task) * kPackColumns;
    const int64_t begin = std::max(first_column - column, int64_t{0});
    const int64_t end = std::min(first_column + n - column, kPackColumns);
    Unit* to = reinterpret_cast<Unit*>(MutablePanel(first_panel + task));
    alignas(64) Unit block[kPackColumns][kBlockUnits];
    for (int64_t row = 0; row < k_; row += kBlockUnits * per_unit) {
      const int64_t rows = std::min(kBlockUnits * per_unit, k_ - row);
      const int64_t units = (rows + per_unit - 1) / per_unit;
      for (int64_t j = begin; j < end; ++j) {
        const T* from = w + (column + j - first_column) * k_ + row;
        if (element_ == Element::kFp32) {
          Stage(from, rows, reinterpret_cast<float*>(block[j]));
          continue;
        }
        block[j][units - 1] = 0;  // an odd last row has no partner
        Stage(from, rows, reinterpret_cast<uint16_t*>(block[j]));
      }
      Turn(block, units, begin, end, to + row / per_unit * kPackColumns);
    }
  });
}

template <typename T>
void PackedMatrix::PackRowsFrom(const T* w, int64_t k, int64_t first_row, int64_t ld) {
  ParallelFor((n_ + kPackColumns - 1) / kPackColumns, [&](int64_t panel) {
    const int64_t column = panel * kPackColumns, columns = std::min(kPackColumns, n_ - column);
    Unit* to = reinterpret_cast<Unit*>(MutablePanel(panel));
    if (element_ == Element::kFp32) {
      for (int64_t i = 0; i < k; ++i) {
        Stage(w + i * ld + column, columns,
              reinterpret_cast<float*>(to + (first_row + i) * kPackColumns));
      }
      return;
    }
    uint16_t low[kPackColumns] = {}, high[kPackColumns] = {};
    for (int64_t i = 0; i < k;) {
      const int64_t row = first_row + i;
      Unit* at = to + row / 2 * kPackColumns;
      Stage(w + i * ld + column, columns, low);
      if (row % 2 == 0 && i + 1 < k) {
        Stage(w + (i + 1) * ld + column, columns, high);
        Interleave(low, high, at);
        i += 2;
        continue;
      }
      // Its partner is another call's, or none.
      for (int64_t j = 0; j < columns; ++j) {
        reinterpret_cast<uint16_t*>(at)[2 * j + row % 2] = low[j];
      }
      ++i;
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

}  // namespace reckon
