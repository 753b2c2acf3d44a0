#ifndef RECKON_COMMON_MODEL_KERNELS_CPU_ATTENTION_PORTABLE_H_
#define RECKON_COMMON_MODEL_KERNELS_CPU_ATTENTION_PORTABLE_H_

#include <cstdint>

#include "common/model/kernels/cpu/attention.h"

namespace reckon {

// AttendRow in plain C++, for every CPU and shape.
void AttendRowPortable(const KvShape& shape, const void* q, int64_t heads, const char* const* pages,
                       int64_t keys, const char* const* next, float* scratch, void* out);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_KERNELS_CPU_ATTENTION_PORTABLE_H_
