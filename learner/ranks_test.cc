#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "learner/checkpoint/checkpoint.h"
#include "tests/support/learner_harness.h"

namespace reckon {
namespace {

// Runs of several ranks, of which the leader alone has files.
class RanksTest : public LearnerHarness {};

// Every kind of stage that reads something back: versions, adapters, a reward model, moments. The
// other ranks have no file, so what they learn with came from the leader.
TEST_F(RanksTest, RanksWithoutARunFolderGiveTheSameBitsAgainAndAfterAResume) {
  const std::string stages = absl::StrCat(kReturnConditionedConfig, R"pb(
    stage {
      ppo {
        steps: 2
        prompts: 2
        samples_per_prompt: 3
        ppo_epochs: 2
        reward {}
        reward { kind: ORM orm: "orm_1" dense: true }
        sampling { max_new_tokens: 200 }
      }
      training { lora_rank: 4 }
    }
  )pb");
  WriteConfig("all", stages);
  const std::string last = "/weights/ppo_1_step_2/model.safetensors";
  std::vector<double> losses;
  for (const char* sharding : {"REPLICATED", "FULL"}) {
    const std::vector<std::string> overrides = {absl::StrCat("learner.sharding=", sharding)};
    Cluster cluster;
    const std::string name = absl::StrCat("a_", sharding);
    RunAsRanks(cluster, 2, Options(name, overrides, "all"));
    const auto weights = ReadFile(absl::StrCat(root_, "/", name, last));
    ASSERT_TRUE(weights.ok()) << weights.status();
    const std::vector<int64_t> steps = ListCheckpoints(absl::StrCat(root_, "/", name));
    ASSERT_GT(steps.size(), 6u);
    for (size_t i = 1; i < steps.size(); i += 3) {
      CopyUpTo(name, steps[i], "b");
      LearnerOptions resumed = Options("b", overrides, "all");
      resumed.resume = true;
      RunAsRanks(cluster, 2, resumed);
      EXPECT_EQ(ReadFile(root_ + "/b" + last), weights) << sharding << " from " << steps[i];
    }
    const std::vector<double> these = Losses(name);
    for (size_t i = 0; i < losses.size(); ++i) EXPECT_NEAR(these[i], losses[i], 1e-4) << i;
    losses = these;
  }
}

// Sums of other numbers of ranks differ by rounding, so the run is compared with its repetition.
TEST_F(RanksTest, ARunContinuesWithOtherNumbersOfRanksAndDividedOtherwise) {
  std::string expected;
  for (const char* name : {"x", "y"}) {
    Cluster cluster;
    const std::string at = absl::StrCat(name, "_2"), from = absl::StrCat(name, "_1"),
                      to = absl::StrCat(name, "_4");
    const std::vector<std::string> divided = {"learner.sharding=FULL"};
    RunAsRanks(cluster, 2, Options(at, divided));
    const std::vector<int64_t> steps = ListCheckpoints(root_ + "/" + at);
    CopyUpTo(at, steps[2], from);
    LearnerOptions one = Options(from), four = Options(to, divided);
    one.resume = four.resume = true;
    RunAsRanks(cluster, 1, one);
    CopyUpTo(from, steps[6], to);
    RunAsRanks(cluster, 4, four);
    EXPECT_EQ(Losses(to).size(), Losses(at).size());
    for (size_t i = 0; i < Losses(at).size(); ++i) EXPECT_NEAR(Losses(at)[i], Losses(to)[i], 1e-3);
    if (expected.empty()) expected = FinalWeights(to);
    EXPECT_EQ(FinalWeights(to), expected) << name;
  }
}

}  // namespace
}  // namespace reckon
