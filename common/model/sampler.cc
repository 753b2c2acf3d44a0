#include "common/model/sampler.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <numeric>

#include "common/base/status_macros.h"
#include "common/base/thread_pool.h"
#include "common/model/kernels/cpu/softmax.h"

namespace reckon {
namespace {

// Of the logits that are held at once: as much as the allocator keeps (KeepFreedMemory), so that no
// pass takes new pages for them.
constexpr int64_t kLogitBytes = 31 << 20;
constexpr int64_t kLeastRows = 64;
// Vocabulary entries whose weights are summed at once before the draw examines each.
constexpr int64_t kTile = 64;

struct Scratch {
  std::vector<float> weights;  // exp(scale * logit - max), by token
  std::vector<uint32_t> order;
};

// The first token at which the running sum of `weights` exceeds `target`; if rounding keeps the sum
// below, the last token of positive weight.
uint32_t Invert(const std::vector<float>& weights, double target) {
  const int64_t n = static_cast<int64_t>(weights.size());
  double sum = 0;
  uint32_t last = 0;
  for (int64_t first = 0; first < n; first += kTile) {
    const int64_t count = std::min(kTile, n - first);
    // Most tiles are passed over by their sum. It may be a little larger than the items add up to
    // one by one; then the loop ends without a token, the search continues, and `last` is the
    // answer if no weight follows.
    const double tile = SumFixed(weights.data() + first, count);
    if (tile > 0 && sum + tile > target) {
      double inside = sum;
      for (int64_t i = first; i < first + count; ++i) {
        if (weights[i] <= 0) continue;
        last = static_cast<uint32_t>(i);
        inside += weights[i];
        if (inside > target) return last;
      }
    } else if (tile > 0) {
      for (int64_t i = first + count; i-- > first;) {
        if (weights[i] > 0) {
          last = static_cast<uint32_t>(i);
          break;
        }
      }
    }
    sum += tile;
  }
  return last;
}

// Zeroes the weights of all but the top_k heaviest tokens, then of all but the smallest set of the
// heaviest ones whose share is at least top_p (Holtzman et al. 2020). Lower ids win ties. `total`
// is the sum of all weights; returns the sum of those that remain.
double Truncate(const TokenDraw& row, double total, Scratch& scratch) {
  std::vector<float>& w = scratch.weights;
  scratch.order.resize(w.size());
  std::iota(scratch.order.begin(), scratch.order.end(), 0u);
  auto heavier = [&](uint32_t a, uint32_t b) { return w[a] != w[b] ? w[a] > w[b] : a < b; };
  size_t kept = w.size();
  if (row.top_k > 0 && row.top_k < kept) {
    kept = row.top_k;
    // O(vocab) to find the top_k, so that only those are sorted. With top_p alone the whole
    // vocabulary is sorted, because how many tokens remain is known only in that order.
    std::nth_element(scratch.order.begin(), scratch.order.begin() + kept - 1, scratch.order.end(),
                     heavier);
    total = 0;
  }
  std::sort(scratch.order.begin(), scratch.order.begin() + kept, heavier);
  if (kept < w.size()) {
    // top_p is a share of what top_k has left. Summed from the heaviest down, an order that depends
    // on the weights alone.
    for (size_t i = 0; i < kept; ++i) total += w[scratch.order[i]];
  }
  double sum = 0;
  size_t end = 0;
  while (end < kept) {
    sum += w[scratch.order[end++]];
    if (row.top_p < 1 && sum >= row.top_p * total) break;
  }
  for (size_t i = end; i < w.size(); ++i) w[scratch.order[i]] = 0;
  return sum;
}

// The likeliest tokens of positive weight, with scale * logit - max - log_left for a
// log-probability. Lower ids win ties.
std::vector<RankedToken> Likeliest(const float* logits, float scale, float max, double log_left,
                                   uint32_t count, Scratch& scratch) {
  const std::vector<float>& w = scratch.weights;
  scratch.order.clear();
  for (size_t i = 0; i < w.size(); ++i) {
    if (w[i] > 0) scratch.order.push_back(static_cast<uint32_t>(i));
  }
  const size_t kept = std::min<size_t>(count, scratch.order.size());
  std::partial_sort(scratch.order.begin(), scratch.order.begin() + static_cast<int64_t>(kept),
                    scratch.order.end(), [&](uint32_t a, uint32_t b) {
                      return logits[a] != logits[b] ? logits[a] > logits[b] : a < b;
                    });
  std::vector<RankedToken> out(kept);
  for (size_t i = 0; i < kept; ++i) {
    const uint32_t token = scratch.order[i];
    out[i] = {token, static_cast<float>(scale * logits[token] - max - log_left)};
  }
  return out;
}

DrawnToken SampleOne(const float* logits, int64_t n, const TokenDraw& row, Scratch& scratch) {
  scratch.weights.resize(n);
  const bool tempered = row.temperature > 0 && row.forced < 0;
  const float scale = tempered ? static_cast<float>(InverseTemperature(row.temperature)) : 1.0f;
  float max, sum;
  const float lse = LogSumExp(logits, n, scale, &max, &sum, scratch.weights.data());
  DrawnToken out;
  if (row.forced >= 0) {
    out.token = static_cast<uint32_t>(row.forced);
  } else if (!tempered) {
    // max_element returns the first of equal logits: the lowest id wins.
    out.token = static_cast<uint32_t>(std::max_element(logits, logits + n) - logits);
  } else if (row.top_k > 0 || row.top_p < 1) {
    const double left = Truncate(row, sum, scratch);
    out.token = Invert(scratch.weights, row.uniform * left);
    // log(exp(scale * logit - max) / left), where `left` is the sum of the weights that remain.
    out.logprob = static_cast<float>(scale * logits[out.token] - max - std::log(left));
    if (row.ranked > 0) {
      out.ranked = Likeliest(logits, scale, max, std::log(left), row.ranked, scratch);
    }
    return out;
  } else {
    out.token = Invert(scratch.weights, row.uniform * sum);
  }
  out.logprob = scale * logits[out.token] - lse;
  if (row.ranked > 0) out.ranked = Likeliest(logits, scale, lse, 0, row.ranked, scratch);
  return out;
}

// Whether the logits of all tokens are finite; those of `gaps`, ascending, are minus infinity.
bool AreFinite(const float* logits, int64_t n, const std::vector<int64_t>& gaps) {
  float sum = 0;  // finite only if all of its terms are
  int64_t begin = 0;
  for (const int64_t gap : gaps) {
    sum += SumFixed(logits + begin, gap - begin);
    begin = gap + 1;
  }
  return std::isfinite(sum + SumFixed(logits + begin, n - begin));
}

}  // namespace

absl::StatusOr<std::vector<DrawnToken>> DrawFromLogits(const at::Tensor& logits,
                                                       const std::vector<int64_t>& gaps,
                                                       absl::Span<const TokenDraw> rows) {
  std::vector<DrawnToken> out(rows.size());
  std::atomic<bool> finite = true;
  const int64_t n = logits.size(1);
  const float* data = logits.const_data_ptr<float>();
  ParallelFor(logits.size(0), [&](int64_t i) {
    thread_local Scratch scratch;
    if (!AreFinite(data + i * n, n, gaps)) {
      finite = false;
      return;
    }
    out[i] = SampleOne(data + i * n, n, rows[i], scratch);
  });
  if (!finite) return absl::DataLossError("the model's logits are not finite numbers");
  return out;
}

absl::StatusOr<std::vector<DrawnToken>> Sample(Transformer& model, const at::Tensor& hidden,
                                               absl::Span<const TokenDraw> rows) {
  at::NoGradGuard no_grad;
  const int64_t row_bytes = model.config().num_tokens() * static_cast<int64_t>(sizeof(float));
  const int64_t rows_at_once = std::max(kLeastRows, kLogitBytes / row_bytes);
  std::vector<DrawnToken> out;
  for (int64_t first = 0; first < hidden.size(0); first += rows_at_once) {
    const int64_t count = std::min(rows_at_once, hidden.size(0) - first);
    ASSIGN_OR_RETURN(const std::vector<DrawnToken> drawn,
                     DrawFromLogits(model.Logits(hidden.narrow(0, first, count)).to(at::kCPU),
                                    model.config().gaps, rows.subspan(first, count)));
    out.insert(out.end(), drawn.begin(), drawn.end());
  }
  return out;
}

}  // namespace reckon
