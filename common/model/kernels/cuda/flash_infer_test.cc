#include <string>
#include <vector>

#include "common/model/backend.h"
#include "common/model/kernels/cuda/flash_infer_attention.h"
#include "common/model/kernels/torch/row_tiles.h"
#include "gtest/gtest.h"
#include "tests/support/random_weights.h"

// FlashInfer's attention beside our own, on a GPU: what a process compares itself before it uses
// it.
namespace reckon {
namespace {

TEST(GpuFlashInferTest, ItComputesWhatOurOwnKernelDoes) {
  if (const auto cuda = ChooseBackend("CUDA"); !cuda.ok()) {
    GTEST_SKIP() << "needs a GPU: " << cuda.status().message();
  }
  const c10::Device device = DeviceOf(Backend::kTorchCuda);
  for (const int64_t dim : {64, 128}) {
    for (const int64_t group : {1, 3, 4, 7, 16}) {
      EXPECT_TRUE(FlashInferAgrees(2 * group, 2, dim, device)) << dim << " " << group;
    }
  }
}

TEST(GpuFlashInferTest, OtherModelsDecodeWithOurOwn) {
  const c10::Device device(c10::kCPU);  // none of these tries a kernel
  ModelConfig config = SmallConfig();   // heads of 16
  EXPECT_EQ(FlashInferAttention::Make(config, Dtype::kBf16, 4, 4, device), nullptr);
  config.head_dim = 64;
  EXPECT_EQ(FlashInferAttention::Make(config, Dtype::kFp32, 4, 4, device), nullptr);
  SetRowTile(kRowTile);
  EXPECT_EQ(FlashInferAttention::Make(config, Dtype::kBf16, 4, 4, device), nullptr);
  SetRowTile(0);
}

}  // namespace
}  // namespace reckon
