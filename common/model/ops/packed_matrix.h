#ifndef RECKON_COMMON_MODEL_OPS_PACKED_MATRIX_H_
#define RECKON_COMMON_MODEL_OPS_PACKED_MATRIX_H_

#include <bit>
#include <cstdint>
#include <memory>

namespace reckon {

// bf16 is held as uint16_t bit patterns.
enum class Element { kBf16, kFp32 };

inline constexpr int64_t kPackColumns = 32;

// The right-hand operand B [k, n], packed in panels of 32 columns: bf16 as [n/32][k/2][32][2],
// fp32 as [n/32][k][32]; both padded with zeros. Owns its memory. Immutable while in use.
class PackedMatrix {
 public:
  PackedMatrix() = default;

  // Room for B [k, n]; keeps the memory when the shape is the same.
  void Reset(Element element, int64_t k, int64_t n);
  // Columns first_column .. first_column+n-1 of B from w [n, k], row-major: B = w^T.
  void PackTransposed(const float* w, int64_t n, int64_t first_column);
  void PackTransposed(const uint16_t* w, int64_t n, int64_t first_column);
  // Rows first_row .. first_row+k-1 of B from w [k, n], row-major with row stride ld.
  void PackRows(const float* w, int64_t k, int64_t first_row, int64_t ld);
  void PackRows(const uint16_t* w, int64_t k, int64_t first_row, int64_t ld);

  Element element() const { return element_; }
  int64_t k() const { return k_; }
  int64_t n() const { return n_; }
  // Elements a row of the left operand must have: k rounded up to even for bf16.
  int64_t padded_k() const { return element_ == Element::kBf16 ? (k_ + 1) / 2 * 2 : k_; }
  const void* panel(int64_t index) const;

 private:
  template <typename T>
  void PackTransposedFrom(const T* w, int64_t n, int64_t first_column);
  template <typename T>
  void PackRowsFrom(const T* w, int64_t k, int64_t first_row, int64_t ld);
  int64_t panel_bytes() const;
  char* MutablePanel(int64_t index) { return data_.get() + index * panel_bytes(); }

  Element element_ = Element::kFp32;
  int64_t k_ = 0;
  int64_t n_ = 0;
  struct Free {
    void operator()(char* p) const;
  };
  std::unique_ptr<char[], Free> data_;
};

// Round to nearest even; the value must not be NaN.
inline uint16_t ToBf16(float x) {
  uint32_t bits = std::bit_cast<uint32_t>(x);
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}
inline float FromBf16(uint16_t x) { return std::bit_cast<float>(static_cast<uint32_t>(x) << 16); }
void ToBf16(const float* x, int64_t n, uint16_t* out);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_OPS_PACKED_MATRIX_H_
