#include "common/model/kernels/cpu/cpu_features.h"

#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace reckon {
namespace {

bool HasAmxBf16() {
  unsigned a, b, c, d;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return false;
  constexpr unsigned kTile = 1u << 24, kBf16 = 1u << 22;
  if ((d & kTile) == 0 || (d & kBf16) == 0) return false;
  // Linux gives a process the tiles on request: arch_prctl(ARCH_REQ_XCOMP_PERM,
  // XFEATURE_XTILEDATA).
  constexpr int kRequest = 0x1023, kTileData = 18;
  return syscall(SYS_arch_prctl, kRequest, kTileData) == 0;
}

}  // namespace

const CpuFeatures& CpuFeatures::OfThisCpu() {
  static const CpuFeatures features = [] {
    CpuFeatures out;
    out.avx512f = __builtin_cpu_supports("avx512f");
    out.avx512_bf16 = out.avx512f && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                      __builtin_cpu_supports("avx512bf16");
    out.amx_bf16 = out.avx512_bf16 && HasAmxBf16();
    return out;
  }();
  return features;
}

}  // namespace reckon
