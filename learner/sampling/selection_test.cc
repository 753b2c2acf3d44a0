#include "learner/sampling/selection.h"

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/support/learner_harness.h"

namespace reckon {
namespace {

class SelectionTest : public LearnerHarness {};

TEST_F(SelectionTest, RecordsDistinctAcceptedSamplesPinnedToTheNewestVersion) {
  ASSERT_TRUE(Run(Options("a")).ok());
  auto selections = coordinator_.selections();
  ASSERT_EQ(selections.size(), 2u);
  for (const auto& [name, selection] : selections) {
    EXPECT_TRUE(selection.complete());
    EXPECT_EQ(selection.rule(), "reward >= 1, not cut, distinct by text");
    std::vector<std::string> expected, keys;
    for (int group = 0; group < 10; ++group) {
      expected.push_back(absl::StrCat(group, "/0"));
      if (group % 2 == 0) expected.push_back(absl::StrCat(group, "/2"));
    }
    for (const RolloutKey& key : selection.keys()) {
      EXPECT_EQ(key.plan(), name);
      keys.push_back(absl::StrCat(key.group(), "/", key.sample()));
    }
    EXPECT_EQ(keys, expected) << name;
  }
  auto plans = coordinator_.plans();
  EXPECT_EQ(plans.at("ei_1/round_1").pinned_version(), 1u);
  EXPECT_EQ(plans.at("ei_1/round_2").pinned_version(), 2u);
  EXPECT_EQ(plans.at("eval/0_start/greedy").sampling().temperature(), 0);
  EXPECT_EQ(plans.at("eval/3_ei_1_round_2/samples").pinned_version(), 3u);
  EXPECT_EQ(coordinator_.weights().size(), 4u);
}

TEST_F(SelectionTest, ReportsWhatWasAccepted) {
  Cluster cluster([](const PlanSpec& spec, const Lease& lease, uint32_t sample) {
    Rollout rollout = Answer(spec, lease, sample);
    if (lease.item().group() >= 5) rollout.set_reward(0);
    return rollout;
  });
  const absl::Status run = cluster.Run(Options("a", {"stage[1].ei.rounds=1"}), stop_.get_token());
  ASSERT_TRUE(run.ok()) << run;
  int reports = 0;
  for (const nlohmann::json& line : Metrics("a")) {
    if (!line.contains("sample/accepted")) continue;
    ++reports;
    // Of five problems of ten two equal samples each, and of three of these another one.
    EXPECT_EQ(line["num_samples"], 30);
    EXPECT_EQ(line["sample/accepted"], 13);
    EXPECT_DOUBLE_EQ(line["sample/accepted_ratio"], 13 / 30.0);
    EXPECT_EQ(line["sample/distinct"], 8);
    EXPECT_DOUBLE_EQ(line["sample/distinct_per_prompt"], 0.8);
    EXPECT_DOUBLE_EQ(line["sample/solved_ratio"], 0.5);
    EXPECT_DOUBLE_EQ(line["reward"], 13 / 30.0);
  }
  EXPECT_EQ(reports, 1);
}

TEST_F(SelectionTest, SamplesThatWereCutAreSelectedOnRequestAlone) {
  const auto cut = [](const PlanSpec& spec, const Lease& lease, uint32_t sample) {
    Rollout rollout = Answer(spec, lease, sample);
    if (sample == 0) rollout.set_finish(FINISH_LENGTH);
    return rollout;
  };
  for (const bool keep : {false, true}) {
    Cluster cluster(cut);
    const LearnerOptions options =
        Options(absl::StrCat("keep_", keep), {absl::StrCat("stage[1].ei.keep_truncated=", keep),
                                              "stage[1].ei.dedup=NONE", "stage[1].ei.rounds=1"});
    const absl::Status run = cluster.Run(options, stop_.get_token());
    ASSERT_TRUE(run.ok()) << run;
    // Ten problems; of each the first two samples are right, of five the third is too.
    EXPECT_EQ(cluster.coordinator.selections().at("ei_1/round_1").keys_size(), keep ? 25 : 15);
  }
}

}  // namespace
}  // namespace reckon
