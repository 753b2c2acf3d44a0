#include "common/base/rng.h"

#include "common/base/philox.h"

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
  const PhiloxBlock block = Philox(key, counter_lo, counter_hi);
  return {block.words[0], block.words[1], block.words[2], block.words[3]};
}

uint64_t StreamKey(uint64_t seed, absl::string_view name, uint64_t a, uint64_t b) {
  uint64_t hash = 0xcbf29ce484222325ULL;
  for (unsigned char ch : name) hash = (hash ^ ch) * 0x100000001b3ULL;
  hash = Finalise(hash ^ Finalise(seed));
  hash = Finalise(hash ^ Finalise(a + 1));
  return Finalise(hash ^ Finalise(b + 2));
}

uint64_t CounterRng::Bits(uint64_t position, uint64_t lane) const {
  return PhiloxBits(key_, position, lane);
}

double CounterRng::Uniform(uint64_t position, uint64_t lane) const {
  return PhiloxUniform(key_, position, lane);
}

uint64_t CounterRng::Below(uint64_t n, uint64_t position, uint64_t lane) const {
  // Multiply-shift: the bias is below n / 2^64.
  return static_cast<uint64_t>(static_cast<unsigned __int128>(Bits(position, lane)) * n >> 64);
}

}  // namespace reckon
