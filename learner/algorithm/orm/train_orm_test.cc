#include "learner/algorithm/orm/train_orm.h"

#include "absl/strings/match.h"
#include "common/config/run_folder.h"
#include "gtest/gtest.h"
#include "learner/checkpoint/checkpoint.h"
#include "tests/support/learner_harness.h"

namespace reckon {
namespace {

class TrainOrmTest : public LearnerHarness {};

// Where the weights fit only frozen, as on a machine that such a run is planned for.
TEST_F(TrainOrmTest, UnderAdaptersNeitherItsEndNorAResumeLoadsTrainableWeights) {
  WriteConfig("orm", R"pb(
    base: "config.textproto"
    training { lora_rank: 4 }
    stage { sft { limit: 6 } }
    stage {
      orm {
        samples_per_prompt: 3
        sampling { max_new_tokens: 200 }
      }
    }
    stage {
      ppo {
        steps: 2
        prompts: 2
        samples_per_prompt: 3
        sampling { max_new_tokens: 200 }
      }
    }
  )pb");
  const absl::Status run = Run(Options("a", {}, "orm"));
  ASSERT_TRUE(run.ok()) << run;
  int resumed = 0;
  for (const int64_t step : ListCheckpoints(root_ + "/a")) {
    const auto checkpoint = OpenCheckpoint(root_ + "/a", step);
    ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
    const Cursor& cursor = checkpoint->cursor();
    if (cursor.stage() != 1) continue;
    // All that is trained in the model as it was then.
    for (const CheckpointManifest::Parameter& parameter : checkpoint->manifest.parameters()) {
      EXPECT_FALSE(absl::StartsWith(parameter.name(), "model.") &&
                   !absl::StrContains(parameter.name(), ".lora_"))
          << parameter.name();
    }
    if (cursor.phase() != Cursor::TRAINED) continue;
    ++resumed;
    CopyUpTo("a", step, "b");
    LearnerOptions options = Options("b", {}, "orm");
    options.resume = true;
    Cluster cluster;
    const absl::Status status = cluster.Run(options, stop_.get_token());
    ASSERT_TRUE(status.ok()) << status;
    EXPECT_EQ(AllWeights("b"), AllWeights("a"));
    cluster.actor.Stop();
  }
  EXPECT_EQ(resumed, 1);
}

}  // namespace
}  // namespace reckon
