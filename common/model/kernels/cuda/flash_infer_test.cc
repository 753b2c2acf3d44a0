#include "common/model/kernels/cuda/flash_infer.h"

#include "common/model/backend.h"
#include "common/model/kernels/cuda/flash_infer_attention.h"
#include "common/model/kernels/torch/row_tiles.h"
#include "gtest/gtest.h"
#include "tests/support/kernel_test.h"
#include "tests/support/random_weights.h"
#include "tests/support/test_tensors.h"

#ifdef RECKON_CUDA_ON_CPU
#define FlashInferTest CpuFlashInferTest
#else
#define FlashInferTest GpuFlashInferTest
#endif

// FlashInfer's attention beside our own, as a process compares them before it uses it: on a GPU,
// and on the CPU with a double of FlashInfer's kernel (tests/support/cuda_on_cpu/flash_infer.cu).
namespace reckon {
namespace {

class FlashInferTest : public KernelTest<testing::Test> {
 protected:
  void TearDown() override { SetRowTile(0); }
};

TEST_F(FlashInferTest, ItComputesWhatOurOwnKernelDoes) {
#ifdef RECKON_CUDA_ON_CPU
  const std::vector<int64_t> groups = {3};  // a GPU's threads one after another take long
#else
  const std::vector<int64_t> groups = {1, 3, 4, 7, 16};
#endif
  for (const int64_t dim : {64, 128}) {
    for (const int64_t group : groups) {
      for (const int64_t tile : {kFlashInferStepTile, kFlashInferPromptTile}) {
        EXPECT_TRUE(FlashInferAgrees(2 * group, 2, dim, tile, DeviceOf(kBackend)))
            << dim << " " << group << " " << tile;
      }
    }
  }
}

TEST_F(FlashInferTest, OtherModelsAttendByOurOwn) {
  ModelConfig config = SmallConfig();  // heads of 16
  const auto uses = [&](Dtype dtype) {
    return UsesFlashInfer(config, dtype, kFlashInferStepTile, DeviceOf(kBackend));
  };
  EXPECT_FALSE(uses(Dtype::kBf16));
  config.head_dim = 64;
  EXPECT_TRUE(uses(Dtype::kBf16));
  EXPECT_FALSE(uses(Dtype::kFp32));
  SetRowTile(kRowTile);
  EXPECT_FALSE(uses(Dtype::kBf16));
  SetRowTile(0);
  config.num_heads = 17;
  EXPECT_FALSE(uses(Dtype::kBf16));
}

// A block for each tile of a sequence's queries, and the narrow tile where no sequence has more
// rows than one.
TEST_F(FlashInferTest, TilesCoverTheQueriesOfEachSequence) {
  const auto send = [](const at::Tensor& host) { return host; };
  const FlashInferTiles prompts =
      PromptTiles({{.rows = 100, .tokens = 100}, {.rows = 1, .tokens = 65}}, 2, 3, send);
  EXPECT_EQ(prompts.tile, kFlashInferPromptTile);
  EXPECT_TRUE(prompts.row_begins.equal(Ints({0, 100, 101})));
  EXPECT_TRUE(prompts.page_begins.equal(Ints({0, 200, 202})));
  EXPECT_TRUE(prompts.last_tokens.equal(Ints({100 - 199 * 64, 1})));
  EXPECT_TRUE(prompts.sequence_of.equal(Ints({0, 0, 0, 1})));
  EXPECT_TRUE(prompts.tile_of.equal(Ints({0, 1, 2, 0})));
  const FlashInferTiles steps =
      PromptTiles({{.rows = 1, .tokens = 3}, {.rows = 1, .tokens = 65}}, 2, 3, send);
  EXPECT_EQ(steps.tile, kFlashInferStepTile);
  const FlashInferTiles wanted = StepTiles(2, 2, at::kCPU);
  EXPECT_TRUE(steps.row_begins.equal(wanted.row_begins));
  EXPECT_TRUE(steps.page_begins.equal(wanted.page_begins));
  EXPECT_TRUE(steps.sequence_of.equal(wanted.sequence_of));
  EXPECT_TRUE(steps.tile_of.equal(wanted.tile_of));
}

}  // namespace
}  // namespace reckon
