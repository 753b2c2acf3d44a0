#include "learner/algorithm/policy_gradient/policy_gradient.h"

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/support/learner_harness.h"
#include "tests/support/tiny_model.h"

namespace reckon {
namespace {

class PolicyGradientTest : public LearnerHarness {};

// Answer's groups of even number are all right, so that every other one teaches something.
TEST_F(PolicyGradientTest, AStepSamplesOnUntilEnoughGroupsDiffer) {
  WriteConfig("online", kOnlineConfig);
  const std::vector<std::string> dapo = {"stage[0].ppo.filter.groups=true",
                                         "stage[0].ppo.advantage.estimator=GRPO",
                                         "stage[0].ppo.filter.max_num_gen_batches=3"};
  absl::Status run = Run(Options("a", dapo, "online"));
  ASSERT_TRUE(run.ok()) << run;
  int steps = 0;
  for (const nlohmann::json& line : Metrics("a")) {
    if (!line.contains("num_gen_batches")) continue;
    EXPECT_EQ(line["num_gen_batches"], 2);
    EXPECT_EQ(line["num_samples"], 12);
    EXPECT_EQ(line["num_samples_learned"], 6);
    EXPECT_EQ(line["frac_reward_zero_std"], 0.5);
    steps += 1;
  }
  EXPECT_EQ(steps, 4);
  EXPECT_EQ(coordinator_.plans().at("ppo_1").groups_per_batch(), 2u);
}

// As a prompted base model answers: its next question ends the sample.
Rollout AskNext(const PlanSpec& spec, const Lease& lease, uint32_t sample) {
  Rollout rollout = Answer(spec, lease, sample);
  TokenSpan* sampled = rollout.mutable_spans(1);
  sampled->mutable_tokens()->RemoveLast();  // the end
  for (unsigned char c : std::string("\nQuestion:")) {
    sampled->add_tokens(kTinyFirstByte + c);
    sampled->add_logprobs(-1);
  }
  sampled->mutable_logprobs()->RemoveLast();
  return rollout;
}

TEST_F(PolicyGradientTest, AnOnlineStageLearnsAnEndInThePlaceOfAStopString) {
  WriteConfig("online", kOnlineConfig);
  std::vector<double> lengths[2];
  for (const bool asks : {false, true}) {
    Cluster cluster(asks ? AskNext : Answer);
    const std::string name = absl::StrCat("asks_", asks);
    const absl::Status run =
        cluster.Run(Options(name, {"stage[0].ppo.steps=1"}, "online"), stop_.get_token());
    ASSERT_TRUE(run.ok()) << run;
    for (const nlohmann::json& line : Metrics(name)) {
      if (!line.contains("actor/pg_loss")) continue;
      lengths[asks].push_back(line["response_length/mean"]);
      EXPECT_TRUE(line["actor/pg_loss"].is_number());
    }
  }
  EXPECT_EQ(lengths[0].size(), 1u);
  EXPECT_EQ(lengths[1], lengths[0]);  // the end token is in the place of the whole string
}

}  // namespace
}  // namespace reckon
