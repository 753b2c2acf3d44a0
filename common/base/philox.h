#ifndef RECKON_COMMON_BASE_PHILOX_H_
#define RECKON_COMMON_BASE_PHILOX_H_

#include <cstdint>

// The arithmetic of rng.h, for the host and for kernels: one source, so that a GPU draws the bits
// that a CPU draws.
#ifdef __CUDACC__
#define RECKON_HOST_DEVICE __host__ __device__
#else
#define RECKON_HOST_DEVICE
#endif

namespace reckon {

struct PhiloxBlock {
  uint32_t words[4];
};

// Philox4x32-10 (Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011).
RECKON_HOST_DEVICE inline PhiloxBlock Philox(uint64_t key, uint64_t counter_lo,
                                             uint64_t counter_hi) {
  constexpr uint64_t kMul0 = 0xD2511F53, kMul1 = 0xCD9E8D57;
  constexpr uint32_t kWeyl0 = 0x9E3779B9, kWeyl1 = 0xBB67AE85;
  PhiloxBlock c = {{static_cast<uint32_t>(counter_lo), static_cast<uint32_t>(counter_lo >> 32),
                    static_cast<uint32_t>(counter_hi), static_cast<uint32_t>(counter_hi >> 32)}};
  uint32_t k0 = static_cast<uint32_t>(key), k1 = static_cast<uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = kMul0 * c.words[0], p1 = kMul1 * c.words[2];
    c = {{static_cast<uint32_t>(p1 >> 32) ^ c.words[1] ^ k0, static_cast<uint32_t>(p1),
          static_cast<uint32_t>(p0 >> 32) ^ c.words[3] ^ k1, static_cast<uint32_t>(p0)}};
    k0 += kWeyl0;
    k1 += kWeyl1;
  }
  return c;
}

// CounterRng::Bits and CounterRng::Uniform (rng.h).
RECKON_HOST_DEVICE inline uint64_t PhiloxBits(uint64_t key, uint64_t position, uint64_t lane) {
  // Half of the block is not used: one position gives one number, and a caller who needs more takes
  // another lane.
  const PhiloxBlock block = Philox(key, position, lane);
  return block.words[0] | static_cast<uint64_t>(block.words[1]) << 32;
}
RECKON_HOST_DEVICE inline double PhiloxUniform(uint64_t key, uint64_t position, uint64_t lane) {
  // The upper 53 bits, as many as a double holds: every value is exact and 1.0 cannot occur.
  return static_cast<double>(PhiloxBits(key, position, lane) >> 11) * 0x1.0p-53;
}

}  // namespace reckon

#endif  // RECKON_COMMON_BASE_PHILOX_H_
