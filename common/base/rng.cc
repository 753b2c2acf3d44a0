#include "common/base/rng.h"

namespace reckon {
namespace {

uint64_t Finalise(uint64_t x) {
  x += 0x9e3779b97f4a7c15ULL;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

}  // namespace

std::array<uint32_t, 4> Philox4x32(uint64_t key, uint64_t counter_lo, uint64_t counter_hi) {
  constexpr uint64_t kMul0 = 0xD2511F53, kMul1 = 0xCD9E8D57;
  constexpr uint32_t kWeyl0 = 0x9E3779B9, kWeyl1 = 0xBB67AE85;
  std::array<uint32_t, 4> c = {
      static_cast<uint32_t>(counter_lo), static_cast<uint32_t>(counter_lo >> 32),
      static_cast<uint32_t>(counter_hi), static_cast<uint32_t>(counter_hi >> 32)};
  uint32_t k0 = static_cast<uint32_t>(key), k1 = static_cast<uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    uint64_t p0 = kMul0 * c[0], p1 = kMul1 * c[2];
    c = {static_cast<uint32_t>(p1 >> 32) ^ c[1] ^ k0, static_cast<uint32_t>(p1),
         static_cast<uint32_t>(p0 >> 32) ^ c[3] ^ k1, static_cast<uint32_t>(p0)};
    k0 += kWeyl0;
    k1 += kWeyl1;
  }
  return c;
}

uint64_t StreamKey(uint64_t seed, absl::string_view name, uint64_t a, uint64_t b) {
  uint64_t hash = 0xcbf29ce484222325ULL;
  for (unsigned char ch : name) hash = (hash ^ ch) * 0x100000001b3ULL;
  hash = Finalise(hash ^ Finalise(seed));
  hash = Finalise(hash ^ Finalise(a + 1));
  return Finalise(hash ^ Finalise(b + 2));
}

uint64_t CounterRng::Bits(uint64_t position, uint64_t lane) const {
  // Half of the block is not used: one position gives one number, and a caller who needs more takes
  // another lane.
  auto block = Philox4x32(key_, position, lane);
  return block[0] | static_cast<uint64_t>(block[1]) << 32;
}

double CounterRng::Uniform(uint64_t position, uint64_t lane) const {
  // The upper 53 bits, as many as a double holds: every value is exact and 1.0 cannot occur.
  return static_cast<double>(Bits(position, lane) >> 11) * 0x1.0p-53;
}

uint64_t CounterRng::Below(uint64_t n, uint64_t position, uint64_t lane) const {
  // Multiply-shift: the bias is below n / 2^64.
  return static_cast<uint64_t>(static_cast<unsigned __int128>(Bits(position, lane)) * n >> 64);
}

}  // namespace reckon
