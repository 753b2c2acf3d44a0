#ifndef RECKON_LEARNER_UPDATE_ADAMW_H_
#define RECKON_LEARNER_UPDATE_ADAMW_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "proto/config.pb.h"

namespace reckon {

// What AdamW remembers of all parameters, one after another.
struct AdamMoments {
  int64_t steps = 0;
  std::vector<float> first;
  std::vector<float> second;
};

// AdamW (decoupled weight decay) over fp32 parameters in one fused pass. The result does not depend
// on the number of threads. One thread at a time.
class AdamW {
 public:
  // `sizes`: elements of each parameter.
  AdamW(const TrainingSettings& training, std::vector<int64_t> sizes);

  // parameters[i] has sizes[i] elements; `gradient` is that of all parameters, one after another,
  // and is multiplied by `gradient_scale` first.
  void Apply(absl::Span<float* const> parameters, absl::Span<const float> gradient,
             float gradient_scale, double learning_rate);

  int64_t elements() const { return moments_.first.size(); }
  AdamMoments& moments() { return moments_; }

 private:
  const double beta1_, beta2_, epsilon_, weight_decay_;
  const std::vector<int64_t> sizes_;
  AdamMoments moments_;
};

// Euclidean norm in double precision; the same for any number of threads.
double Norm(absl::Span<const float> values);

}  // namespace reckon

#endif  // RECKON_LEARNER_UPDATE_ADAMW_H_
