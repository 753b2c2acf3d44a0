#include "common/model/kernels/cpu/packed_matrix.h"

#include <algorithm>
#include <cstring>

#include "common/base/memory.h"
#include "common/base/thread_pool.h"
#include "common/model/kernels/cpu/cpu_features.h"
#include "common/model/kernels/pieces.h"

namespace reckon {
namespace {

// A panel is rows of 32 units of 32 bits: a unit is one fp32 number, or the bf16 numbers of two
// rows.
using Unit = uint32_t;
constexpr int64_t kBlockUnits = 32;

// Copies n numbers into the panel's dtype.
void Convert(const uint16_t* from, int64_t n, uint16_t* to) { std::copy_n(from, n, to); }
void Convert(const float* from, int64_t n, uint16_t* to) { ToBf16(from, n, to); }
void Convert(const float* from, int64_t n, float* to) { std::copy_n(from, n, to); }
void Convert(const uint16_t* from, int64_t n, float* to) {
  for (int64_t i = 0; i < n; ++i) to[i] = FromBf16(from[i]);
}

// kPanelColumns bf16 numbers, of which `columns` are those at `from`: in place where that is all of
// them, else in `buffer`, whose others stay as they are.
const uint16_t* WholePanelRow(const uint16_t* from, int64_t columns, uint16_t* buffer) {
  if (columns == kPanelColumns) return from;
  Convert(from, columns, buffer);
  return buffer;
}
const uint16_t* WholePanelRow(const float* from, int64_t columns, uint16_t* buffer) {
  Convert(from, columns, buffer);
  return buffer;
}

RECKON_CLONES void Interleave(const uint16_t* low, const uint16_t* high, Unit* to) {
  for (int64_t j = 0; j < kPanelColumns; ++j) to[j] = low[j] | static_cast<Unit>(high[j]) << 16;
}

// to[u][j] = from[j][u] for columns j of first_column .. end_column-1. A whole panel has a loop of
// its own, with bounds that the compiler knows.
RECKON_CLONES void Transpose(const Unit (*from)[kBlockUnits], int64_t units, int64_t first_column,
                             int64_t end_column, Unit* to) {
  if (first_column == 0 && end_column == kPanelColumns) {
    for (int64_t u = 0; u < units; ++u) {
      for (int64_t j = 0; j < kPanelColumns; ++j) to[u * kPanelColumns + j] = from[j][u];
    }
    return;
  }
  for (int64_t u = 0; u < units; ++u) {
    for (int64_t j = first_column; j < end_column; ++j) to[u * kPanelColumns + j] = from[j][u];
  }
}

}  // namespace

void PackedMatrix::Reset(Dtype dtype, int64_t k, int64_t n) {
  const bool same_shape = dtype == dtype_ && k == k_ && n == n_ && data_ != nullptr;
  // A graph that holds a copy still needs the old weights for its backward; then new memory is
  // taken and the graph's copy stays as it is.
  if (same_shape && data_.use_count() == 1) return;
  SetShape(dtype, k, n);
  // A row of a panel is 128 bytes, so with this alignment no vector load crosses a cache line.
  data_ = AllocateBytes(panel_bytes() * panels());
  // Packing does not write the padding.
  if (n % kPanelColumns != 0 || k != padded_k()) Clear();
}

void PackedMatrix::Clear() { std::memset(data_.get(), 0, panel_bytes() * panels()); }

void PackedMatrix::Place(Dtype dtype, int64_t k, int64_t n, Pieces* memory) {
  SetShape(dtype, k, n);
  data_ = memory->Take(Bytes(dtype, k, n));
}

uint64_t PackedMatrix::Bytes(Dtype dtype, int64_t k, int64_t n) {
  PackedMatrix shape;
  shape.SetShape(dtype, k, n);
  return static_cast<uint64_t>(shape.panel_bytes() * shape.panels());
}

void PackedMatrix::SetShape(Dtype dtype, int64_t k, int64_t n) {
  dtype_ = dtype;
  k_ = k;
  n_ = n;
}

// Block by block: the next units of 32 columns, copied row by row from w, then transposed.
template <typename T>
void PackedMatrix::PackTransposedFrom(const T* w, int64_t k, int64_t n, int64_t first_row,
                                      int64_t first_column) {
  const int64_t first_panel = first_column / kPanelColumns;
  const int64_t end_panel = (first_column + n + kPanelColumns - 1) / kPanelColumns;
  const int64_t per_unit = dtype_ == Dtype::kBf16 ? 2 : 1;
  ParallelFor(end_panel - first_panel, [&](int64_t task) {
    const int64_t column = (first_panel + task) * kPanelColumns;
    // A part of a weight may begin or end inside a panel; the other columns of that panel belong to
    // another part and are left alone.
    const int64_t begin = std::max(first_column - column, int64_t{0});
    const int64_t end = std::min(first_column + n - column, kPanelColumns);
    Unit* to = reinterpret_cast<Unit*>(MutablePanel(first_panel + task)) +
               first_row / per_unit * kPanelColumns;
    // Read along the rows of w and written along those of the panel, with the transposition in a
    // block of 4 KiB that stays in the first-level cache.
    alignas(64) Unit block[kPanelColumns][kBlockUnits];
    for (int64_t row = 0; row < k; row += kBlockUnits * per_unit) {
      const int64_t rows = std::min(kBlockUnits * per_unit, k - row);
      const int64_t units = (rows + per_unit - 1) / per_unit;
      for (int64_t j = begin; j < end; ++j) {
        const T* from = w + (column + j - first_column) * k + row;
        if (dtype_ == Dtype::kFp32) {
          Convert(from, rows, reinterpret_cast<float*>(block[j]));
          continue;
        }
        block[j][units - 1] = 0;  // the partner of an odd last row
        Convert(from, rows, reinterpret_cast<uint16_t*>(block[j]));
      }
      Transpose(block, units, begin, end, to + row / per_unit * kPanelColumns);
    }
  });
}

template <typename T>
void PackedMatrix::PackRowsFrom(const T* w, int64_t k, int64_t first_row, int64_t ld) {
  ParallelFor(panels(), [&](int64_t panel) {
    const int64_t column = panel * kPanelColumns, columns = std::min(kPanelColumns, n_ - column);
    Unit* to = reinterpret_cast<Unit*>(MutablePanel(panel));
    if (dtype_ == Dtype::kFp32) {
      for (int64_t i = 0; i < k; ++i) {
        Convert(w + i * ld + column, columns,
                reinterpret_cast<float*>(to + (first_row + i) * kPanelColumns));
      }
      return;
    }
    alignas(64) uint16_t buffers[2][kPanelColumns] = {};
    const auto columns_of = [&](int64_t i, uint16_t* buffer) {
      return WholePanelRow(w + i * ld + column, columns, buffer);
    };
    for (int64_t i = 0; i < k;) {
      const int64_t row = first_row + i;
      Unit* at = to + row / 2 * kPanelColumns;
      const uint16_t* low = columns_of(i, buffers[0]);
      if (row % 2 == 0 && i + 1 < k) {
        Interleave(low, columns_of(i + 1, buffers[1]), at);
        i += 2;
        continue;
      }
      // The row's partner is packed by another call, or does not exist.
      for (int64_t j = 0; j < columns; ++j) {
        reinterpret_cast<uint16_t*>(at)[2 * j + row % 2] = low[j];
      }
      ++i;
    }
  });
}

template <typename T>
void PackedMatrix::UnpackTransposedTo(T* w) const {
  constexpr int64_t kPerUnit = sizeof(Unit) / sizeof(T);
  ParallelFor(panels(), [&](int64_t index) {
    const T* from = static_cast<const T*>(panel(index));
    const int64_t first = index * kPanelColumns, columns = std::min(kPanelColumns, n_ - first);
    for (int64_t j = 0; j < columns; ++j) {
      for (int64_t row = 0; row < k_; ++row) {
        w[(first + j) * k_ + row] =
            from[(row / kPerUnit * kPanelColumns + j) * kPerUnit + row % kPerUnit];
      }
    }
  });
}

void PackedMatrix::UnpackTransposed(void* w) const {
  if (dtype_ == Dtype::kBf16) {
    UnpackTransposedTo(static_cast<uint16_t*>(w));
  } else {
    UnpackTransposedTo(static_cast<float*>(w));
  }
}

void PackedMatrix::PackTransposed(const float* w, int64_t n, int64_t first_column) {
  PackTransposedFrom(w, k_, n, 0, first_column);
}
void PackedMatrix::PackTransposed(const uint16_t* w, int64_t n, int64_t first_column) {
  PackTransposedFrom(w, k_, n, 0, first_column);
}
void PackedMatrix::PackTransposedRows(const float* w, int64_t k, int64_t n, int64_t first_row,
                                      int64_t first_column) {
  PackTransposedFrom(w, k, n, first_row, first_column);
}
void PackedMatrix::PackTransposedRows(const uint16_t* w, int64_t k, int64_t n, int64_t first_row,
                                      int64_t first_column) {
  PackTransposedFrom(w, k, n, first_row, first_column);
}
void PackedMatrix::PackRows(const float* w, int64_t k, int64_t first_row, int64_t ld) {
  PackRowsFrom(w, k, first_row, ld);
}
void PackedMatrix::PackRows(const uint16_t* w, int64_t k, int64_t first_row, int64_t ld) {
  PackRowsFrom(w, k, first_row, ld);
}

}  // namespace reckon
