// A random model learns what it is shown: slow, because it takes a few hundred steps.

#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/config/config.h"
#include "common/testing/temp_folder.h"
#include "gtest/gtest.h"
#include "learner/learner.h"
#include "tests/support/in_process_coordinator.h"
#include "tests/support/scripted_actor.h"
#include "tests/support/tiny_model.h"

namespace reckon {
namespace {

constexpr char kConfig[] = R"pb(
  name: "overfit"
  data {
    train: "builtin"
    eval: "builtin"
    builtin { train_problems: 32 eval_problems: 1 min_steps: 1 max_steps: 1 }
  }
  training {
    learning_rate: 1e-2
    min_learning_rate: 1e-4
    batch_size: 8
    epochs: 100
    max_tokens: 1024
  }
  eval { samples: 0 max_new_tokens: 8 bootstrap: 10 }
  stage { sft {} }
)pb";

Rollout NoAnswer(const PlanSpec& spec, const Lease& lease, uint32_t) {
  Rollout rollout;
  TokenSpan* prompt = rollout.add_spans();
  prompt->set_kind(TokenSpan::PROMPT);
  *prompt->mutable_tokens() = lease.item().prompt_tokens();
  rollout.set_finish(FINISH_LENGTH);
  for (const RewardSpec& reward : spec.rewards()) {
    RewardValue* value = rollout.add_rewards();
    value->set_name(reward.name());
    value->set_verdict(TRUNCATED);
  }
  return rollout;
}

TEST(LearningTest, ARandomModelOverfitsThirtyTwoSolutions) {
  const TempFolder temp;
  const std::string& root = temp.path();
  ASSERT_TRUE(MakeFolders(root + "/run").ok());
  ASSERT_TRUE(WriteTinyModel(root + "/model").ok());
  ASSERT_TRUE(WriteFileAtomically(root + "/config.textproto", kConfig).ok());
  LearnerOptions options;
  auto config =
      LoadConfig(root + "/config.textproto", {absl::StrCat("model.path=", root, "/model")});
  ASSERT_TRUE(config.ok()) << config.status();
  options.config = *config;
  options.run_dir = root + "/run";
  InProcessCoordinator coordinator;
  ScriptedActor actor(coordinator.address(), "a", NoAnswer);
  std::stop_source stop;
  absl::Status run = RunLearner(options, coordinator.NewStub(), stop.get_token());
  ASSERT_TRUE(run.ok()) << run;

  std::istringstream lines(*ReadFile(root + "/run/metrics.jsonl"));
  std::vector<double> losses;
  for (std::string line; std::getline(lines, line);) {
    nlohmann::json metrics = nlohmann::json::parse(line);
    if (metrics.contains("loss")) losses.push_back(metrics["loss"]);
  }
  ASSERT_EQ(losses.size(), 400u);
  EXPECT_GT(losses.front(), 4.5);
  EXPECT_LT(losses.back(), 0.3);
  RecordProperty("last_loss", absl::StrCat(losses.back()));
}

}  // namespace
}  // namespace reckon
