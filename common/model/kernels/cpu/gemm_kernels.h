#ifndef RECKON_COMMON_MODEL_KERNELS_CPU_GEMM_KERNELS_H_
#define RECKON_COMMON_MODEL_KERNELS_CPU_GEMM_KERNELS_H_

#include <cstdint>

#include "common/model/kernels/cpu/cpu_features.h"
#include "common/model/kernels/cpu/gemm.h"

namespace reckon {

// What an inner loop of Gemm computes: m rows of A times one packed panel of B.
//
//   c [m, 32] = a [m, k] * panel [k, 32],   or += where `mode` says so
//
// T is the elements of A and B. Strides are in elements.
template <typename T>
struct PanelProduct {
  const T* a = nullptr;
  int64_t lda = 0;
  int64_t m = 0;
  const T* panel = nullptr;  // packed_matrix.h
  int64_t k = 0;             // even for bf16
  void* c = nullptr;         // uint16_t with kBf16, which is of bf16 operands only; else float
  int64_t ldc = 0;
  OutputMode mode = OutputMode::kFp32;
  // Only with kFp32: the caches will not hold all of C until it is read, so a kernel may write past
  // them. Each row of c begins at a multiple of 64 bytes.
  bool streams = false;
  // A panel of the same length that the caller's thread will probably need after this one, or null.
  // A kernel may fetch it into the caches while it computes; it does not read it.
  const T* next = nullptr;
};

// Every kernel keeps this rule, from which Gemm's row invariance follows: the sum for c[i][j] is
// one over p = 0, 1, 2, .. in that order, beginning at zero, by the same instructions for every m
// and i; what `mode` asks for is done once, at the end. A kernel may work on several rows at a
// time, for the sake of its registers, but never adds across rows or splits a sum over p.
template <typename T>
using PanelKernel = void (*)(const PanelProduct<T>& product);

struct GemmKernels {
  PanelKernel<uint16_t> bf16;
  PanelKernel<float> fp32;
};

// The fastest kernels that a CPU with these features can run.
GemmKernels ChooseGemmKernels(const CpuFeatures& cpu);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_KERNELS_CPU_GEMM_KERNELS_H_
