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

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_KERNELS_DTYPE_H_
