#ifndef RECKON_COMMON_MODEL_KERNELS_CUDA_LAYER_KERNELS_H_
#define RECKON_COMMON_MODEL_KERNELS_CUDA_LAYER_KERNELS_H_

#include <cuda_runtime_api.h>

#include <cstdint>

namespace reckon {

// The kernels of training that work on each element by itself or on each row, forward and backward,
// where a chain of LibTorch's operations would read and write every number several times. All
// pointers are of device memory; `bf16` says what the untyped ones point to, bf16 or fp32. Sums are
// in fp32. Callers: layer_ops.cc.

// factor = 1 / sqrt(mean(x^2) + eps) of each row; out = x * factor * weight.
struct RmsNormArgs {
  bool bf16;
  const float *x, *weight;  // [rows, n], [n]
  void* out;                // [rows, n]
  float* factor;            // [rows]
  int64_t rows, n;
  float eps;
};
cudaError_t LaunchRmsNorm(const RmsNormArgs& args, cudaStream_t stream);

// Its gradients. Block b computes rows b, b + blocks, ... and what they add to that of the weight.
struct RmsNormGradientArgs {
  bool bf16;
  const float *x, *weight, *factor;
  const void* d_out;  // [rows, n]
  float* d_x;         // [rows, n]
  float* d_weight;    // [blocks, n], zeros before; or null
  int64_t rows, n, blocks;
};
cudaError_t LaunchRmsNormGradient(const RmsNormGradientArgs& args, cudaStream_t stream);

// The RMS norm of every query and key head by the weight of its kind; values as they are.
struct HeadNormArgs {
  bool bf16;
  const void* x;             // [rows, heads + 2 kv_heads, dim]
  const float *query, *key;  // [dim]
  void* out;                 // as x
  float* factor;             // [rows, heads + kv_heads]
  int64_t rows, heads, kv_heads, dim;
  float eps;
};
cudaError_t LaunchHeadNorm(const HeadNormArgs& args, cudaStream_t stream);

// Its gradients. Each warp of block b adds up what rows b, b + blocks, ... add to those of the
// weights.
constexpr int kHeadNormWarps = 8;
struct HeadNormGradientArgs {
  HeadNormArgs norm;  // `out` is not read
  const void* d_out;  // as x
  void* d_x;          // as x
  float* d_weights;   // [blocks * kHeadNormWarps, 2, dim], zeros before; or null
  int64_t blocks;
};
cudaError_t LaunchHeadNormGradient(const HeadNormGradientArgs& args, cudaStream_t stream);

// out = silu(gate) * up. With d_out: its gradients instead.
struct SwiGluArgs {
  bool bf16;
  const void* gate_up;  // [rows, 2n]
  const void* d_out;    // [rows, n]; null: forward
  void* out;            // [rows, n], or of gate_up [rows, 2n]
  int64_t rows, n;
};
cudaError_t LaunchSwiGlu(const SwiGluArgs& args, cudaStream_t stream);

// The first `rotated` of the heads of each row, rotated by its angles, and the others as they are.
// The gradient is the rotation back.
struct RotateArgs {
  bool bf16, back;
  const void* x;       // [rows, heads, dim]
  const float* table;  // [rows, dim]: dim/2 cosines, dim/2 sines
  void* out;           // [rows, heads, dim]
  int64_t rows, heads, rotated, dim;
};
// cudaErrorInvalidValue: dim is odd.
cudaError_t LaunchRotate(const RotateArgs& args, cudaStream_t stream);

// A tile of a row's logits: columns first .. first + columns - 1 of the vocabulary. Its logits are
// scale * x, and minus infinity in the columns that are excluded.
struct LogitTileArgs {
  const float* x;          // [rows, columns]
  const float* excluded;   // [columns] 0 or minus infinity; or null
  const int64_t* targets;  // [rows] of the vocabulary
  int64_t rows, columns, first;
  float scale;
};

// log_sum = log(exp(log_sum) + the sum of exp(logit) over the tile); target = the logit of the
// row's target, if the tile has it.
struct AddLogSumArgs {
  LogitTileArgs tile;
  float *log_sum, *target;  // [rows]
};
cudaError_t LaunchAddLogSum(const AddLogSumArgs& args, cudaStream_t stream);

// d_x = scale * d_logprob * (1 at the target - exp(logit - log_sum)).
struct LogitGradientArgs {
  LogitTileArgs tile;
  bool bf16;
  const float *log_sum, *d_logprob;  // [rows]
  void* d_x;                         // [rows, columns]
};
cudaError_t LaunchLogitGradient(const LogitGradientArgs& args, cudaStream_t stream);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_KERNELS_CUDA_LAYER_KERNELS_H_
