#include "common/model/kernels/cuda/launch.h"
#include "common/model/kernels/cuda/layer_kernels.h"

namespace reckon {
namespace {

constexpr int kThreads = 256;

constexpr int kWarps = kThreads / 32;

__device__ float SumOfBlock(float value, float* shared) {
  return ReduceBlock(value, kWarps, shared, [](float p, float q) { return p + q; });
}

// One block a row.
template <typename T>
__global__ void __launch_bounds__(kThreads) RmsNorm(RmsNormArgs a) {
  __shared__ float shared[kWarps];
  const int64_t row = blockIdx.x;
  const float* x = a.x + row * a.n;
  float squares = 0;
  for (int64_t i = threadIdx.x; i < a.n; i += kThreads) squares += x[i] * x[i];
  const float factor = rsqrtf(SumOfBlock(squares, shared) / static_cast<float>(a.n) + a.eps);
  if (threadIdx.x == 0) a.factor[row] = factor;
  T* out = static_cast<T*>(a.out) + row * a.n;
  for (int64_t i = threadIdx.x; i < a.n; i += kThreads) Narrow(x[i] * factor * a.weight[i], out + i);
}

// With f = factor and m = mean(weight * d_out * x): d_x = f * (weight * d_out - x * f^2 * m).
template <typename T>
__global__ void __launch_bounds__(kThreads) RmsNormGradient(RmsNormGradientArgs a) {
  __shared__ float shared[kWarps];
  for (int64_t row = blockIdx.x; row < a.rows; row += a.blocks) {
    const float* x = a.x + row * a.n;
    const T* d_out = static_cast<const T*>(a.d_out) + row * a.n;
    float sum = 0;
    for (int64_t i = threadIdx.x; i < a.n; i += kThreads) {
      sum += a.weight[i] * Widen(d_out[i]) * x[i];
    }
    const float factor = a.factor[row];
    const float mean = SumOfBlock(sum, shared) / static_cast<float>(a.n) * factor * factor;
    for (int64_t i = threadIdx.x; i < a.n; i += kThreads) {
      const float d = Widen(d_out[i]);
      a.d_x[row * a.n + i] = factor * (a.weight[i] * d - x[i] * mean);
      // Each thread has columns of its own.
      if (a.d_weight != nullptr) a.d_weight[blockIdx.x * a.n + i] += d * x[i] * factor;
    }
  }
}

static_assert(kWarps == kHeadNormWarps);

// One block a row, a warp for each head in turn.
template <typename T>
__global__ void __launch_bounds__(kThreads) HeadNorm(HeadNormArgs a) {
  const int64_t row = blockIdx.x, normed = a.heads + a.kv_heads, all = normed + a.kv_heads;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  for (int64_t head = warp; head < all; head += kWarps) {
    const T* x = static_cast<const T*>(a.x) + (row * all + head) * a.dim;
    T* out = static_cast<T*>(a.out) + (row * all + head) * a.dim;
    if (head >= normed) {
      for (int64_t i = lane; i < a.dim; i += 32) out[i] = x[i];
      continue;
    }
    float squares = 0;
    for (int64_t i = lane; i < a.dim; i += 32) squares += Widen(x[i]) * Widen(x[i]);
    const float factor = rsqrtf(SumOfWarp(squares) / static_cast<float>(a.dim) + a.eps);
    if (lane == 0) a.factor[row * normed + head] = factor;
    const float* weight = head < a.heads ? a.query : a.key;
    for (int64_t i = lane; i < a.dim; i += 32) Narrow(Widen(x[i]) * factor * weight[i], out + i);
  }
}

template <typename T>
__global__ void __launch_bounds__(kThreads) HeadNormGradient(HeadNormGradientArgs a) {
  const HeadNormArgs& n = a.norm;
  const int64_t normed = n.heads + n.kv_heads, all = normed + n.kv_heads;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  for (int64_t row = blockIdx.x; row < n.rows; row += a.blocks) {
    for (int64_t head = warp; head < all; head += kWarps) {
      const int64_t begin = (row * all + head) * n.dim;
      const T* d_out = static_cast<const T*>(a.d_out) + begin;
      T* d_x = static_cast<T*>(a.d_x) + begin;
      if (head >= normed) {
        for (int64_t i = lane; i < n.dim; i += 32) d_x[i] = d_out[i];
        continue;
      }
      const T* x = static_cast<const T*>(n.x) + begin;
      const float* weight = head < n.heads ? n.query : n.key;
      float sum = 0;
      for (int64_t i = lane; i < n.dim; i += 32) sum += weight[i] * Widen(d_out[i]) * Widen(x[i]);
      const float factor = n.factor[row * normed + head];
      const float mean = SumOfWarp(sum) / static_cast<float>(n.dim) * factor * factor;
      float* d_weight = nullptr;  // of this warp, whose lanes have elements of their own
      if (a.d_weights != nullptr) {
        d_weight = a.d_weights +
                   ((blockIdx.x * int64_t{kWarps} + warp) * 2 + (head < n.heads ? 0 : 1)) * n.dim;
      }
      for (int64_t i = lane; i < n.dim; i += 32) {
        const float d = Widen(d_out[i]), value = Widen(x[i]);
        Narrow(factor * (weight[i] * d - value * mean), d_x + i);
        if (d_weight != nullptr) d_weight[i] += d * value * factor;
      }
    }
  }
}

template <typename T, int kEach>
__device__ void LoadEach(const T* from, float (&to)[kEach]) {
  if constexpr (kEach == 1) {
    to[0] = Widen(*from);
  } else {
    LoadWide(from, to);
  }
}

template <typename T, int kEach>
__device__ void StoreEach(const float (&from)[kEach], T* to) {
  if constexpr (kEach == 1) {
    Narrow(from[0], to);
  } else {
    T narrow[kEach];
    for (int i = 0; i < kEach; ++i) Narrow(from[i], narrow + i);
    StoreWide(narrow, to);
  }
}

// A thread has kEach elements side by side, in 16 bytes where that divides n.
template <typename T, int kEach>
__global__ void __launch_bounds__(kThreads) SwiGlu(SwiGluArgs a) {
  const int64_t i = (int64_t{blockIdx.y} * kThreads + threadIdx.x) * kEach;
  if (i >= a.n) return;
  const T* gates = static_cast<const T*>(a.gate_up) + int64_t{blockIdx.x} * 2 * a.n + i;
  float gate[kEach], up[kEach], out[kEach];
  LoadEach(gates, gate);
  LoadEach(gates + a.n, up);
  if (a.d_out == nullptr) {
    for (int j = 0; j < kEach; ++j) out[j] = gate[j] / (1 + expf(-gate[j])) * up[j];
    StoreEach(out, static_cast<T*>(a.out) + int64_t{blockIdx.x} * a.n + i);
    return;
  }
  float d_out[kEach];
  LoadEach(static_cast<const T*>(a.d_out) + int64_t{blockIdx.x} * a.n + i, d_out);
  T* d_gates = static_cast<T*>(a.out) + int64_t{blockIdx.x} * 2 * a.n + i;
  for (int j = 0; j < kEach; ++j) {
    const float sigmoid = 1 / (1 + expf(-gate[j]));
    out[j] = d_out[j] * up[j] * sigmoid * (1 + gate[j] * (1 - sigmoid));
    up[j] = d_out[j] * gate[j] * sigmoid;
  }
  StoreEach(out, d_gates);
  StoreEach(up, d_gates + a.n);
}

// One block a row; a thread has pairs (i, i + dim/2) of elements of a head.
template <typename T>
__global__ void __launch_bounds__(kThreads) Rotate(RotateArgs a) {
  const int half = static_cast<int>(a.dim / 2), pairs = static_cast<int>(a.heads) * half;
  const int rotated = static_cast<int>(a.rotated) * half;
  const T* x = static_cast<const T*>(a.x) + int64_t{blockIdx.x} * a.heads * a.dim;
  T* out = static_cast<T*>(a.out) + int64_t{blockIdx.x} * a.heads * a.dim;
  const float* table = a.table + int64_t{blockIdx.x} * a.dim;
  for (int pair = threadIdx.x; pair < pairs; pair += kThreads) {
    const int i = pair % half, low = (pair - i) * 2 + i, high = low + half;
    if (pair >= rotated) {
      out[low] = x[low];
      out[high] = x[high];
      continue;
    }
    const float first = Widen(x[low]), second = Widen(x[high]);
    const float cosine = table[i], sine = a.back ? -table[half + i] : table[half + i];
    Narrow(first * cosine - second * sine, out + low);
    Narrow(second * cosine + first * sine, out + high);
  }
}

__device__ float LogitAt(const LogitTileArgs& a, int64_t row, int64_t column) {
  const float logit = a.scale * a.x[row * a.columns + column];
  return a.excluded == nullptr ? logit : logit + a.excluded[column];
}

// A sum of exponentials: total * exp(max).
struct ExpSum {
  float max, total;
};
__device__ ExpSum Added(ExpSum a, ExpSum b) {
  const float max = fmaxf(a.max, b.max);
  // Of an empty sum both are left as they are: its max, minus infinity, less itself is no number.
  const float x = a.max == max ? a.total : a.total * expf(a.max - max);
  const float y = b.max == max ? b.total : b.total * expf(b.max - max);
  return {max, x + y};
}

// One block a row.
__global__ void __launch_bounds__(kThreads) AddLogSum(AddLogSumArgs a) {
  __shared__ float maxima[kWarps], totals[kWarps];
  const int64_t row = blockIdx.x;
  const int64_t target = a.tile.targets[row] - a.tile.first;
  ExpSum sum = {-INFINITY, 0};
  for (int64_t column = threadIdx.x; column < a.tile.columns; column += kThreads) {
    const float logit = LogitAt(a.tile, row, column);
    if (column == target) a.target[row] = logit;
    sum = Added(sum, {logit, logit == -INFINITY ? 0.0f : 1.0f});
  }
  for (int offset = 16; offset > 0; offset /= 2) {
    const float max = __shfl_xor_sync(~0u, sum.max, offset);
    const float total = __shfl_xor_sync(~0u, sum.total, offset);
    sum = Added(sum, {max, total});
  }
  if (threadIdx.x % 32 == 0) {
    maxima[threadIdx.x / 32] = sum.max;
    totals[threadIdx.x / 32] = sum.total;
  }
  __syncthreads();
  if (threadIdx.x > 0) return;
  const float before = a.log_sum[row];
  sum = {before, before == -INFINITY ? 0.0f : 1.0f};
  for (int warp = 0; warp < kWarps; ++warp) sum = Added(sum, {maxima[warp], totals[warp]});
  a.log_sum[row] = sum.max + logf(sum.total);
}

template <typename T>
__global__ void __launch_bounds__(kThreads) LogitGradient(LogitGradientArgs a) {
  const int64_t row = blockIdx.x;
  const int64_t target = a.tile.targets[row] - a.tile.first;
  const float d = a.tile.scale * a.d_logprob[row], log_sum = a.log_sum[row];
  T* d_x = static_cast<T*>(a.d_x) + row * a.tile.columns;
  for (int64_t column = threadIdx.x; column < a.tile.columns; column += kThreads) {
    const float share = expf(LogitAt(a.tile, row, column) - log_sum);
    Narrow(d * ((column == target ? 1.0f : 0.0f) - share), d_x + column);
  }
}

template <typename T>
cudaError_t LaunchSwiGluFor(const SwiGluArgs& a, cudaStream_t stream) {
  constexpr int kWide = 16 / sizeof(T);
  const auto launch = [&](void (*kernel)(SwiGluArgs), int each) {
    const int64_t blocks = (a.n + kThreads * each - 1) / (kThreads * each);
    const dim3 grid(static_cast<unsigned>(a.rows), static_cast<unsigned>(blocks));
    return Launch(kernel, grid, kThreads, stream, a);
  };
  return a.n % kWide == 0 ? launch(SwiGlu<T, kWide>, kWide) : launch(SwiGlu<T, 1>, 1);
}

}  // namespace

cudaError_t LaunchRmsNorm(const RmsNormArgs& args, cudaStream_t stream) {
  return Launch(args.bf16 ? RmsNorm<__nv_bfloat16> : RmsNorm<float>,
                dim3(static_cast<unsigned>(args.rows)), kThreads, stream, args);
}

cudaError_t LaunchRmsNormGradient(const RmsNormGradientArgs& args, cudaStream_t stream) {
  return Launch(args.bf16 ? RmsNormGradient<__nv_bfloat16> : RmsNormGradient<float>,
                dim3(static_cast<unsigned>(args.blocks)), kThreads, stream, args);
}

cudaError_t LaunchHeadNorm(const HeadNormArgs& args, cudaStream_t stream) {
  return Launch(args.bf16 ? HeadNorm<__nv_bfloat16> : HeadNorm<float>,
                dim3(static_cast<unsigned>(args.rows)), kThreads, stream, args);
}

cudaError_t LaunchHeadNormGradient(const HeadNormGradientArgs& args, cudaStream_t stream) {
  return Launch(args.norm.bf16 ? HeadNormGradient<__nv_bfloat16> : HeadNormGradient<float>,
                dim3(static_cast<unsigned>(args.blocks)), kThreads, stream, args);
}

cudaError_t LaunchSwiGlu(const SwiGluArgs& args, cudaStream_t stream) {
  return args.bf16 ? LaunchSwiGluFor<__nv_bfloat16>(args, stream)
                   : LaunchSwiGluFor<float>(args, stream);
}

cudaError_t LaunchRotate(const RotateArgs& args, cudaStream_t stream) {
  if (args.dim % 2 != 0) return cudaErrorInvalidValue;
  return Launch(args.bf16 ? Rotate<__nv_bfloat16> : Rotate<float>,
                dim3(static_cast<unsigned>(args.rows)), kThreads, stream, args);
}

cudaError_t LaunchAddLogSum(const AddLogSumArgs& args, cudaStream_t stream) {
  return Launch(AddLogSum, dim3(static_cast<unsigned>(args.tile.rows)), kThreads, stream, args);
}

cudaError_t LaunchLogitGradient(const LogitGradientArgs& args, cudaStream_t stream) {
  return Launch(args.bf16 ? LogitGradient<__nv_bfloat16> : LogitGradient<float>,
                dim3(static_cast<unsigned>(args.tile.rows)), kThreads, stream, args);
}

}  // namespace reckon
