#include "learner/update/device_adamw.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/from_blob.h>

#include <algorithm>

#include "common/base/rng.h"
#include "common/model/backend.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

std::vector<float> Random(int64_t n, uint64_t key) {
  CounterRng rng(key);
  std::vector<float> out(n);
  for (int64_t i = 0; i < n; ++i) out[i] = static_cast<float>(rng.Uniform(i) - 0.5);
  return out;
}

class DeviceAdamWTest : public testing::TestWithParam<Backend> {};

TEST_P(DeviceAdamWTest, StepsAsTheOwnOneAlsoFromMomentsThatWereChanged) {
  if (GetParam() == Backend::kCuda && !ChooseBackend("CUDA").ok()) {
    GTEST_SKIP() << "needs a GPU: " << ChooseBackend("CUDA").status().message();
  }
  const c10::Device device = DeviceOf(GetParam());
  TrainingSettings training;
  training.set_weight_decay(0.1);
  const std::vector<int64_t> sizes = {3, 1000, 701};
  std::vector<float> wanted = Random(1704, 1);
  std::vector<float*> pointers = {wanted.data(), wanted.data() + 3, wanted.data() + 1003};
  AdamW own(training, sizes);
  std::vector<at::Tensor> parameters;
  for (size_t i = 0; i < sizes.size(); ++i) {
    parameters.push_back(at::from_blob(pointers[i], {sizes[i]}, at::kFloat).clone().to(device));
    parameters.back().requires_grad_(true);
  }
  DeviceAdamW adam(training, parameters);
  for (int t = 1; t <= 6; ++t) {
    std::vector<float> gradient = Random(1704, 100 + t);
    const at::Tensor copy = at::from_blob(gradient.data(), {1704}, at::kFloat).clone().to(device);
    own.Apply(pointers, gradient, 0.5f, 1e-2 / t);
    adam.Apply(copy, 0.5, 1e-2 / t);
    if (t == 3) {
      EXPECT_EQ(adam.moments().steps, 3);
      for (AdamMoments* moments : {&own.moments(), &adam.moments()}) {
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
  int64_t offset = 0;
  for (const at::Tensor& parameter : parameters) {
    const at::Tensor got = parameter.detach().to(at::kCPU).contiguous();
    const float* values = got.const_data_ptr<float>();
    EXPECT_LT(difference({values, values + got.numel()},
                         {wanted.begin() + offset, wanted.begin() + offset + got.numel()}),
              1e-6);
    offset += got.numel();
  }
}

INSTANTIATE_TEST_SUITE_P(Cpu, DeviceAdamWTest, testing::Values(Backend::kAtenCpu));
INSTANTIATE_TEST_SUITE_P(Gpu, DeviceAdamWTest, testing::Values(Backend::kCuda));

}  // namespace
}  // namespace reckon
