// FlashInfer's kernel, which is inline assembly for GPUs, as plain loops: what each block reads and
// writes by its arguments, as flashinfer/attention/prefill.cuh does. So tests on the CPU show that
// the arguments are right, and under the address sanitizer that they lead to no other memory.
#include "common/model/kernels/cuda/flash_infer.h"

#include <cmath>
#include <vector>

#include "common/model/kernels/cpu/attention.h"
#include "common/model/kernels/cuda/launch.h"

namespace reckon {
namespace {

// out = what the query of `head` at the position before `tokens` reads of the sequence's pages.
void AttendQuery(const FlashInferArgs& a, const int32_t* pages, int64_t tokens, int64_t head,
                 const __nv_bfloat16* q, __nv_bfloat16* out) {
  const int64_t kv_head = head / (a.heads / a.kv_heads);
  const auto at = [&](const void* memory, int64_t t) {
    const int64_t slot = pages[t / kPageTokens] * int64_t{kPageTokens} + t % kPageTokens;
    return static_cast<const __nv_bfloat16*>(memory) + (slot * a.kv_heads + kv_head) * a.dim;
  };
  std::vector<float> mixed(a.dim);
  float max = -INFINITY, total = 0;
  for (int64_t t = 0; t < tokens; ++t) {
    float score = 0;
    for (int64_t i = 0; i < a.dim; ++i) score += Widen(q[i]) * Widen(at(a.keys, t)[i]);
    score *= a.scale;
    const float next = std::fmax(max, score), kept = std::exp(max - next);
    const float weight = std::exp(score - next);
    total = total * kept + weight;
    for (int64_t i = 0; i < a.dim; ++i) {
      mixed[i] = mixed[i] * kept + weight * Widen(at(a.values, t)[i]);
    }
    max = next;
  }
  for (int64_t i = 0; i < a.dim; ++i) Narrow(total > 0 ? mixed[i] / total : 0, out + i);
}

}  // namespace

cudaError_t LaunchFlashInfer(const FlashInferArgs& a, cudaStream_t) {
  const bool compiled = FlashInferAttends(a.heads, a.kv_heads, a.dim) &&
                        (a.tile == kFlashInferStepTile || a.tile == kFlashInferPromptTile);
  if (!compiled) return cudaErrorInvalidValue;
  const int64_t group = a.heads / a.kv_heads;
  for (int64_t block = 0; block < a.blocks; ++block) {
    const int32_t s = a.sequence_of[block];
    const int64_t rows = a.row_begins[s + 1] - a.row_begins[s];
    const int64_t tokens =
        (a.page_begins[s + 1] - a.page_begins[s] - 1) * int64_t{kPageTokens} + a.last_tokens[s];
    const int64_t first = a.tile_of[block] * a.tile;
    for (int64_t query = first; query < first + a.tile && query / group < rows; ++query) {
      const int64_t row = query / group;
      for (int64_t kv_head = 0; kv_head < a.kv_heads; ++kv_head) {
        const int64_t head = kv_head * group + query % group;
        const int64_t offset = ((a.row_begins[s] + row) * a.heads + head) * a.dim;
        AttendQuery(a, a.pages_of + a.page_begins[s], tokens - rows + row + 1, head,
                    static_cast<const __nv_bfloat16*>(a.q) + offset,
                    static_cast<__nv_bfloat16*>(a.out) + offset);
      }
    }
  }
  return cudaSuccess;
}

}  // namespace reckon
