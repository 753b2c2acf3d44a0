#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/device_turn.h"
#include "common/base/files.h"
#include "common/config/run_folder.h"
#include "common/testing/await.h"
#include "learner/checkpoint/checkpoint.h"
#include "tests/support/learner_harness.h"

namespace reckon {
namespace {

// A stage more for kReturnConditionedConfig.
constexpr char kOnlineStage[] = R"pb(
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
)pb";

// Runs of several ranks, of which the leader alone has files.
class RanksTest : public LearnerHarness {};

// Every kind of stage that reads something back: versions, adapters, a reward model, moments. The
// other ranks have no file, so what they learn with came from the leader.
TEST_F(RanksTest, RanksWithoutARunFolderGiveTheSameBitsAgainAndAfterAResume) {
  WriteConfig("all", absl::StrCat(kReturnConditionedConfig, kOnlineStage));
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
      // Every rank reads and writes its own part, or the leader all of them.
      resumed.share_run_dir = i % 2 == 0;
      RunAsRanks(cluster, 2, resumed);
      EXPECT_EQ(ReadFile(root_ + "/b" + last), weights) << sharding << " from " << steps[i];
    }
    const std::vector<double> these = Losses(name);
    for (size_t i = 0; i < losses.size(); ++i) EXPECT_NEAR(these[i], losses[i], 1e-4) << i;
    losses = these;
  }
}

TEST_F(RanksTest, RanksThatAreStoppedSaveTogetherHoweverTheyDivideTheModel) {
  for (const char* sharding : {"REPLICATED", "FULL"}) {
    for (const bool share : {true, false}) {
      SCOPED_TRACE(testing::Message() << sharding << ", share " << share);
      const std::vector<std::string> overrides = {absl::StrCat("learner.sharding=", sharding),
                                                  "stage[0].training.epochs=100",
                                                  "stage[1].ei.rounds=1"};
      const std::string name = absl::StrCat(sharding, share), last = "/weights/ei_1_round_1/";
      Cluster cluster, other;
      LearnerOptions options = Options(name, overrides);
      options.checkpoint_steps = 0;
      options.share_run_dir = share;
      options.stop_grace = absl::Minutes(2);  // of sanitizers too
      std::thread stopper([&] {
        EXPECT_TRUE(Await([&] {
          const auto lines = ReadFile(options.run_dir + "/metrics.jsonl");
          return lines.ok() && absl::StrContains(*lines, "grad_norm");
        }));
        stop_.request_stop();
      });
      RunAsRanks(cluster, 2, options, absl::StatusCode::kCancelled);
      stopper.join();
      stop_ = {};
      // The only reason for a checkpoint so early was the stop.
      const auto saved = OpenNewestCheckpoint(options.run_dir);
      ASSERT_TRUE(saved.ok() && saved->has_value()) << saved.status();
      EXPECT_EQ((*saved)->cursor().phase(), Cursor::TRAIN);
      EXPECT_GT((*saved)->cursor().train_step(), 0);
      const CheckpointManifest& manifest = (*saved)->manifest;
      EXPECT_EQ(manifest.parts_size(), share ? 2 : 1);
      // A rank writes a part of each tensor, or of each unit that it has a shard of.
      if (share) {
        EXPECT_EQ(manifest.parts(0).ranges_size() < manifest.parameters_size(),
                  sharding == std::string("FULL"));
      }
      options.resume = true;
      RunAsRanks(cluster, 2, options);
      LearnerOptions whole = Options(name + "_whole", overrides);
      RunAsRanks(other, 2, whole);
      EXPECT_EQ(ReadFile(options.run_dir + last + "model.safetensors"),
                ReadFile(whole.run_dir + last + "model.safetensors"));
    }
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

// The cards of two ranks and their actor, which takes the turns of both for each sample: a rank
// that keeps its turn while the leader waits for samples is noticed.
class RanksByTurnsTest : public RanksTest {
 protected:
  RanksByTurnsTest() {
    for (int card : {0, 1}) turns_.push_back(Open(card));
  }
  std::unique_ptr<DeviceTurn> Open(int card) {
    auto turn = DeviceTurn::Open(absl::StrCat(turn_file_, "-", card));
    EXPECT_TRUE(turn.ok()) << turn.status();
    return *std::move(turn);
  }
  LearnerOptions ByTurns(const std::string& run, std::vector<std::string> overrides,
                         const std::string& config) {
    overrides.push_back("resources.turns=ON");
    LearnerOptions options = Options(run, std::move(overrides), config);
    options.turn_file = turn_file_;
    return options;
  }
  Rollout Draw(const PlanSpec& spec, const Lease& lease, uint32_t sample) {
    for (const auto& turn : turns_) EXPECT_TRUE(Await([&] { return turn->TryTake(); }));
    const Rollout rollout = Answer(spec, lease, sample);
    for (const auto& turn : turns_) turn->Release();
    draws_ += 1;
    return rollout;
  }

  const std::string turn_file_ = root_ + "/turn";
  std::vector<std::unique_ptr<DeviceTurn>> turns_;
  std::atomic<int> draws_ = 0;
};

TEST_F(RanksByTurnsTest, TheyLearnTheSame) {
  WriteConfig("all", absl::StrCat(kReturnConditionedConfig, kOnlineStage));
  for (const char* sharding : {"REPLICATED", "FULL"}) {
    const std::vector<std::string> overrides = {absl::StrCat("learner.sharding=", sharding)};
    Cluster cluster;
    RunAsRanks(cluster, 2, Options(absl::StrCat(sharding, "_alone"), overrides, "all"));
    Cluster shared([&](const PlanSpec& spec, const Lease& lease, uint32_t sample) {
      return Draw(spec, lease, sample);
    });
    RunAsRanks(shared, 2, ByTurns(absl::StrCat(sharding, "_turns"), overrides, "all"));
    EXPECT_EQ(AllWeights(absl::StrCat(sharding, "_turns")),
              AllWeights(absl::StrCat(sharding, "_alone")))
        << sharding;
  }
  EXPECT_GT(draws_, 0);
}

// Groups of one rank: the second one helps with nothing that the leader publishes.
TEST_F(RanksByTurnsTest, GroupsThatDivideAModelEachLearnTheSame) {
  WriteConfig("online", kOnlineConfig);
  const std::vector<std::string> hybrid = {"learner.sharding=HYBRID", "learner.shard_ranks=1",
                                           "resources.learner_ranks=2"};
  Cluster cluster;
  RunAsRanks(cluster, 2, Options("alone", hybrid, "online"));
  Cluster shared([&](const PlanSpec& spec, const Lease& lease, uint32_t sample) {
    return Draw(spec, lease, sample);
  });
  RunAsRanks(shared, 2, ByTurns("turns", hybrid, "online"));
  EXPECT_EQ(AllWeights("turns"), AllWeights("alone"));
}

// Batches that exist already are learned in the same turns; which those are depends on time.
TEST_F(RanksByTurnsTest, SomeStepsAheadTheyEnd) {
  WriteConfig("online", kOnlineConfig);
  Cluster cluster([&](const PlanSpec& spec, const Lease& lease, uint32_t sample) {
    return Draw(spec, lease, sample);
  });
  RunAsRanks(cluster, 2,
             ByTurns("ahead", {"stage[0].ppo.max_staleness=2", "stage[0].ppo.steps=8"}, "online"));
  EXPECT_EQ(OpenNewestCheckpoint(root_ + "/ahead").value()->cursor().version(), 8u);
}

// Rank 0 has its turn then, and its samples.
TEST_F(RanksByTurnsTest, TheySaveTogetherWhenTheyAreStoppedWhileOneWaitsForItsTurn) {
  WriteConfig("online", kOnlineConfig);
  const std::string last = "weights/ppo_1_step_4/model.safetensors",
                    saved = "weights/ppo_1_step_2/model.safetensors";
  for (const char* sharding : {"REPLICATED", "FULL"}) {
    SCOPED_TRACE(sharding);
    const std::vector<std::string> overrides = {absl::StrCat("learner.sharding=", sharding),
                                                "training.lora_rank=4",
                                                "stage[0].ppo.eval_every=100"};
    const std::string whole = absl::StrCat(sharding, "_whole"), name = sharding;
    Cluster first;
    LearnerOptions options = Options(whole, overrides, "online");
    options.checkpoint_interval = absl::ZeroDuration();  // with the folder of each version
    RunAsRanks(first, 2, options);

    options = ByTurns(name, overrides, "online");
    options.stop_grace = absl::Minutes(2);  // of sanitizers too
    std::atomic<bool> keeps = false;
    Cluster cluster([&](const PlanSpec& spec, const Lease& lease, uint32_t sample) {
      if (lease.weight_version() != 2) return Draw(spec, lease, sample);
      if (!keeps) {
        // Rank 1 has left, since its leader waits for this sample.
        EXPECT_TRUE(Await([&] { return turns_[1]->TryTake(); }));
        keeps = true;
      }
      return Answer(spec, lease, sample);
    });
    std::thread stopper([&] {
      const std::unique_ptr<DeviceTurn> looks = Open(1);
      EXPECT_TRUE(Await([&] { return keeps && looks->wanted(); }));
      stop_.request_stop();
    });
    RunAsRanks(cluster, 2, options, absl::StatusCode::kCancelled);
    stopper.join();
    EXPECT_EQ(AllWeights(name).at(saved), AllWeights(whole).at(saved));
    turns_[1]->Release();
    stop_ = {};
    options.resume = true;
    RunAsRanks(cluster, 2, options);
    EXPECT_EQ(AllWeights(name).at(last), AllWeights(whole).at(last));
  }
}

// Checkpoints of groups that divide a model each, which write a part each or send it to the leader.
TEST_F(RanksTest, GroupsOfRanksLoadWhatOthersSaveAndTheOtherWayRound) {
  const std::vector<std::string> hybrid = {"learner.sharding=HYBRID", "learner.shard_ranks=2",
                                           "resources.learner_ranks=4"};
  Cluster cluster;
  RunAsRanks(cluster, 4, Options("groups", hybrid));
  const std::vector<int64_t> steps = ListCheckpoints(root_ + "/groups");
  CopyUpTo("groups", steps[2], "one");
  LearnerOptions one = Options("one", {"learner.sharding=FULL", "resources.learner_ranks=2"});
  one.resume = true;
  RunAsRanks(cluster, 2, one);
  const std::vector<double> losses = Losses("groups");
  for (const bool share : {true, false}) {
    const std::string name = absl::StrCat("again_", share);
    CopyUpTo("one", steps[4], name);
    LearnerOptions again = Options(name, hybrid);
    again.resume = true;
    again.share_run_dir = share;
    RunAsRanks(cluster, 4, again);
    const std::vector<double> these = Losses(name);
    ASSERT_EQ(these.size(), losses.size());
    for (size_t i = 0; i < losses.size(); ++i) EXPECT_NEAR(these[i], losses[i], 1e-3) << i;
    const auto saved = OpenNewestCheckpoint(root_ + "/" + name);
    ASSERT_TRUE(saved.ok() && saved->has_value()) << saved.status();
    const CheckpointManifest& manifest = (*saved)->manifest;
    ASSERT_EQ(manifest.parts_size(), share ? 4 : 1);
    if (!share) continue;
    // Of the first unit ranks 0 and 2 have the first shard, and 1 and 3 the second.
    for (const auto& [rank, next] : {std::pair(0, 2), std::pair(2, 1), std::pair(1, 3)}) {
      EXPECT_EQ(manifest.parts(rank).ranges(0).end(), manifest.parts(next).ranges(0).begin());
    }
  }
  EXPECT_EQ(FinalWeights("again_0"), FinalWeights("again_1"));
}

}  // namespace
}  // namespace reckon
