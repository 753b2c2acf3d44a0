#include "common/model/kernels/cpu/attention.h"
#include "common/model/kernels/cuda/launch.h"
#include "common/model/kernels/cuda/row_kernels.h"

namespace reckon {
namespace {

constexpr int kThreads = 256, kWarps = kThreads / 32;

// One block a row.
template <typename T>
__global__ void AddRmsNorm(AddRmsNormArgs a) {
  __shared__ float shared[kWarps];
  float* x = a.x + blockIdx.x * a.n;
  float squares = 0;
  for (int64_t i = threadIdx.x; i < a.n; i += kThreads) {
    float value = x[i];
    if (a.bias != nullptr) x[i] = value += a.bias[i];
    squares += value * value;
  }
  squares = ReduceBlock(squares, kWarps, shared, [](float p, float q) { return p + q; });
  const float factor = rsqrtf(squares / static_cast<float>(a.n) + a.eps);
  T* out = static_cast<T*>(a.out) + blockIdx.x * a.n;
  // Each thread reads what it wrote itself.
  for (int64_t i = threadIdx.x; i < a.n; i += kThreads) {
    Narrow(x[i] * factor * a.weight[i], out + i);
  }
}

constexpr int kEach = 4;  // elements of a thread

template <typename T>
__global__ void SiluProduct(SiluProductArgs a) {
  const float* gate = a.gate_up + blockIdx.x * 2 * a.n;
  T* out = static_cast<T*>(a.out) + blockIdx.x * a.n;
  for (int each = 0; each < kEach; ++each) {
    const int64_t i = (int64_t{blockIdx.y} * kEach + each) * kThreads + threadIdx.x;
    if (i >= a.n) return;
    float g = gate[i], up = gate[a.n + i];
    if (a.bias != nullptr) {
      g += a.bias[i];
      up += a.bias[a.n + i];
    }
    g = Round<T>(g);
    Narrow(g / (1 + expf(-g)) * Round<T>(up), out + i);
  }
}

template <typename T>
__global__ void EmbedRows(EmbedRowsArgs a) {
  const int64_t row = blockIdx.x;
  const T* from = static_cast<const T*>(a.table) + a.tokens[row] * a.n;
  for (int64_t i = threadIdx.x; i < a.n; i += kThreads) a.x[row * a.n + i] = Widen(from[i]);
}

constexpr int kHeadsOfBlock = 4, kMostPairs = 4;  // pairs of elements of a lane

// One warp for each row and head. Lane i has the pairs (i, i + dim/2), (i + 32, i + 32 + dim/2), ..
template <typename T>
__global__ void RopeToCache(RopeToCacheArgs a) {
  const int64_t row = blockIdx.x, half = a.dim / 2;
  const int64_t head = int64_t{blockIdx.y} * kHeadsOfBlock + threadIdx.x / 32;
  const int lane = threadIdx.x % 32;
  const int64_t position = a.positions[row];
  // The whole warp leaves, and there is no barrier of the block.
  if (head >= a.heads + 2 * a.kv_heads || position < 0) return;
  const bool is_query = head < a.heads, is_value = head >= a.heads + a.kv_heads;
  const float* from = a.qkv + (row * (a.heads + 2 * a.kv_heads) + head) * a.dim;
  const float* bias = a.bias == nullptr ? nullptr : a.bias + head * a.dim;
  const auto element = [&](int64_t i) {
    return Round<T>(bias == nullptr ? from[i] : from[i] + bias[i]);
  };
  T* to = static_cast<T*>(a.queries) + (row * a.heads + head) * a.dim;
  if (!is_query) {
    const int64_t page = a.pages_of[row * a.most_pages + position / kPageTokens];
    const int64_t slot = page * kPageTokens + position % kPageTokens;
    const int64_t kv_head = head - a.heads - (is_value ? a.kv_heads : 0);
    to = static_cast<T*>(is_value ? a.values : a.keys) + (slot * a.kv_heads + kv_head) * a.dim;
  }

  float low[kMostPairs], high[kMostPairs], squares = 0;
  for (int pair = 0; pair < kMostPairs; ++pair) {
    const int64_t i = pair * 32 + lane;
    low[pair] = i < half ? element(i) : 0;
    high[pair] = i < half ? element(i + half) : 0;
    squares += low[pair] * low[pair] + high[pair] * high[pair];
  }
  const float* norm = is_value ? nullptr : is_query ? a.query_norm : a.key_norm;
  if (norm != nullptr) {
    const float factor = rsqrtf(SumOfWarp(squares) / static_cast<float>(a.dim) + a.eps);
    for (int pair = 0; pair < kMostPairs; ++pair) {
      const int64_t i = pair * 32 + lane;
      if (i >= half) break;
      // Rounded as between two operations, so that this computes what they do.
      low[pair] = Round<T>(low[pair] * factor * norm[i]);
      high[pair] = Round<T>(high[pair] * factor * norm[i + half]);
    }
  }
  for (int pair = 0; pair < kMostPairs; ++pair) {
    const int64_t i = pair * 32 + lane;
    if (i >= half) break;
    float first = low[pair], second = high[pair];
    if (a.table != nullptr && !is_value) {
      const float cosine = a.table[row * a.dim + i], sine = a.table[row * a.dim + half + i];
      first = low[pair] * cosine - high[pair] * sine;
      second = high[pair] * cosine + low[pair] * sine;
    }
    Narrow(first, to + i);
    Narrow(second, to + i + half);
  }
}

template <typename Args>
cudaError_t LaunchRows(void (*bf16)(Args), void (*fp32)(Args), const Args& args, int64_t columns,
                       int threads, cudaStream_t stream) {
  const dim3 grid(static_cast<unsigned>(args.rows), static_cast<unsigned>(columns));
  return Launch(args.bf16 ? bf16 : fp32, grid, threads, stream, args);
}

int64_t Blocks(int64_t n, int64_t of_block) { return (n + of_block - 1) / of_block; }

}  // namespace

cudaError_t LaunchAddRmsNorm(const AddRmsNormArgs& args, cudaStream_t stream) {
  return LaunchRows(AddRmsNorm<__nv_bfloat16>, AddRmsNorm<float>, args, 1, kThreads, stream);
}

cudaError_t LaunchSiluProduct(const SiluProductArgs& args, cudaStream_t stream) {
  return LaunchRows(SiluProduct<__nv_bfloat16>, SiluProduct<float>, args,
                    Blocks(args.n, kThreads * kEach), kThreads, stream);
}

cudaError_t LaunchEmbedRows(const EmbedRowsArgs& args, cudaStream_t stream) {
  return LaunchRows(EmbedRows<__nv_bfloat16>, EmbedRows<float>, args, 1, kThreads, stream);
}

cudaError_t LaunchRopeToCache(const RopeToCacheArgs& args, cudaStream_t stream) {
  if (args.dim % 2 != 0 || args.dim > 64 * kMostPairs) return cudaErrorInvalidValue;
  return LaunchRows(RopeToCache<__nv_bfloat16>, RopeToCache<float>, args,
                    Blocks(args.heads + 2 * args.kv_heads, kHeadsOfBlock), kHeadsOfBlock * 32,
                    stream);
}

}  // namespace reckon
