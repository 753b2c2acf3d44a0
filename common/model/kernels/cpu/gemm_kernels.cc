#include "common/model/kernels/cpu/gemm_kernels.h"

#include "common/model/kernels/cpu/gemm_amx.h"
#include "common/model/kernels/cpu/gemm_avx512.h"
#include "common/model/kernels/cpu/gemm_portable.h"

namespace reckon {

GemmKernels ChooseGemmKernels(const CpuFeatures& cpu) {
  return {.bf16 = cpu.amx_bf16      ? PanelBf16Amx
                  : cpu.avx512_bf16 ? PanelBf16Avx512
                                    : PanelBf16Portable,
          .fp32 = cpu.avx512f ? PanelFp32Avx512 : PanelFp32Portable};
}

}  // namespace reckon
