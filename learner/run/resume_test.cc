#include "learner/run/resume.h"

#include <filesystem>
#include <thread>

#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/config/run_folder.h"
#include "common/testing/await.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "learner/checkpoint/checkpoint.h"
#include "learner/evaluate/evaluation_files.h"
#include "tests/support/fault_injector.h"
#include "tests/support/learner_harness.h"
#include "tests/support/tiny_model.h"

namespace reckon {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class ResumeTest : public LearnerHarness {};

// What is trained, and where a round of expert iteration begins.
class EveryCheckpointTest : public ResumeTest,
                            public testing::WithParamInterface<std::vector<std::string>> {};
INSTANTIATE_TEST_SUITE_P(
    Trained, EveryCheckpointTest,
    testing::Values(std::vector<std::string>{}, std::vector<std::string>{"training.lora_rank=4"},
                    std::vector<std::string>{"training.lora_rank=4", "model.compute=BF16",
                                             "stage[1].ei.restart_from=PREVIOUS"}));

TEST_P(EveryCheckpointTest, GivesTheSameWeightsFromEveryCheckpoint) {
  ASSERT_TRUE(Run(Options("whole", GetParam())).ok());
  std::string expected = FinalWeights("whole");
  std::vector<double> losses = Losses("whole");
  std::vector<int64_t> steps = ListCheckpoints(root_ + "/whole");
  ASSERT_GE(steps.size(), 10u);
  for (size_t i = 1; i < steps.size(); i += 3) {  // some in each phase
    int64_t step = steps[i];
    CopyUpTo("whole", step, "again");
    LearnerOptions options = Options("again", GetParam());
    EXPECT_THAT(Run(options).message(), HasSubstr("--resume"));
    options.resume = true;
    absl::Status run = Run(options);
    ASSERT_TRUE(run.ok()) << step << ": " << run;
    EXPECT_EQ(FinalWeights("again"), expected) << "from checkpoint " << step;
    EXPECT_EQ(Losses("again"), losses) << "from checkpoint " << step;
  }
}

TEST_F(ResumeTest, SavesWhenStoppedAndResumes) {
  ASSERT_TRUE(Run(Options("whole")).ok());
  LearnerOptions options = Options("stopped");
  options.checkpoint_steps = 1;
  std::thread stopper([&] {
    EXPECT_TRUE(Await([&] { return !ListCheckpoints(options.run_dir).empty(); }));
    stop_.request_stop();
  });
  Cluster other;
  absl::Status run = other.Run(options, stop_.get_token());
  stopper.join();
  EXPECT_EQ(run.code(), absl::StatusCode::kCancelled) << run;
  options.resume = true;
  run = other.Run(options, std::stop_token());
  ASSERT_TRUE(run.ok()) << run;
  EXPECT_EQ(FinalWeights("stopped"), FinalWeights("whole"));
}

TEST_F(ResumeTest, AnOnlineStageThatIsStoppedInAStepKeepsIt) {
  WriteConfig("online", kOnlineConfig);
  const std::vector<std::string> sets = {"stage[0].ppo.eval_every=4"};
  const std::string last = "/weights/ppo_1_step_4/model.safetensors";
  Cluster first;
  ASSERT_TRUE(first.Run(Options("whole", sets, "online"), std::stop_token()).ok());

  LearnerOptions options = Options("stopped", sets, "online");
  Cluster other;
  FaultInjector& faults = other.coordinator.faults();
  faults.DelayCalls("PublishWeights", absl::Seconds(1));
  std::thread stopper([&] {
    // Of the start and of two steps: the second is updated and not yet published.
    EXPECT_TRUE(Await([&] { return faults.calls("PublishWeights") == 3; }));
    stop_.request_stop();
  });
  absl::Status run = other.Run(options, stop_.get_token());
  stopper.join();
  EXPECT_EQ(run.code(), absl::StatusCode::kCancelled) << run;
  EXPECT_THAT(ListCheckpoints(options.run_dir), testing::SizeIs(1));
  auto newest = OpenNewestCheckpoint(options.run_dir);
  ASSERT_TRUE(newest.ok() && newest->has_value()) << newest.status();
  EXPECT_EQ((*newest)->cursor().round(), 1);
  EXPECT_EQ((*newest)->cursor().phase(), Cursor::TRAINED);

  faults.DelayCalls("PublishWeights", absl::ZeroDuration());
  options.resume = true;
  run = other.Run(options, std::stop_token());
  ASSERT_TRUE(run.ok()) << run;
  EXPECT_EQ(ReadFile(options.run_dir + last), ReadFile(root_ + "/whole" + last));
}

// The learner ends right after each checkpoint, when it says that the step's batch is durable, and
// resumes with a coordinator that knows no more than that.
TEST_F(ResumeTest, OnlineStagesResumeFromEveryCheckpointTheSame) {
  WriteConfig("online", kOnlineConfig);
  const std::string last = "/weights/ppo_1_step_4/model.safetensors";
  for (const char* kind : {"replay", "dapo"}) {
    std::vector<std::string> sets = {"stage[0].ppo.replay.ratio=0.5"};
    if (kind == std::string("dapo")) {
      sets = {"stage[0].ppo.filter.groups=true", "stage[0].ppo.filter.max_num_gen_batches=3"};
    }
    const std::string whole = absl::StrCat(kind, "_whole");
    Cluster first;
    ASSERT_TRUE(first.Run(Options(whole, sets, "online"), stop_.get_token()).ok());
    const std::vector<int64_t> steps = ListCheckpoints(absl::StrCat(root_, "/", whole));
    ASSERT_EQ(steps.size(), 4u);
    std::vector<int> calls;  // those that follow a checkpoint of the stage, counted from 1
    const auto marks = first.coordinator.faults().answered<MarkDurableRequest>("MarkDurable");
    for (size_t i = 0; i < marks.size(); ++i) {
      if (marks[i].plan() == "ppo_1") calls.push_back(static_cast<int>(i) + 1);
    }
    ASSERT_EQ(calls.size(), steps.size());
    for (size_t i = 0; i < steps.size(); ++i) {
      const std::string cut = absl::StrCat(kind, "_cut_", steps[i]);
      LearnerOptions options = Options(cut, sets, "online");
      Cluster other;
      other.coordinator.faults().FailCall("MarkDurable", calls[i], absl::InternalError("killed"));
      EXPECT_EQ(other.Run(options, stop_.get_token()).message(), "killed");
      EXPECT_EQ(ListCheckpoints(options.run_dir).back(), steps[i]);
      options.resume = true;
      const absl::Status run = other.Run(options, stop_.get_token());
      ASSERT_TRUE(run.ok()) << kind << " " << steps[i] << " " << run;
      EXPECT_EQ(ReadFile(absl::StrCat(options.run_dir, last)),
                ReadFile(absl::StrCat(root_, "/", whole, last)))
          << kind << " " << steps[i];
    }
  }
}

TEST_F(ResumeTest, AFinishedRunGoesOnWithMoreRoundsAsIfItHadHadThemFromTheStart) {
  const std::string last = "/weights/ei_1_round_3/model.safetensors";
  Cluster other;
  ASSERT_TRUE(other.Run(Options("whole", {"stage[1].ei.rounds=3"}), stop_.get_token()).ok());
  ASSERT_TRUE(Run(Options("longer")).ok());
  LearnerOptions options = Options("longer", {"stage[1].ei.rounds=3", "eval.samples=1"});
  options.resume = true;
  const absl::Status run = Run(options);
  ASSERT_TRUE(run.ok()) << run;
  EXPECT_EQ(ReadFile(options.run_dir + last), ReadFile(root_ + "/whole" + last));
  EXPECT_EQ(Losses("longer"), Losses("whole"));
  auto evaluations = ReadEvaluations(options.run_dir);
  ASSERT_TRUE(evaluations.ok()) << evaluations.status();
  ASSERT_EQ(evaluations->size(), 5u);
  EXPECT_EQ(evaluations->at(3).samples(), 2u);  // the past stays as it was
  EXPECT_EQ(evaluations->at(4).samples(), 1u);
}

TEST_F(ResumeTest, AFinishedOnlineStageGoesOnWithMoreSteps) {
  WriteConfig("online", kOnlineConfig);
  ASSERT_TRUE(Run(Options("a", {}, "online")).ok());
  LearnerOptions options = Options("a", {"stage[0].ppo.steps=6"}, "online");
  options.resume = true;
  const absl::Status run = Run(options);
  ASSERT_TRUE(run.ok()) << run;
  EXPECT_TRUE(fs::exists(options.run_dir + "/weights/ppo_1_step_6"));
  EXPECT_EQ(ReadEvaluations(options.run_dir)->back().name(), "ppo_1_step_6");
}

// An evaluation saves nothing: after it the newest checkpoint is still that of the stage before,
// which reads the version that it began with.
TEST_F(ResumeTest, GoesOnFromTheStageBeforeAnEvaluation) {
  WriteConfig("stages", R"pb(
    base: "config.textproto"
    keep_last: 1
    keep_evaluated: NONE
    stage { sft { limit: 6 } }
    stage {
      ppo {
        steps: 2
        prompts: 2
        samples_per_prompt: 3
        sampling { max_new_tokens: 200 }
      }
    }
    stage { eval {} }
    stage { sft { limit: 6 } }
  )pb");
  const std::string last = "/weights/sft_2/model.safetensors";
  ASSERT_TRUE(Run(Options("whole", {}, "stages")).ok());
  LearnerOptions options = Options("stopped", {}, "stages");
  options.checkpoint_steps = 0;
  Cluster other;
  // The fifth version is that of the last stage, which is saved only after it is published.
  other.coordinator.faults().FailCall("PublishWeights", 5, absl::InternalError("killed"));
  EXPECT_EQ(other.Run(options, stop_.get_token()).message(), "killed");
  options.resume = true;
  const absl::Status run = other.Run(options, stop_.get_token());
  ASSERT_TRUE(run.ok()) << run;
  EXPECT_EQ(ReadFile(options.run_dir + last), ReadFile(root_ + "/whole" + last));
}

TEST_F(ResumeTest, AnInterruptedEvaluationBeginsAgainWithOtherSettings) {
  LearnerOptions options = Options("a");
  Cluster other;
  other.coordinator.faults().FailCall("AppendGroups", 2, absl::InternalError("killed"));
  EXPECT_EQ(other.Run(options, stop_.get_token()).message(), "killed");
  options = Options("a", {"eval.max_new_tokens=190"});
  options.resume = true;
  const absl::Status run = other.Run(options, stop_.get_token());
  ASSERT_TRUE(run.ok()) << run;
  EXPECT_EQ(other.coordinator.plans().count("eval/0_start_2/greedy"), 1u);
}

TEST_F(ResumeTest, WhatAKilledLeaderWasWritingIsDeleted) {
  LearnerOptions options = Options("a");
  ASSERT_TRUE(Run(options).ok());
  const std::string left[] = {"/weights/ei_1_round_2.tmp.7", "/orm/orm_1.tmp.7",
                              "/weights/ei_1_round_2/README.md.tmp.7"};
  for (const std::string& name : left) {
    ASSERT_TRUE(MakeFolders(options.run_dir + name + "/adapter").ok());
  }
  options.resume = true;
  ASSERT_TRUE(Run(options).ok());
  for (const std::string& name : left) EXPECT_FALSE(fs::exists(options.run_dir + name)) << name;
  EXPECT_TRUE(fs::exists(options.run_dir + "/weights/ei_1_round_2/model.safetensors"));
}

TEST_F(ResumeTest, RefusesToGoOnWithAnotherModel) {
  LearnerOptions options = Options("a");
  ASSERT_TRUE(Run(options).ok());
  ASSERT_TRUE(WriteTinyModel(root_ + "/model", /*seed=*/2).ok());
  options.resume = true;
  const absl::Status run = Run(options);
  EXPECT_EQ(run.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(run.message()),
              HasSubstr(absl::StrCat("model.path: ", root_, "/model has changed since")));
}

}  // namespace
}  // namespace reckon
