#include "learner/update/adamw.h"

#include <cmath>
#include <vector>

#include "common/base/rng.h"
#include "common/model/ops/thread_pool.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

TrainingSettings Settings() {
  TrainingSettings training;
  training.set_weight_decay(0.1);
  return training;
}

std::vector<float> Random(int64_t n, uint64_t key) {
  CounterRng rng(key);
  std::vector<float> out(n);
  for (int64_t i = 0; i < n; ++i) out[i] = static_cast<float>(rng.Uniform(i) - 0.5);
  return out;
}

TEST(AdamWTest, AgreesWithTheTextbookLoop) {
  const int64_t kSizes[] = {3, 100000, 70001};
  int64_t total = 170004;
  TrainingSettings training = Settings();
  AdamW adam(training, {kSizes[0], kSizes[1], kSizes[2]});
  std::vector<float> parameters = Random(total, 1);
  std::vector<double> expected(parameters.begin(), parameters.end()), m(total, 0), v(total, 0);
  float* pointers[] = {parameters.data(), parameters.data() + 3, parameters.data() + 100003};
  for (int t = 1; t <= 5; ++t) {
    std::vector<float> gradient = Random(total, 100 + t);
    double rate = 1e-3 / t;
    adam.Apply(pointers, gradient, 0.5f, rate);
    for (int64_t i = 0; i < total; ++i) {
      double g = 0.5 * gradient[i];
      m[i] = 0.9 * m[i] + 0.1 * g;
      v[i] = 0.95 * v[i] + 0.05 * g * g;
      double mean = m[i] / (1 - std::pow(0.9, t)), var = v[i] / (1 - std::pow(0.95, t));
      expected[i] -= rate * 0.1 * expected[i];
      expected[i] -= rate * mean / (std::sqrt(var) + 1e-8);
    }
  }
  for (int64_t i = 0; i < total; ++i) ASSERT_NEAR(parameters[i], expected[i], 1e-6) << i;
}

TEST(AdamWTest, DoesNotDependOnTheNumberOfThreads) {
  std::vector<float> results[2], gradient = Random(300000, 2);
  double norms[2];
  for (int threads : {1, 2}) {
    SetComputeThreads(threads);
    std::vector<float>& parameters = results[threads - 1] = Random(300000, 1);
    AdamW adam(Settings(), {300000});
    for (int t = 0; t < 3; ++t) adam.Apply({parameters.data()}, gradient, 1, 1e-3);
    norms[threads - 1] = Norm(gradient);
  }
  EXPECT_EQ(results[0], results[1]);
  EXPECT_EQ(norms[0], norms[1]);
}

TEST(NormTest, IsTheEuclideanNorm) {
  std::vector<float> values(200000, 0.5f);
  EXPECT_DOUBLE_EQ(Norm(values), 0.5 * std::sqrt(200000.0));
  EXPECT_EQ(Norm({}), 0);
}

}  // namespace
}  // namespace reckon
