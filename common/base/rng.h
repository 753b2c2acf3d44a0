#ifndef RECKON_COMMON_BASE_RNG_H_
#define RECKON_COMMON_BASE_RNG_H_

#include <array>
#include <cstdint>

#include "absl/strings/string_view.h"

namespace reckon {

// Random numbers that are pure functions of a key and a position. No generator has a state, so the
// same sample is drawn whatever was drawn before it, on any machine.

// Philox4x32-10 (Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011): a block of
// 128 random bits as a pure function of a 64-bit key and a 128-bit counter.
std::array<uint32_t, 4> Philox4x32(uint64_t key, uint64_t counter_lo, uint64_t counter_hi);

// Derives a 64-bit key from a seed and up to three names (FNV-1a, then the finaliser of
// SplitMix64). Records on disk depend on it: it must not change between releases.
uint64_t StreamKey(uint64_t seed, absl::string_view name, uint64_t a = 0, uint64_t b = 0);

// The random stream of one key. `position` counts the draws of the stream; `lane` tells apart
// several numbers that are needed at one position.
class CounterRng {
 public:
  explicit CounterRng(uint64_t key) : key_(key) {}

  // Uniform in [0, 1), a multiple of 2^-53.
  double Uniform(uint64_t position, uint64_t lane = 0) const;
  uint64_t Bits(uint64_t position, uint64_t lane = 0) const;
  // Uniform in [0, n); n must be positive.
  uint64_t Below(uint64_t n, uint64_t position, uint64_t lane = 0) const;

 private:
  uint64_t key_;
};

// Shuffles by Fisher-Yates. The order is a function of the number of items and the key.
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
