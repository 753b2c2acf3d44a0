#include "learner/parallel/shared_weights.h"

#include "common/testing/temp_folder.h"
#include "gtest/gtest.h"
#include "learner/parallel/single.h"
#include "tests/support/rank_threads.h"
#include "tests/support/tiny_model.h"

namespace reckon {
namespace {

class SharedWeightsTest : public ::testing::Test {
 protected:
  SharedWeightsTest() {
    EXPECT_TRUE(WriteTinyModel(root_ + "/model").ok());
    EXPECT_TRUE(WriteTinyModel(root_ + "/other", /*seed=*/2).ok());
    whole_ = *ReadModelFolder(root_ + "/model");
  }

  // Three ranks; rank r looks into folders[r].
  void Share(std::vector<std::string> folders) {
    std::stop_source stop;
    AsRanks(3, &stop, [&](Parallel& parallel) {
      Weights weights;
      if (parallel.rank() == 0) weights = whole_;
      const absl::Status shared =
          ShareWeights(parallel, {.folder = folders[parallel.rank()]}, &weights);
      ASSERT_TRUE(shared.ok()) << shared;
      EXPECT_EQ(weights.manifest.SerializeAsString(), whole_.manifest.SerializeAsString());
      EXPECT_EQ(weights.bytes->bytes(), whole_.bytes->bytes()) << parallel.rank();
    });
  }

  const TempFolder temp_;
  const std::string& root_ = temp_.path();
  Weights whole_;
};

TEST_F(SharedWeightsTest, RanksWithoutTheFolderGetTheLeadersBytes) { Share({"", "", "/nowhere"}); }

TEST_F(SharedWeightsTest, AFolderIsUsedOnlyWhenItHoldsTheSameModel) {
  Share({"", root_ + "/other", root_ + "/model"});
}

TEST_F(SharedWeightsTest, NothingIsSentWhenAllHaveTheModel) {
  Share({"", root_ + "/model", root_ + "/model"});
}

TEST_F(SharedWeightsTest, ARankAloneKeepsWhatItHas) {
  Weights weights = whole_;
  ASSERT_TRUE(ShareWeights(*MakeSingle(), {}, &weights).ok());
  EXPECT_EQ(weights.bytes, whole_.bytes);
}

}  // namespace
}  // namespace reckon
