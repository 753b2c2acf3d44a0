#ifndef RECKON_COMMON_MODEL_KERNELS_CUDA_ROW_KERNELS_H_
#define RECKON_COMMON_MODEL_KERNELS_CUDA_ROW_KERNELS_H_

#include <cuda_runtime_api.h>

#include <cstdint>

namespace reckon {

// The kernels of a pass that work on one row at a time, between its matrix products. All pointers
// are of device memory; `bf16` says what the untyped ones point to, bf16 or fp32. A row's result
// has the same bits whatever other rows there are. Callers: fused_ops.cc.

// x[row] += bias, then out[row] = x / sqrt(mean(x^2) + eps) * weight. The bias is that of the
// product that was added to x before.
struct AddRmsNormArgs {
  bool bf16;
  float* x;             // [rows, n], changed in place
  const float* bias;    // [n], or null: nothing is added
  const float* weight;  // [n]
  void* out;            // [rows, n]
  int64_t rows, n;
  float eps;
};
cudaError_t LaunchAddRmsNorm(const AddRmsNormArgs& args, cudaStream_t stream);

// out = silu(gate) * up, of gate_up + bias as `out` holds it.
struct SiluProductArgs {
  bool bf16;
  const float* gate_up;  // [rows, 2n]
  const float* bias;     // [2n], or null
  void* out;             // [rows, n]
  int64_t rows, n;
};
cudaError_t LaunchSiluProduct(const SiluProductArgs& args, cudaStream_t stream);

// x[row] = table[tokens[row]].
struct EmbedRowsArgs {
  bool bf16;
  const int32_t* tokens;  // [rows]
  const void* table;      // [tokens, n]
  float* x;               // [rows, n]
  int64_t rows, n;
};
cudaError_t LaunchEmbedRows(const EmbedRowsArgs& args, cudaStream_t stream);

// What attention reads: for every query and key head of qkv + bias, rounded, the RMS norm by the
// weight of its kind and the rotation by the row's angles, each if the model has it; keys and
// values go to the cache. With a position below 0 the row is idle: nothing is done for it.
struct RopeToCacheArgs {
  bool bf16;
  const float* qkv;                    // [rows, heads + 2 kv_heads, dim]
  const float* bias;                   // [heads + 2 kv_heads, dim], or null
  void* queries;                       // [rows, heads, dim]
  const float *query_norm, *key_norm;  // [dim], or null
  const float* table;                  // [rows, dim]: dim/2 cosines, dim/2 sines; or null
  const int32_t* pages_of;             // [rows, most_pages]
  const int32_t* positions;            // [rows]
  void *keys, *values;                 // [slots, kv_heads, dim]
  int64_t rows, heads, kv_heads, dim, most_pages;
  float eps;
};
// cudaErrorInvalidValue: dim is odd or above 256.
cudaError_t LaunchRopeToCache(const RopeToCacheArgs& args, cudaStream_t stream);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_KERNELS_CUDA_ROW_KERNELS_H_
