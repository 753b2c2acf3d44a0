#ifndef RECKON_COMMON_MODEL_KERNELS_CPU_PACKED_MATRIX_H_
#define RECKON_COMMON_MODEL_KERNELS_CPU_PACKED_MATRIX_H_

#include <cstdint>
#include <memory>

#include "common/model/kernels/dtype.h"

namespace reckon {

class Pieces;

inline constexpr int64_t kPanelColumns = 32;

// The right operand B [k, n] of a product, repacked so that a kernel reads it from front to back.
// B is cut into panels of 32 columns, stored one after the other. In a panel, row follows row:
//
//   fp32  [n/32][k][32]        p = 0:  B[0,0] B[0,1] B[0,2] ..  B[0,31]
//                              p = 1:  B[1,0] B[1,1] B[1,2] ..  B[1,31]
//
//   bf16  [n/32][k/2][32][2]   p = 0:  B[0,0] B[1,0]  B[0,1] B[1,1] ..  B[0,31] B[1,31]
//                              p = 1:  B[2,0] B[3,0]  B[2,1] B[3,1] ..  B[2,31] B[3,31]
//
// (a pair of rows of one column is one 32-bit lane, which is what vdpbf16ps reads). Missing columns
// of the last panel and, for bf16, the missing partner of an odd last row are zeros.
//
// Copies share their memory, like at::Tensor, so that the graph of a backward pass can keep the
// weights of its forward pass. To write, call Reset first: it leaves other copies as they are.
// One thread; any number of threads may read.
class PackedMatrix {
 public:
  PackedMatrix() = default;

  // Makes room for B [k, n]. Keeps the memory if the shape is the same and no copy shares it.
  void Reset(Dtype dtype, int64_t k, int64_t n);
  // Makes all of B zero.
  void Clear();
  // Takes the next piece of `memory` for B [k, n], which is in it already or is packed next: a
  // Reset for the same shape leaves it.
  void Place(Dtype dtype, int64_t k, int64_t n, Pieces* memory);
  // Columns first_column .. first_column+n-1 of B from w [n, k], row-major: B = w^T. A weight
  // [out, in] of a linear layer is packed in this way for the forward pass.
  void PackTransposed(const float* w, int64_t n, int64_t first_column);
  void PackTransposed(const uint16_t* w, int64_t n, int64_t first_column);
  // The same of rows first_row .. first_row+k-1 alone, from w [n, k]. For bf16 first_row is even,
  // and the partner of an odd last row becomes zero.
  void PackTransposedRows(const float* w, int64_t k, int64_t n, int64_t first_row,
                          int64_t first_column);
  void PackTransposedRows(const uint16_t* w, int64_t k, int64_t n, int64_t first_row,
                          int64_t first_column);
  // Rows first_row .. first_row+k-1 of B from w [k, n], row-major with row stride ld.
  void PackRows(const float* w, int64_t k, int64_t first_row, int64_t ld);
  void PackRows(const uint16_t* w, int64_t k, int64_t first_row, int64_t ld);

  // The inverse of PackTransposed: w [n, k], row-major, of this dtype.
  void UnpackTransposed(void* w) const;

  // What B [k, n] takes.
  static uint64_t Bytes(Dtype dtype, int64_t k, int64_t n);

  Dtype dtype() const { return dtype_; }
  int64_t k() const { return k_; }
  int64_t n() const { return n_; }
  // Elements that a row of the left operand must have: k, rounded up to even for bf16.
  int64_t padded_k() const { return dtype_ == Dtype::kBf16 ? (k_ + 1) / 2 * 2 : k_; }
  int64_t panels() const { return (n_ + kPanelColumns - 1) / kPanelColumns; }
  const void* panel(int64_t index) const { return data_.get() + index * panel_bytes(); }

 private:
  void SetShape(Dtype dtype, int64_t k, int64_t n);
  template <typename T>
  void PackTransposedFrom(const T* w, int64_t k, int64_t n, int64_t first_row,
                          int64_t first_column);
  template <typename T>
  void PackRowsFrom(const T* w, int64_t k, int64_t first_row, int64_t ld);
  template <typename T>
  void UnpackTransposedTo(T* w) const;
  int64_t panel_bytes() const { return padded_k() * kPanelColumns * BytesOf(dtype_); }
  char* MutablePanel(int64_t index) { return data_.get() + index * panel_bytes(); }

  Dtype dtype_ = Dtype::kFp32;
  int64_t k_ = 0;
  int64_t n_ = 0;
  std::shared_ptr<char[]> data_;
};

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_KERNELS_CPU_PACKED_MATRIX_H_
