#include "cli/estimate/disk_estimate.h"

#include <map>

#include "google/protobuf/text_format.h"
#include "gtest/gtest.h"
#include "tests/support/thin_shape.h"

namespace reckon {
namespace {

ModelSize TwoLayers() { return {.shape = ThinShape(2), .weight_bytes = 5}; }
constexpr double kElements = 808 + 2 * 592;

std::map<std::string, double> Disk(const std::string& text) {
  RunConfig config;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString("keep_last: 2 " + text, &config));
  std::map<std::string, double> out;
  for (const DiskLine& line : DiskEstimate(config, TwoLayers(), 7)) out[line.what] = line.bytes;
  return out;
}

TEST(DiskEstimate, ASaveIsWrittenBeforeTheOldestIsDeleted) {
  EXPECT_EQ(Disk("stage { sft {} }")["checkpoints"], 3 * 12 * kElements);
  EXPECT_EQ(Disk("stage { sft {} }")["store"], 7 * 3072);
}

TEST(DiskEstimate, CheckpointsHoldTheCritic) {
  const double head = 8 * 16 + 16 + 16 + 1;
  const std::string critic = "ppo { critic { layers: 2 } }";
  EXPECT_EQ(Disk("stage { " + critic + " }")["checkpoints"], 3 * 12 * (kElements + 2 * 592 + head));
  EXPECT_EQ(Disk("stage { training { lora_rank: 3 } " + critic + " }")["checkpoints"],
            3 * 12 * (AdapterCount(TwoLayers().shape, 3) + 2 * 592 + head));
  EXPECT_EQ(Disk("stage { orm {} }")["checkpoints"], 3 * 12 * (kElements + 8 + 1));
}

// Whatever the folder of the base model has.
TEST(DiskEstimate, VersionsAreInWhatIsComputedIn) {
  // The newest, the one that is written, the one that the stage began with, the best.
  const std::string ei = "stage { ei { rounds: 9 } } keep_evaluated: ";
  EXPECT_EQ(Disk(ei + "BEST")["weights"], (2 + 1 + 1 + 1) * 2 * kElements);
  EXPECT_EQ(Disk(ei + "NONE model { compute: FP32 }")["weights"], (2 + 1 + 1) * 4 * kElements);
  EXPECT_EQ(Disk(ei + "ALL")["weights"], 9 * 2 * kElements) << "no more than are made";
  EXPECT_EQ(Disk("stage { sft {} } stage { eval {} }")["weights"], 2 * kElements);
  EXPECT_EQ(Disk("stage { training { lora_rank: 3 } sft {} }")["weights"],
            2 * kElements + 4 * AdapterCount(TwoLayers().shape, 3));
  EXPECT_EQ(Disk("stage { eval {} }").count("weights"), 0u);
}

TEST(DiskEstimate, ModelsBesideVersionsAreCounted) {
  EXPECT_EQ(Disk("stage { orm {} } stage { orm {} }")["reward models"], 2 * 2 * kElements);
  EXPECT_EQ(Disk("stage { init {} } stage { sft {} }")["base model"], 5);
  const std::string over = "model { path: \"/adapter\" base: \"/base\" } ";
  EXPECT_EQ(Disk(over + "stage { training { lora_rank: 3 } sft {} }")["base model"], 5);
  EXPECT_EQ(Disk(over + "stage { sft {} }").count("base model"), 0u);
}

}  // namespace
}  // namespace reckon
