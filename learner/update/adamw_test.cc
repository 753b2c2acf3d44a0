#include "learner/update/adamw.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/count_nonzero.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/full.h>
#include <ATen/ops/max.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "common/base/rng.h"
#include "common/base/thread_pool.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

TrainingSettings Settings() {
  TrainingSettings training;
  training.set_weight_decay(0.1);
  return training;
}

at::Tensor Random(int64_t n, uint64_t key) {
  CounterRng rng(key);
  std::vector<float> out(n);
  for (int64_t i = 0; i < n; ++i) out[i] = static_cast<float>(rng.Uniform(i) - 0.5);
  return at::from_blob(out.data(), {n}, at::kFloat).clone();
}

// `values` as one parameter for each size, on the backend's device.
std::vector<at::Tensor> Parameters(const at::Tensor& values, const std::vector<int64_t>& sizes,
                                   Backend backend) {
  std::vector<at::Tensor> out;
  int64_t offset = 0;
  for (int64_t size : sizes) {
    out.push_back(values.narrow(0, offset, size).clone().to(DeviceOf(backend)));
    out.back().requires_grad_(true);
    offset += size;
  }
  return out;
}

std::vector<float> Values(const std::vector<at::Tensor>& parameters) {
  std::vector<float> out;
  for (const at::Tensor& parameter : parameters) {
    const at::Tensor host = parameter.detach().to(at::kCPU).contiguous();
    const float* values = host.const_data_ptr<float>();
    out.insert(out.end(), values, values + host.numel());
  }
  return out;
}

TEST(AdamWTest, AgreesWithTheTextbookLoop) {
  const int64_t total = 170004;
  const at::Tensor start = Random(total, 1);
  std::vector<at::Tensor> parameters = Parameters(start, {3, 100000, 70001}, Backend::kCpuKernels);
  AdamW adam(Settings(), Backend::kCpuKernels, parameters);
  const float* first = start.const_data_ptr<float>();
  std::vector<double> expected(first, first + total), m(total, 0), v(total, 0);
  for (int t = 1; t <= 5; ++t) {
    const at::Tensor gradient = Random(total, 100 + t);
    double rate = 1e-3 / t;
    const at::Tensor given = gradient.clone();
    adam.Step(given, 0.5, rate);
    EXPECT_EQ(given.count_nonzero().item<int64_t>(), 0);
    for (int64_t i = 0; i < total; ++i) {
      double g = 0.5 * gradient.const_data_ptr<float>()[i];
      m[i] = 0.9 * m[i] + 0.1 * g;
      v[i] = 0.95 * v[i] + 0.05 * g * g;
      double mean = m[i] / (1 - std::pow(0.9, t)), var = v[i] / (1 - std::pow(0.95, t));
      expected[i] -= rate * 0.1 * expected[i];
      expected[i] -= rate * mean / (std::sqrt(var) + 1e-8);
    }
  }
  const std::vector<float> got = Values(parameters);
  for (int64_t i = 0; i < total; ++i) ASSERT_NEAR(got[i], expected[i], 1e-6) << i;
}

TEST(AdamWTest, DoesNotDependOnTheNumberOfThreads) {
  const at::Tensor gradient = Random(300000, 2);
  std::vector<float> results[2];
  double norms[2];
  for (int threads : {1, 2}) {
    SetComputeThreads(threads);
    std::vector<at::Tensor> parameters =
        Parameters(Random(300000, 1), {300000}, Backend::kCpuKernels);
    AdamW adam(Settings(), Backend::kCpuKernels, parameters);
    for (int t = 0; t < 3; ++t) adam.Step(gradient.clone(), 1, 1e-3);
    results[threads - 1] = Values(parameters);
    norms[threads - 1] = GlobalNorm(gradient);
  }
  EXPECT_EQ(results[0], results[1]);
  EXPECT_EQ(norms[0], norms[1]);
}

TEST(AdamWTest, AStepInPartsHasTheBitsOfAWholeOne) {
  const std::vector<int64_t> sizes = {300, 7, 1000};
  for (const Backend backend : {Backend::kCpuKernels, Backend::kTorchCpu}) {
    auto whole = Parameters(Random(1307, 1), sizes, backend);
    auto parts = Parameters(Random(1307, 1), sizes, backend);
    AdamW one(Settings(), backend, whole), other(Settings(), backend, parts);
    for (int t = 0; t < 3; ++t) {
      const at::Tensor gradient = Random(1307, 10 + t), given = gradient.clone();
      one.Step(gradient, 0.5, 1e-2);
      other.Begin(given, 0.5, 1e-2);
      other.StepOf(parts[2]);
      if (backend == Backend::kCpuKernels) EXPECT_TRUE(at::equal(parts[2], whole[2]));
      other.StepOf(parts[0]);
      other.StepOf(parts[2]);  // once is enough
      other.StepOf(gradient);  // no parameter
      other.End();
      EXPECT_EQ(Values(parts), Values(whole));
      EXPECT_EQ(given.abs().max().item<float>(), 0);
      other.StepOf(parts[0]);  // no step has begun
      EXPECT_EQ(Values(parts), Values(whole));
    }
    EXPECT_EQ(other.moments().steps, 3);
  }
}

class AdamWByTorchTest : public testing::TestWithParam<Backend> {};

TEST_P(AdamWByTorchTest, StepsAsTheCpuKernelsAlsoFromMomentsThatWereChanged) {
  if (GetParam() == Backend::kTorchCuda && !ChooseBackend("CUDA").ok()) {
    GTEST_SKIP() << "needs a GPU: " << ChooseBackend("CUDA").status().message();
  }
  const std::vector<int64_t> sizes = {3, 1000, 701};
  const at::Tensor start = Random(1704, 1);
  std::vector<at::Tensor> wanted = Parameters(start, sizes, Backend::kCpuKernels);
  std::vector<at::Tensor> parameters = Parameters(start, sizes, GetParam());
  AdamW own(Settings(), Backend::kCpuKernels, wanted), adam(Settings(), GetParam(), parameters);
  for (int t = 1; t <= 6; ++t) {
    const at::Tensor gradient = Random(1704, 100 + t);
    own.Step(gradient.clone(), 0.5, 1e-2 / t);
    const at::Tensor given = gradient.clone().to(DeviceOf(GetParam()));
    adam.Step(given, 0.5, 1e-2 / t);
    EXPECT_EQ(given.count_nonzero().item<int64_t>(), 0);
    if (t == 3) {
      EXPECT_EQ(adam.moments().steps, 3);
      // To read them changes nothing.
      EXPECT_EQ(adam.moments().first.size(), 1704u);
      for (AdamMoments* moments : {&own.mutable_moments(), &adam.mutable_moments()}) {
        for (float& m : moments->first) m *= 0.5f;
      }
    }
  }
  EXPECT_EQ(adam.moments().steps, own.moments().steps);
  auto difference = [](const std::vector<float>& a, const std::vector<float>& b) {
    float most = 0;
    for (size_t i = 0; i < a.size(); ++i) most = std::max(most, std::abs(a[i] - b[i]));
    return most;
  };
  EXPECT_LT(difference(adam.moments().first, own.moments().first), 1e-6);
  EXPECT_LT(difference(adam.moments().second, own.moments().second), 1e-6);
  EXPECT_LT(difference(Values(parameters), Values(wanted)), 1e-6);
}

TEST_P(AdamWByTorchTest, HasTheSameBitsAfterItHasLeftTheDevice) {
  if (GetParam() == Backend::kTorchCuda && !ChooseBackend("CUDA").ok()) {
    GTEST_SKIP() << "needs a GPU: " << ChooseBackend("CUDA").status().message();
  }
  std::vector<float> results[2];
  AdamMoments moments[2];
  for (const bool leaves : {false, true}) {
    std::vector<at::Tensor> parameters = Parameters(Random(1704, 1), {3, 1701}, GetParam());
    AdamW adam(Settings(), GetParam(), parameters);
    for (int t = 1; t <= 4; ++t) {
      adam.Step(Random(1704, 100 + t).to(DeviceOf(GetParam())), 0.5, 1e-2 / t);
      if (leaves) adam.LeaveDevice();
      if (leaves && t == 2) {
        adam.LeaveDevice();  // once more changes nothing
        EXPECT_EQ(adam.moments().steps, 2);
      }
    }
    results[leaves] = Values(parameters);
    moments[leaves] = adam.moments();
  }
  EXPECT_EQ(results[0], results[1]);
  EXPECT_EQ(moments[0].first, moments[1].first);
  EXPECT_EQ(moments[0].second, moments[1].second);
}

INSTANTIATE_TEST_SUITE_P(Cpu, AdamWByTorchTest, testing::Values(Backend::kTorchCpu));
INSTANTIATE_TEST_SUITE_P(Gpu, AdamWByTorchTest, testing::Values(Backend::kTorchCuda));

TEST(GlobalNormTest, IsTheEuclideanNorm) {
  EXPECT_DOUBLE_EQ(GlobalNorm(at::full({200000}, 0.5, at::kFloat)), 0.5 * std::sqrt(200000.0));
  EXPECT_EQ(GlobalNorm(at::empty({0}, at::kFloat)), 0);
}

}  // namespace
}  // namespace reckon
