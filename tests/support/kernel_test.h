#ifndef RECKON_TESTS_SUPPORT_KERNEL_TEST_H_
#define RECKON_TESTS_SUPPORT_KERNEL_TEST_H_

#include "common/model/backend.h"
#include "gtest/gtest.h"
#ifdef RECKON_CUDA_ON_CPU
#include "tests/support/cuda_on_cpu/grid.h"
#endif

namespace reckon {

// A test of kernels/cuda: on a GPU, where there is one, and with the kernels compiled as C++
// (tests/support/cuda_on_cpu) on the CPU. Base: testing::Test or one with parameters.
template <typename Base>
class KernelTest : public Base {
 protected:
#ifdef RECKON_CUDA_ON_CPU
  static constexpr Backend kBackend = Backend::kTorchCpu;
  // Another order of threads for each test.
  void SetUp() override { SetGridSeed(testing::UnitTest::GetInstance()->random_seed() + 1); }
#else
  static constexpr Backend kBackend = Backend::kTorchCuda;
  void SetUp() override {
    if (const auto cuda = ChooseBackend("CUDA"); !cuda.ok()) {
      GTEST_SKIP() << "needs a GPU: " << cuda.status().message();
    }
  }
#endif
};

}  // namespace reckon

#endif  // RECKON_TESTS_SUPPORT_KERNEL_TEST_H_
