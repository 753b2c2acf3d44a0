#include "learner/parallel/nccl_parallel.h"

#include <ATen/ops/full.h>

#include "common/model/backend.h"
#include "gtest/gtest.h"
#include "learner/parallel/single.h"
#include "tests/support/in_process_coordinator.h"

namespace reckon {
namespace {

TEST(GpuNcclParallelTest, OneRankSumsOnTheGpuAndInHostMemory) {
  if (auto backend = ChooseBackend("CUDA"); !backend.ok()) {
    GTEST_SKIP() << "needs a GPU: " << backend.status().message();
  }
#ifdef RECKON_CUDA
  InProcessCoordinator coordinator;
  const uint64_t term = coordinator.BeginTerm();
  std::stop_source stop;
  auto parallel = MakeNccl(MakeSingle(), "all", term, coordinator.NewStub(), stop.get_token());
  ASSERT_TRUE(parallel.ok()) << parallel.status();
  for (c10::DeviceType where : {c10::kCUDA, c10::kCPU}) {
    const at::Tensor values = at::full({100001}, 2.0, at::TensorOptions(at::kFloat).device(where));
    ASSERT_TRUE((*parallel)->AllReduceSum(values).ok());
    EXPECT_EQ(values.sum().item<float>(), 200002);
  }
  std::string bytes = "abc";
  EXPECT_TRUE((*parallel)->Broadcast(&bytes).ok());
#endif
}

}  // namespace
}  // namespace reckon
