#ifndef RECKON_COMMON_MODEL_KERNELS_CPU_CPU_FEATURES_H_
#define RECKON_COMMON_MODEL_KERNELS_CPU_CPU_FEATURES_H_

namespace reckon {

// The instruction sets beyond AVX2 that a hand-written kernel needs. Each kernel has one function
// that chooses by this struct (ChooseGemmKernels, ChooseAttention), so that a test can ask what a
// CPU other than its own would run.
struct CpuFeatures {
  bool avx512f = false;  // 512-bit fp32 arithmetic: Skylake-X, Ice Lake, Zen 4
  // bf16 dot products, together with the avx512 f, bw, dq and vl that their kernels use as well:
  // Cooper Lake, Sapphire Rapids, Zen 4.
  bool avx512_bf16 = false;
  // Matrix tiles of bf16, which the kernel has given this process the right to use, together with
  // avx512_bf16: Sapphire Rapids and later.
  bool amx_bf16 = false;

  static const CpuFeatures& OfThisCpu();
};

// Marks a function of plain C++ that the compiler builds three times: for any x86-64, for AVX2 with
// FMA and for AVX-512; the loader picks one by the CPU. By level rather than by name, because
// "arch=haswell" would be picked on a Haswell alone, and every other CPU would run the slow
// version. A lambda inside such a function is not part of it: write the loops in the function
// itself.
#define RECKON_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_KERNELS_CPU_CPU_FEATURES_H_
