#include "learner/algorithm/rcrl/rcrl.h"

#include <nlohmann/json.hpp>
#include <set>

#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/config/run_folder.h"
#include "common/model/files/model_folder.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "learner/checkpoint/checkpoint.h"
#include "learner/evaluate/evaluation_files.h"
#include "tests/support/learner_harness.h"
#include "tests/support/tiny_model.h"

namespace reckon {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class RcrlTest : public LearnerHarness {
 protected:
  // kReturnConditionedConfig, changed like this, on a cluster of its own.
  absl::Status RunAlone(const std::string& name, const std::vector<std::string>& changes) {
    WriteConfig("orm", kReturnConditionedConfig);
    Cluster cluster;
    return cluster.Run(Options(name, changes, "orm"), stop_.get_token());
  }
};

TEST_F(RcrlTest, ARewardModelReranksLabelsStepsAndFilters) {
  WriteConfig("orm", kReturnConditionedConfig);
  LearnerOptions options = Options("a", {}, "orm");
  absl::Status run = Run(options);
  ASSERT_TRUE(run.ok()) << run;
  auto evaluations = ReadEvaluations(root_ + "/a");
  ASSERT_TRUE(evaluations.ok()) << evaluations.status();
  std::vector<std::string> names;
  for (const Evaluation& evaluation : *evaluations) {
    names.push_back(absl::StrCat(evaluation.name(), "@", evaluation.version()));
    EXPECT_EQ(evaluation.has_rerank_at_k(), evaluation.index() >= 2) << evaluation.name();
  }
  // The reward model is no version of the policy.
  EXPECT_THAT(names, ElementsAre("start@0", "sft_1@1", "orm_1@1", "rcrl_1@2", "ei_1_round_1@3"));
  EXPECT_TRUE(ReadModelFolder(root_ + "/a/orm/orm_1").ok());
  EXPECT_EQ(coordinator_.selections().at("orm_1/round_1").rule(), "all, distinct by text");
  // Right samples alone can pass, those that the model likes; probabilities are below 1.
  EXPECT_EQ(coordinator_.selections().at("ei_1/round_1").rule(),
            "reward >= 1.01, not cut, distinct by equations");
  EXPECT_GT(coordinator_.selections().at("ei_1/round_1").keys_size(), 0);
  for (const auto& [name, spec] : coordinator_.plans()) {
    const bool forced = name.find("eval/3_rcrl_1") == 0;
    EXPECT_EQ(spec.step_label_tokens_size(), forced ? 1 : 0) << name;
    if (forced) {
      EXPECT_EQ(spec.step_label_tokens(0), kTinyFirstByte + '^');
    }
  }
  std::set<std::string> keys;
  for (const nlohmann::json& line : Metrics("a")) {
    for (const auto& [key, value] : line.items()) keys.insert(key);
  }
  for (const char* key : {"orm/auc", "orm/calibration_error", "rcrl/good_ratio", "val/rerank@K",
                          "val/rerank_weighted@K"}) {
    EXPECT_EQ(keys.count(key), 1u) << key;
  }
  // From every checkpoint the same again, that in the middle of the reward model's training too.
  const std::vector<int64_t> steps = ListCheckpoints(root_ + "/a");
  ASSERT_GT(steps.size(), 4u);
  const auto weights = ReadFile(root_ + "/a/weights/ei_1_round_1/model.safetensors");
  const auto head = ReadFile(root_ + "/a/orm/orm_1/reward_head.json");
  for (size_t i = 0; i < steps.size(); i += 4) {
    const int64_t step = steps[i];
    CopyUpTo("a", step, "b");
    LearnerOptions resumed = Options("b", {}, "orm");
    resumed.resume = true;
    ASSERT_TRUE(Run(resumed).ok()) << step;
    EXPECT_EQ(ReadFile(root_ + "/b/weights/ei_1_round_1/model.safetensors"), weights) << step;
    EXPECT_EQ(ReadFile(root_ + "/b/orm/orm_1/reward_head.json"), head) << step;
  }
}

// Samples that a threshold of zero makes good as well, so that it does not matter how bad ones are
// labelled.
TEST_F(RcrlTest, WorkedSolutionsAreGood) {
  std::map<std::string, std::string> weights;
  for (const char* label : {"~", "="}) {
    const absl::Status run = RunAlone(
        label, {"stage[2].rcrl.threshold=0", absl::StrCat("stage[2].rcrl.bad_label=", label)});
    ASSERT_TRUE(run.ok()) << run;
    if (weights.empty()) weights = AllWeights(label);
    EXPECT_EQ(AllWeights(label), weights);
  }
}

// A label makes a solution one token longer for each of its steps.
TEST_F(RcrlTest, WhatIsTooLongWithItsLabelsIsLeftOut) {
  const auto counts = [&](const std::string& name, int64_t most) {
    const absl::Status run = RunAlone(
        name, {"stage[2].rcrl.threshold=0", absl::StrCat("stage[2].training.max_tokens=", most)});
    EXPECT_TRUE(run.ok()) << run;
    for (const nlohmann::json& line : Metrics(name)) {
      if (line.contains("rcrl/samples")) {
        return std::pair<int, int>(line["rcrl/samples"], line["rcrl/too_long"]);
      }
    }
    return std::pair<int, int>();
  };
  const auto [all, none] = counts("a", 1024);
  EXPECT_EQ(none, 0);
  const auto [some, left_out] = counts("b", 124);
  EXPECT_LT(some, all);
  EXPECT_GT(left_out, 0);
}

// More than are scored at once.
TEST_F(RcrlTest, EachOfManySamplesIsLabelledOnce) {
  WriteConfig("orm", kReturnConditionedConfig);
  const absl::Status run = Run(Options(
      "a", {"data.builtin.train_problems=140", "training.batch_size=64", "stage[3].ei.prompts=2"},
      "orm"));
  ASSERT_TRUE(run.ok()) << run;
  const int selected = coordinator_.selections().at("orm_1/round_1").keys_size();
  EXPECT_GT(selected, 256);
  int reports = 0;
  for (const nlohmann::json& line : Metrics("a")) {
    if (!line.contains("rcrl/samples")) continue;
    EXPECT_EQ(line["rcrl/samples"], selected);
    ++reports;
  }
  EXPECT_EQ(reports, 1);
}

TEST_F(RcrlTest, ARewardModelLearnsFromSolutionsWhoseLabelIsKnownAlone) {
  WriteConfig("orm", kReturnConditionedConfig);
  Cluster cluster([](const PlanSpec& spec, const Lease& lease, uint32_t sample) {
    Rollout rollout = Answer(spec, lease, sample);
    for (RewardValue& reward : *rollout.mutable_rewards()) {
      if (reward.verdict() == WRONG) reward.set_verdict(REFERENCE_UNPARSABLE);
    }
    return rollout;
  });
  const absl::Status run = cluster.Run(Options("a", {}, "orm"), stop_.get_token());
  EXPECT_EQ(run.code(), absl::StatusCode::kFailedPrecondition) << run;
  EXPECT_THAT(std::string(run.message()), HasSubstr("so there is nothing to tell apart"));
}

TEST_F(RcrlTest, LabelsOfWhichNoneIsGoodAreNotTrainedOn) {
  WriteConfig("orm", kReturnConditionedConfig);
  absl::Status run = Run(
      Options("a", {"stage[2].rcrl.threshold=1", "stage[2].rcrl.include_sft_data=false"}, "orm"));
  EXPECT_EQ(run.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(run.message(), HasSubstr("no step of selection orm_1 is labelled good"));
}

}  // namespace
}  // namespace reckon
