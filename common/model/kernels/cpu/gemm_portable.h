#ifndef RECKON_COMMON_MODEL_KERNELS_CPU_GEMM_PORTABLE_H_
#define RECKON_COMMON_MODEL_KERNELS_CPU_GEMM_PORTABLE_H_

#include "common/model/kernels/cpu/gemm_kernels.h"

namespace reckon {

// The panel kernels of gemm_kernels.h in plain C++, for every CPU. The sums have the order of the
// AVX-512 kernels, but products of bf16 may round differently: runs on CPUs of different kinds need
// not agree in the last bit. They fetch nothing ahead: `next` is not used.
void PanelBf16Portable(const PanelProduct<uint16_t>& product);
void PanelFp32Portable(const PanelProduct<float>& product);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_KERNELS_CPU_GEMM_PORTABLE_H_
