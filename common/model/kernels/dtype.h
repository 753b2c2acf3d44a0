#ifndef RECKON_COMMON_MODEL_KERNELS_DTYPE_H_
#define RECKON_COMMON_MODEL_KERNELS_DTYPE_H_

#include <bit>
#include <cstdint>

namespace reckon {

// The number format that a model computes in (model.compute in the config): that of activations, of
// the weights that a forward pass reads, and of the KV cache. Sums, softmax, the residual stream
// and the gradients of parameters are fp32 in both.
enum class Dtype { kBf16, kFp32 };

constexpr int64_t BytesOf(Dtype dtype) { return dtype == Dtype::kBf16 ? 2 : 4; }

// A bf16 number is the upper half of an fp32 number. The CPU kernels hold it as uint16_t.
inline float FromBf16(uint16_t x) { return std::bit_cast<float>(static_cast<uint32_t>(x) << 16); }

// Rounds to nearest, ties to even. `x` must not be NaN: the rounding could carry into its exponent.
inline uint16_t ToBf16(float x) {
  uint32_t bits = std::bit_cast<uint32_t>(x);
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}
// The same for n numbers.
void ToBf16(const float* x, int64_t n, uint16_t* out);
// The same for `rows` rows of n numbers; strides in elements.
void ToBf16(const float* x, int64_t rows, int64_t n, int64_t stride, uint16_t* out,
            int64_t out_stride);

// F16 (IEEE 754 binary16) is a type of files only: a model that is stored in it is computed in one
// of the two above. Both directions are exact where the target can hold the number.
inline float FromF16(uint16_t x) {
  constexpr uint32_t kExponent = 0x7c00u << 13;
  uint32_t bits = static_cast<uint32_t>(x & 0x7fff) << 13;
  const uint32_t exponent = bits & kExponent;
  bits += (127 - 15) << 23;
  if (exponent == kExponent) bits += (128 - 16) << 23;  // infinity or NaN
  if (exponent == 0) {                                  // zero or subnormal
    bits = std::bit_cast<uint32_t>(std::bit_cast<float>(bits + (1 << 23)) -
                                   std::bit_cast<float>(113u << 23));
  }
  return std::bit_cast<float>(bits | static_cast<uint32_t>(x & 0x8000) << 16);
}

// Rounds to nearest, ties to even; above 65504 to infinity. `x` must not be NaN.
inline uint16_t ToF16(float x) {
  uint32_t bits = std::bit_cast<uint32_t>(x);
  const auto sign = static_cast<uint16_t>(bits >> 16 & 0x8000);
  bits &= 0x7fffffff;
  if (bits >= (127u + 16) << 23) return sign | 0x7c00;
  if (bits < 113u << 23) {  // the sum rounds to a multiple of the smallest subnormal
    constexpr uint32_t kMagic = (127u - 15 + 23 - 10 + 1) << 23;
    bits = std::bit_cast<uint32_t>(std::bit_cast<float>(bits) + std::bit_cast<float>(kMagic));
    return sign | static_cast<uint16_t>(bits - kMagic);
  }
  bits += (bits >> 13 & 1) + 0xfff - ((127u - 15) << 23);
  return sign | static_cast<uint16_t>(bits >> 13);
}

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_KERNELS_DTYPE_H_
