#include "learner/learner.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/device_turn.h"
#include "common/base/files.h"
#include "common/model/files/model_folder.h"
#include "common/model/packed_form.h"
#include "common/model/shared_bytes.h"
#include "common/model/transfer/fetch.h"
#include "common/model/transformer.h"
#include "common/telemetry/progress.h"
#include "common/telemetry/registry.h"
#include "common/testing/await.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "learner/evaluate/evaluation_files.h"
#include "tests/support/learner_harness.h"
#include "tests/support/tiny_model.h"

namespace reckon {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

class LearnerTest : public LearnerHarness {};

TEST_F(LearnerTest, RunsAllStagesAndLeavesAWholeRunFolder) {
  absl::Status run = Run(Options("a"));
  ASSERT_TRUE(run.ok()) << run;
  auto evaluations = ReadEvaluations(root_ + "/a");
  ASSERT_TRUE(evaluations.ok()) << evaluations.status();
  std::vector<std::string> names;
  for (const Evaluation& evaluation : *evaluations) {
    names.push_back(absl::StrCat(evaluation.name(), "@", evaluation.version()));
    EXPECT_EQ(evaluation.problems(), 4u);
  }
  EXPECT_THAT(names, ElementsAre("start@0", "sft_1@1", "ei_1_round_1@2", "ei_1_round_2@3"));
  EXPECT_TRUE(fs::exists(root_ + "/a/eval/3_ei_1_round_2.json"));
  EXPECT_TRUE(fs::exists(root_ + "/a/eval/summary.json"));
  EXPECT_TRUE(ReadModelFolder(root_ + "/a/weights/sft_1").ok());
  auto progress = ReadProgress(root_ + "/a");
  ASSERT_TRUE(progress.ok()) << progress.status();
  EXPECT_TRUE(progress->finished());
  EXPECT_THAT(*progress->lines().rbegin(), HasSubstr("ei_1_round_2"));

  std::set<std::string> keys;
  int64_t step = 0;
  for (const nlohmann::json& line : Metrics("a")) {
    EXPECT_EQ(line["step"], step++);
    for (const auto& [key, value] : line.items()) keys.insert(key);
  }
  for (const char* key : {"loss", "grad_norm", "lr", "perf/throughput", "num_samples", "val/maj@1",
                          "val/maj@K", "val/pass@K", "sample/accepted", "sample/distinct"}) {
    EXPECT_EQ(keys.count(key), 1u) << key;
  }
  // 6 worked solutions: 2 epochs of 2 steps.
  // Round 1: 6 worked, 10 first ways, 5 others: 21, 2 epochs of 6 steps. Round 2: 5 others more.
  EXPECT_EQ(Losses("a").size(), 4u + 12 + 14);
}

TEST_F(LearnerTest, TrainsTheSameWithTwoRanks) {
  ASSERT_TRUE(Run(Options("one")).ok());
  Cluster other;
  RunAsRanks(other, 2, Options("two"));
  std::vector<double> one = Losses("one"), two = Losses("two");
  ASSERT_EQ(one.size(), two.size());
  // Later rounds start again from the base, so differences stay those of a few steps.
  for (size_t i = 0; i < one.size(); ++i) EXPECT_NEAR(one[i], two[i], 1e-3) << i;
  EXPECT_NEAR(one[0], two[0], 1e-5);
}

// Seconds that this process's learner has computed on its device, or changed what is there.
double SecondsOnDevice() {
  double sum = 0;
  for (absl::string_view line : absl::StrSplit(Registry::Process().Text(), '\n')) {
    for (const char* state : {"score", "update", "publish"}) {
      const std::string name = absl::StrCat("reckon_learner_seconds_total{state=\"", state, "\"} ");
      double seconds = 0;
      if (absl::StartsWith(line, name) && absl::SimpleAtod(line.substr(name.size()), &seconds)) {
        sum += seconds;
      }
    }
  }
  return sum;
}

TEST_F(LearnerTest, ByTurnsItLearnsTheSameAndNeverInAnActorsTurn) {
  WriteConfig("online", kOnlineConfig);
  WriteConfig("conditioned", kReturnConditionedConfig);
  const std::string turn_file = root_ + "/turn";
  auto actors = DeviceTurn::Open(turn_file);
  ASSERT_TRUE(actors.ok()) << actors.status();
  for (const char* name : {"online", "conditioned"}) {
    Cluster alone;
    ASSERT_TRUE(alone.Run(Options(absl::StrCat(name, "_alone"), {}, name), stop_.get_token()).ok());

    int turns = 0;
    Cluster cluster([&](const PlanSpec& spec, const Lease& lease, uint32_t sample) {
      EXPECT_TRUE(Await([&] { return (*actors)->TryTake(); }));
      const double before = SecondsOnDevice();
      const Rollout rollout = Answer(spec, lease, sample);
      EXPECT_EQ(SecondsOnDevice(), before);
      (*actors)->Release();
      ++turns;
      return rollout;
    });
    LearnerOptions options = Options(absl::StrCat(name, "_turns"), {"resources.turns=ON"}, name);
    options.turn_file = turn_file;
    const absl::Status status = cluster.Run(options, stop_.get_token());
    ASSERT_TRUE(status.ok()) << status;
    EXPECT_GT(turns, 0);
    EXPECT_EQ(AllWeights(absl::StrCat(name, "_turns")), AllWeights(absl::StrCat(name, "_alone")));
  }
}

// What is saved then needs adapters to be merged, which the learner must not do on the device.
TEST_F(LearnerTest, WithAdaptersItIsStoppedInAnActorsTurn) {
  WriteConfig("online", kOnlineConfig);
  const std::vector<std::string> adapters = {"resources.turns=ON", "training.lora_rank=4",
                                             "stage[0].ppo.eval_every=100"};
  Cluster whole;
  LearnerOptions options = Options("whole", adapters, "online");
  options.checkpoint_interval = absl::ZeroDuration();  // with the folder of each version
  ASSERT_TRUE(whole.Run(options, stop_.get_token()).ok());

  options = Options("stopped", adapters, "online");
  options.turn_file = root_ + "/turn";
  auto actors = DeviceTurn::Open(options.turn_file);
  ASSERT_TRUE(actors.ok()) << actors.status();
  Cluster cluster([&](const PlanSpec& spec, const Lease& lease, uint32_t sample) {
    if (!stop_.stop_requested()) {
      EXPECT_TRUE(Await([&] { return (*actors)->TryTake(); }));
      if (lease.weight_version() == 2) {
        stop_.request_stop();  // and the actor keeps the turn
      } else {
        (*actors)->Release();
      }
    }
    return Answer(spec, lease, sample);
  });
  const absl::Status status = cluster.Run(options, stop_.get_token());
  EXPECT_EQ(status.code(), absl::StatusCode::kCancelled) << status;
  EXPECT_TRUE((*actors)->held());
  const std::string saved = "weights/ppo_1_step_2/model.safetensors";
  EXPECT_EQ(AllWeights("stopped").at(saved), AllWeights("whole").at(saved));
  (*actors)->Release();

  options.resume = true;
  const absl::Status resumed = cluster.Run(options, std::stop_token());
  ASSERT_TRUE(resumed.ok()) << resumed;
  const std::string last = "weights/ppo_1_step_4/model.safetensors";
  EXPECT_EQ(AllWeights("stopped").at(last), AllWeights("whole").at(last));
}

// A full window of the coordinator is emptied by samples, which the actor draws in its turn.
TEST_F(LearnerTest, NoBatchThatIsThereMakesItWaitForSamplesInItsTurn) {
  WriteConfig("online", kOnlineConfig);
  LearnerOptions options = Options(
      "ahead", {"resources.turns=ON", "stage[0].ppo.steps=8", "stage[0].ppo.max_staleness=3"},
      "online");
  options.turn_file = root_ + "/turn";
  auto actors = DeviceTurn::Open(options.turn_file);
  ASSERT_TRUE(actors.ok()) << actors.status();
  CoreOptions core;
  core.max_resident_groups = 2;  // a batch
  InProcessCoordinator coordinator(core);
  ScriptedActor actor(coordinator.address(), "a",
                      [&](const PlanSpec& spec, const Lease& lease, uint32_t sample) {
                        EXPECT_TRUE(Await([&] { return (*actors)->TryTake(); }));
                        const Rollout rollout = Answer(spec, lease, sample);
                        (*actors)->Release();
                        return rollout;
                      });
  const absl::Status status = RunLearner(options, coordinator.NewStub(), stop_.get_token());
  EXPECT_TRUE(status.ok()) << status;
}

// As an actor on this host does it, while its samples are waited for.
TEST_F(LearnerTest, WhatItComputesFromIsMappedByActors) {
  WriteConfig("online", kOnlineConfig);
  const at::Tensor rows = at::arange(1, 40, at::kInt);
  const auto logits = [&](Transformer& model) {
    at::NoGradGuard no_grad;
    const auto attention = PackedAttention(model.config(), {0, rows.numel()});
    return model.Logits(model.Forward(rows, rows, *attention));
  };
  std::set<uint64_t> versions;
  std::unique_ptr<Cluster> cluster;
  cluster =
      std::make_unique<Cluster>([&](const PlanSpec& spec, const Lease& lease, uint32_t sample) {
        const WeightManifest manifest = cluster->coordinator.weights().at(lease.weight_version());
        if (manifest.version() == 0 || !versions.insert(manifest.version()).second) {
          return Answer(spec, lease, sample);
        }
        FetchOptions options;
        options.packed_layout = PackedForm(Dtype::kFp32, Backend::kCpuKernels).Layout();
        const auto weights = FetchWeights(manifest, Security::PlainText(), {}, options);
        EXPECT_TRUE(weights.ok()) << weights.status();
        if (!weights.ok() || weights->packed == nullptr) {
          ADD_FAILURE() << "version " << manifest.version() << " is not mapped";
          return Answer(spec, lease, sample);
        }
        Transformer adopts(TinyConfig(), Dtype::kFp32), loads(TinyConfig(), Dtype::kFp32);
        EXPECT_TRUE(adopts.Adopt(TensorOver(weights->packed)).ok());
        EXPECT_TRUE(loads.Load(manifest, weights->bytes->bytes(), /*trainable=*/false).ok());
        EXPECT_TRUE(logits(adopts).equal(logits(loads))) << manifest.version();
        return Answer(spec, lease, sample);
      });
  const absl::Status run = cluster->Run(Options("a", {}, "online"), stop_.get_token());
  ASSERT_TRUE(run.ok()) << run;
  cluster->actor.Stop();
  EXPECT_THAT(versions, ElementsAre(1, 2, 3, 4));
}

// The files in memory that this process has: what a policy that is loaded to be trained is packed
// into is one.
int MemoryFiles() {
  int files = 0;
  for (const auto& entry : fs::directory_iterator("/proc/self/fd")) {
    std::error_code error;
    files += absl::StrContains(fs::read_symlink(entry, error).string(), "memfd:") ? 1 : 0;
  }
  return files;
}

TEST_F(LearnerTest, ARunThatOnlyEvaluatesLoadsNoPolicy) {
  const auto files_while_sampling = [&](const std::string& name, const std::string& stage) {
    WriteConfig(name, absl::StrCat("base: \"config.textproto\" stage { ", stage, " }"));
    int files = 0;
    Cluster cluster([&](const PlanSpec& spec, const Lease& lease, uint32_t sample) {
      files = std::max(files, MemoryFiles());
      return Answer(spec, lease, sample);
    });
    const absl::Status run = cluster.Run(Options(name, {}, name), stop_.get_token());
    EXPECT_TRUE(run.ok()) << run;
    cluster.actor.Stop();
    return files;
  };
  EXPECT_EQ(files_while_sampling("evaluates", "eval {}"), 0);
  EXPECT_GT(files_while_sampling("trains", "sft { limit: 2 }"), 0);
}

TEST_F(LearnerTest, RefusesBadDataBeforeAnythingIsSampled) {
  absl::Status run = Run(Options("a", {"training.max_tokens=40"}));
  EXPECT_EQ(run.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(run.message(), HasSubstr("training.max_tokens 40"));
  run = Run(Options("b", {"eval.max_new_tokens=4000"}));
  EXPECT_THAT(run.message(), HasSubstr("eval.max_new_tokens 4000"));
  EXPECT_TRUE(coordinator_.plans().empty());
}

TEST_F(LearnerTest, RefusesTokensThatTheModelDoesNotKnow) {
  Cluster cluster([](const PlanSpec& spec, const Lease& lease, uint32_t sample) {
    Rollout rollout = Answer(spec, lease, sample);
    rollout.mutable_spans(1)->set_tokens(0, 1'000'000);
    return rollout;
  });
  absl::Status status = cluster.Run(Options("strange"), stop_.get_token());
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("token 1000000 is not in the model's vocabulary"));
}

TEST_F(LearnerTest, ProblemsThatDoNotFitAreRefusedOrCountAsWrong) {
  std::string lines;
  for (int i = 0; i < 4; ++i) {
    absl::StrAppend(&lines, R"({"question": ")", i >= 2 ? std::string(3000, 'x') : "What is it?", i,
                    R"(", "answer": "It is.\n#### 7"})", "\n");
  }
  ASSERT_TRUE(WriteFileAtomically(root_ + "/long.jsonl", lines).ok());
  const std::vector<std::string> sets = {absl::StrCat("data.train=", root_, "/long.jsonl"),
                                         absl::StrCat("data.eval=", root_, "/long.jsonl"),
                                         "stage[0].sft.limit=1"};
  absl::Status run = Run(Options("refused", sets));
  EXPECT_EQ(run.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(run.message()),
              testing::AllOf(HasSubstr("data.train: 2 of 4 problems do not fit into the model's "
                                       "2048 positions with prompt and "),
                             HasSubstr("\n  long.jsonl:3: needs 3219\n  long.jsonl:"),
                             HasSubstr("ei.sampling.max_new_tokens 200"),
                             HasSubstr("data.overlong_problems: COUNT_WRONG")));
  EXPECT_TRUE(coordinator_.plans().empty());

  std::vector<std::string> counted = sets;
  counted.push_back("data.overlong_problems=COUNT_WRONG");
  run = Run(Options("counted", counted));
  ASSERT_TRUE(run.ok()) << run;
  const auto evaluations = ReadEvaluations(root_ + "/counted");
  ASSERT_TRUE(evaluations.ok());
  for (const Evaluation& evaluation : *evaluations) {
    EXPECT_EQ(evaluation.problems(), 4u);
    EXPECT_EQ(evaluation.overlong(), 2u);
    EXPECT_DOUBLE_EQ(evaluation.maj_at_1().value(), 0.5);  // both that were asked are right
    EXPECT_DOUBLE_EQ(evaluation.pass_at_k().value(), 0.5);
    EXPECT_EQ(evaluation.sample_verdicts().at("overlong"), 4u);
  }
  EXPECT_EQ(coordinator_.selections().at("ei_1/round_1").keys_size(), 3);  // of two problems
  for (const nlohmann::json& line : Metrics("counted")) {
    if (line.contains("val/problems")) {
      EXPECT_EQ(line["val/overlong"], 2);
    }
  }
}

TEST_F(LearnerTest, WorkedExamplesStayWhenTheirProblemIsLeftOut) {
  WriteConfig("rounds", R"pb(
    base: "config.textproto"
    training { max_tokens: 2048 }
    stage {
      ei {
        rounds: 1
        few_shot_first_round: true
        samples_per_prompt: 3
        sampling { max_new_tokens: 200 }
      }
    }
    stage {
      ei {
        rounds: 1
        samples_per_prompt: 3
        sampling { max_new_tokens: 1600 }
      }
    }
  )pb");
  // The first problem fits as an example of the first stage, and not as a prompt of the second.
  std::string lines;
  for (const int length : {600, 1, 2}) {
    absl::StrAppend(&lines, R"({"question": ")", std::string(length, 'x'),
                    R"(", "answer": "It is.\n#### 7"})", "\n");
  }
  ASSERT_TRUE(WriteFileAtomically(root_ + "/long.jsonl", lines).ok());
  std::vector<int> prompts;
  Cluster cluster([&](const PlanSpec& spec, const Lease& lease, uint32_t sample) {
    const bool few_shot = absl::StartsWith(spec.name(), "ei_1/");
    if (few_shot) prompts.push_back(lease.item().prompt_tokens_size());
    return Answer(spec, lease, sample);
  });
  const absl::Status run =
      cluster.Run(Options("a",
                          {absl::StrCat("data.train=", root_, "/long.jsonl"),
                           "data.few_shot_examples=1", "data.overlong_problems=COUNT_WRONG"},
                          "rounds"),
                  stop_.get_token());
  ASSERT_TRUE(run.ok()) << run;
  cluster.actor.Stop();
  EXPECT_THAT(prompts, testing::AllOf(testing::SizeIs(6), testing::Each(testing::Gt(600))));
}

}  // namespace
}  // namespace reckon
