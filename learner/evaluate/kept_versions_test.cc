#include "learner/evaluate/kept_versions.h"

#include <filesystem>

#include "common/testing/temp_folder.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

Evaluation Of(uint32_t version, double greedy, double majority) {
  Evaluation evaluation;
  evaluation.set_version(version);
  evaluation.mutable_maj_at_1()->set_value(greedy);
  evaluation.mutable_maj_at_k()->set_value(majority);
  return evaluation;
}

TEST(KeptVersionsTest, TheBestIsTheEarliestOfTheLargestValues) {
  std::vector<Evaluation> evaluations = {Of(0, 0.1, 0.2), Of(3, 0.4, 0.1), Of(5, 0.4, 0.3),
                                         Of(7, 0.2, 0.3)};
  evaluations[1].mutable_rerank_at_k()->set_value(0);
  RunConfig config;
  EXPECT_THAT(KeptVersions(config, evaluations), ElementsAre(3));  // BEST by maj@1
  config.set_best_metric("maj@K");
  EXPECT_THAT(KeptVersions(config, evaluations), ElementsAre(5));
  config.set_best_metric("rerank@K");  // one evaluation has it
  EXPECT_THAT(KeptVersions(config, evaluations), ElementsAre(3));
  config.set_best_metric("pass@K");
  EXPECT_THAT(KeptVersions(config, evaluations), IsEmpty());
  evaluations[0].mutable_pass_at_k()->set_value(0.9);
  evaluations[2].mutable_pass_at_k()->set_value(0.8);
  EXPECT_THAT(KeptVersions(config, evaluations), ElementsAre(0));
  evaluations[3].mutable_rerank_weighted_at_k()->set_value(0.1);
  evaluations[1].mutable_rerank_weighted_at_k()->set_value(0.05);
  config.set_best_metric("rerank_weighted@K");
  EXPECT_THAT(KeptVersions(config, evaluations), ElementsAre(7));
  config.set_keep_evaluated(RunConfig::ALL);
  EXPECT_THAT(KeptVersions(config, evaluations), ElementsAre(0, 3, 5, 7));
  config.set_keep_evaluated(RunConfig::NONE);
  EXPECT_THAT(KeptVersions(config, evaluations), IsEmpty());
}

TEST(KeptVersionsTest, TheLinkIsReplaced) {
  const TempFolder temp;
  const std::string& folder = temp.path();
  std::filesystem::create_symlink("what a crash left", folder + "/best.tmp");
  for (const char* target : {"weights/a", "weights/b"}) {
    ASSERT_TRUE(LinkBest(folder, target).ok());
    EXPECT_EQ(std::filesystem::read_symlink(folder + "/best"), target);
  }
  EXPECT_FALSE(LinkBest(folder + "/nowhere", "a").ok());
}

}  // namespace
}  // namespace reckon
