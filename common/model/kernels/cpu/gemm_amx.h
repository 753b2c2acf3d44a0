#ifndef RECKON_COMMON_MODEL_KERNELS_CPU_GEMM_AMX_H_
#define RECKON_COMMON_MODEL_KERNELS_CPU_GEMM_AMX_H_

#include "common/model/kernels/cpu/gemm_kernels.h"

namespace reckon {

// The bf16 panel kernel of gemm_kernels.h by AMX, the matrix tiles of Sapphire Rapids and later:
// eight registers of 16 rows x 64 bytes. Two tiles of A meet two of the panel, and their four
// products are added to four tiles of C:
//
//                   panel: 32 k x 16 columns | 32 k x 16 columns
//   A: 16 rows x 32 k           C 0          |        C 1
//      16 rows x 32 k           C 2          |        C 3
//
// An element of C is the sum over k in increasing order, whichever tile its row is in, so a row's
// result does not depend on the others. Call it only where CpuFeatures::OfThisCpu() has amx_bf16.
// `next` is not used.
void PanelBf16Amx(const PanelProduct<uint16_t>& product);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_KERNELS_CPU_GEMM_AMX_H_
