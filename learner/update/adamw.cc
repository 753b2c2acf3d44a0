#include "learner/update/adamw.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "common/model/ops/thread_pool.h"

namespace reckon {
namespace {

constexpr int64_t kBlock = 1 << 16;  // elements of one thread's share

struct Coefficients {
  float beta1, beta2, epsilon, decay, step_size, inverse_correction2, scale;
};

void ApplyBlock(const Coefficients& c, int64_t n, float* __restrict p, const float* __restrict g,
                float* __restrict m, float* __restrict v) {
  for (int64_t i = 0; i < n; ++i) {
    float gradient = g[i] * c.scale;
    m[i] = c.beta1 * m[i] + (1 - c.beta1) * gradient;
    v[i] = c.beta2 * v[i] + (1 - c.beta2) * gradient * gradient;
    float denominator = std::sqrt(v[i]) * c.inverse_correction2 + c.epsilon;
    p[i] = p[i] * c.decay - c.step_size * m[i] / denominator;
  }
}

}  // namespace

AdamW::AdamW(const TrainingSettings& training, std::vector<int64_t> sizes)
    : beta1_(training.beta1()),
      beta2_(training.beta2()),
      epsilon_(training.epsilon()),
      weight_decay_(training.weight_decay()),
      sizes_(std::move(sizes)) {
  int64_t total = std::accumulate(sizes_.begin(), sizes_.end(), int64_t{0});
  moments_.first.resize(total);
  moments_.second.resize(total);
}

void AdamW::Apply(absl::Span<float* const> parameters, absl::Span<const float> gradient,
                  float gradient_scale, double learning_rate) {
  int64_t t = ++moments_.steps;
  Coefficients c;
  c.beta1 = static_cast<float>(beta1_);
  c.beta2 = static_cast<float>(beta2_);
  c.epsilon = static_cast<float>(epsilon_);
  c.decay = static_cast<float>(1 - learning_rate * weight_decay_);
  c.step_size = static_cast<float>(learning_rate / (1 - std::pow(beta1_, t)));
  c.inverse_correction2 = static_cast<float>(1 / std::sqrt(1 - std::pow(beta2_, t)));
  c.scale = gradient_scale;
  int64_t offset = 0;
  for (size_t i = 0; i < sizes_.size(); ++i) {
    float* p = parameters[i];
    const float* g = gradient.data() + offset;
    float* m = moments_.first.data() + offset;
    float* v = moments_.second.data() + offset;
    ParallelFor((sizes_[i] + kBlock - 1) / kBlock, [&](int64_t block) {
      int64_t at = block * kBlock;
      ApplyBlock(c, std::min(kBlock, sizes_[i] - at), p + at, g + at, m + at, v + at);
    });
    offset += sizes_[i];
  }
}

double Norm(absl::Span<const float> values) {
  int64_t n = values.size(), blocks = (n + kBlock - 1) / kBlock;
  std::vector<double> sums(blocks, 0);
  ParallelFor(blocks, [&](int64_t block) {
    double sum = 0;
    for (int64_t i = block * kBlock; i < std::min(n, (block + 1) * kBlock); ++i) {
      sum += static_cast<double>(values[i]) * values[i];
    }
    sums[block] = sum;
  });
  return std::sqrt(std::accumulate(sums.begin(), sums.end(), 0.0));
}

}  // namespace reckon
