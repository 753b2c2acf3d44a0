#include "learner/experience/orm_rewards.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/substitute.h"
#include "common/base/files.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/learner_harness.h"

namespace reckon {
namespace {

using testing::HasSubstr;

// SFT, a reward model, which evaluations use as well, and expert iteration with it; PPO follows.
constexpr char kBefore[] = R"pb(
  base: "config.textproto"
  eval { samples: 3 orm: "orm_1" }
  stage { sft { limit: 6 } }
  stage {
    orm {
      samples_per_prompt: 3
      sampling { max_new_tokens: 200 }
    }
  }
  stage {
    ei {
      rounds: 1
      samples_per_prompt: 3
      sampling { max_new_tokens: 200 }
      reward {}
      reward { kind: ORM orm: "orm_1" }
      threshold: 1
    }
  }
)pb";
constexpr char kPpo[] =
    "stage { ppo { prompts: 2 samples_per_prompt: 3 eval_every: 1 "
    "sampling { max_new_tokens: 200 } $0 } }";
constexpr char kWithoutRewardModel[] = "";
constexpr char kWithRewardModel[] = R"pb(reward {}
                                         reward { kind: ORM orm: "orm_1" })pb";

class OrmRewardsTest : public LearnerHarness {
 protected:
  // Runs so many steps of PPO for these rewards. Before the last evaluation loads the reward model,
  // if it does, its folder is broken.
  absl::Status RunBroken(const std::string& rewards, int steps) {
    WriteConfig("orm", kBefore + absl::Substitute(kPpo, rewards));
    const LearnerOptions options =
        Options("a", {absl::StrCat("stage[3].ppo.steps=", steps)}, "orm");
    const std::string last = absl::StrCat("eval/", 3 + steps, "_ppo_1_step_", steps, "/greedy");
    bool broken = false;
    Cluster cluster([&](const PlanSpec& spec, const Lease& lease, uint32_t sample) {
      if (!broken && spec.name() == last) {
        const std::string head = options.run_dir + "/orm/orm_1/reward_head.json";
        EXPECT_TRUE(WriteFileAtomically(head, "broken").ok());
        broken = true;
      }
      return Answer(spec, lease, sample);
    });
    const absl::Status status = cluster.Run(options, stop_.get_token());
    cluster.actor.Stop();
    EXPECT_TRUE(broken);
    return status;
  }
};

TEST_F(OrmRewardsTest, AStageHoldsNoRewardModelOfTheStageBefore) {
  const absl::Status status = RunBroken(kWithoutRewardModel, 1);
  EXPECT_THAT(std::string(status.message()), HasSubstr("reward_head.json")) << status;
}

TEST_F(OrmRewardsTest, AStageHoldsNoRewardModelOfItsEvaluations) {
  const absl::Status status = RunBroken(kWithoutRewardModel, 2);
  EXPECT_THAT(std::string(status.message()), HasSubstr("reward_head.json")) << status;
}

TEST_F(OrmRewardsTest, AStageKeepsTheOneThatItUsesItself) {
  const absl::Status status = RunBroken(kWithRewardModel, 2);
  EXPECT_TRUE(status.ok()) << status;
}

}  // namespace
}  // namespace reckon
