#ifndef RECKON_COMMON_MODEL_OPS_GEMM_KERNELS_H_
#define RECKON_COMMON_MODEL_OPS_GEMM_KERNELS_H_

#include <cstdint>

namespace reckon {

// One panel: c [m, 32] (row stride ldc) = a [m, k] (row stride lda) * panel. k2 is pairs for bf16,
// elements for fp32. `add` adds to what is in c.
using Bf16PanelKernel = void (*)(const uint16_t* a, int64_t m, int64_t lda, const uint16_t* panel,
                                 int64_t k2, float* c, int64_t ldc, bool add);
using Fp32PanelKernel = void (*)(const float* a, int64_t m, int64_t lda, const float* panel,
                                 int64_t k, float* c, int64_t ldc, bool add);

void PanelBf16Avx512(const uint16_t* a, int64_t m, int64_t lda, const uint16_t* panel, int64_t k2,
                     float* c, int64_t ldc, bool add);
void PanelFp32Avx512(const float* a, int64_t m, int64_t lda, const float* panel, int64_t k,
                     float* c, int64_t ldc, bool add);
// Asks the system for tile registers; true when there are any and it grants them.
bool CpuHasAmx();
void PanelBf16Amx(const uint16_t* a, int64_t m, int64_t lda, const uint16_t* panel, int64_t k2,
                  float* c, int64_t ldc, bool add);
void PanelBf16Portable(const uint16_t* a, int64_t m, int64_t lda, const uint16_t* panel, int64_t k2,
                       float* c, int64_t ldc, bool add);
void PanelFp32Portable(const float* a, int64_t m, int64_t lda, const float* panel, int64_t k,
                       float* c, int64_t ldc, bool add);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_OPS_GEMM_KERNELS_H_
