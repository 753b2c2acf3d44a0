#ifndef RECKON_COMMON_BASE_RNG_H_
#define RECKON_COMMON_BASE_RNG_H_

#include <array>
#include <cstdint>

#include "absl/strings/string_view.h"

namespace reckon {

// Philox4x32-10 (Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011): a block of
// 128 random bits as a pure function of a 64-bit key and a 128-bit counter.
std::array<uint32_t, 4> Philox4x32(uint64_t key, uint64_t counter_lo, uint64_t counter_hi);

// A 64-bit key from a seed and names, stable across machines and releases (FNV-1a, then a
// SplitMix64 finaliser).
uint64_t StreamKey(uint64_t seed, absl::string_view name, uint64_t a = 0, uint64_t b = 0);

// A random stream that is a function of (key, position): drawing is stateless, so a draw never
// depends on what was drawn before it or on another stream.
class CounterRng {
 public:
  explicit CounterRng(uint64_t key) : key_(key) {}

  // Uniform in [0, 1) with 53 bits, for counter `position` and use `lane`.
  double Uniform(uint64_t position, uint64_t lane = 0) const;
  uint64_t Bits(uint64_t position, uint64_t lane = 0) const;
  // Uniform in [0, n), n > 0.
  uint64_t Below(uint64_t n, uint64_t position, uint64_t lane = 0) const;

 private:
  uint64_t key_;
};

// Order of `n` items that is a function of the key: Fisher-Yates over a CounterRng.
template <typename Vector>
void Shuffle(Vector& items, uint64_t key) {
  CounterRng rng(key);
  for (uint64_t i = items.size(); i > 1; --i) {
    uint64_t j = rng.Below(i, i);
    using std::swap;
    swap(items[i - 1], items[j]);
  }
}

}  // namespace reckon

#endif  // RECKON_COMMON_BASE_RNG_H_
