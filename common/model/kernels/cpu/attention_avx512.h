#ifndef RECKON_COMMON_MODEL_KERNELS_CPU_ATTENTION_AVX512_H_
#define RECKON_COMMON_MODEL_KERNELS_CPU_ATTENTION_AVX512_H_

#include <cstdint>

#include "common/model/kernels/cpu/attention.h"

namespace reckon {

// AttendRow by AVX-512 intrinsics. Needs avx512_bf16 (cpu_features.h), and a shape of bf16 with
// head_dim a multiple of 16 up to 128.
void AttendRowAvx512(const KvShape& shape, const void* q, int64_t heads, const char* const* pages,
                     int64_t keys, const char* const* next, float* scratch, void* out);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_KERNELS_CPU_ATTENTION_AVX512_H_
