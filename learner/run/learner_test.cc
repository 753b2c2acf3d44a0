#include "learner/run/learner.h"

#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/config/config.h"
#include "common/model/weights.h"
#include "common/telemetry/progress.h"
#include "common/testing/await.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "learner/checkpoint/checkpoint.h"
#include "learner/evaluate/evaluation_files.h"
#include "tests/support/in_process_coordinator.h"
#include "tests/support/scripted_actor.h"
#include "tests/support/tiny_model.h"

namespace reckon {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr char kConfig[] = R"pb(
  name: "test"
  seed: 5
  model { compute: FP32 }
  data {
    train: "builtin"
    eval: "builtin"
    builtin { train_problems: 10 eval_problems: 4 min_steps: 1 max_steps: 1 }
  }
  learner { micro_batch_tokens: 512 }
  training { learning_rate: 1e-3 batch_size: 4 epochs: 2 max_tokens: 1024 }
  eval { samples: 2 max_new_tokens: 200 bootstrap: 20 }
  keep_last: 100
  stage { sft { limit: 6 } }
  stage {
    ei {
      rounds: 2
      samples_per_prompt: 3
      sampling { max_new_tokens: 200 }
      dedup: TEXT
    }
  }
)pb";

// What the actor answers: of three samples of a training prompt the first two are equal and right,
// the third is right and differs by round in even groups only, and wrong in odd ones.
Rollout Answer(const PlanSpec& spec, const Lease& lease, uint32_t sample) {
  const WorkItem& item = lease.item();
  bool third = sample == 2, right = !third || item.group() % 2 == 0;
  Rollout rollout;
  rollout.set_completion(third ? absl::StrCat(" by another way, ", spec.name())
                               : absl::StrCat(" the answer is ", item.reference().answer()));
  rollout.set_finish(FINISH_STOP);
  rollout.set_reward(right ? 1 : 0);
  for (const RewardSpec& reward : spec.rewards()) {
    RewardValue* value = rollout.add_rewards();
    value->set_name(reward.name());
    value->set_value(rollout.reward());
    value->set_verdict(right ? CORRECT : WRONG);
  }
  TokenSpan* prompt = rollout.add_spans();
  prompt->set_kind(TokenSpan::PROMPT);
  *prompt->mutable_tokens() = item.prompt_tokens();
  TokenSpan* sampled = rollout.add_spans();
  sampled->set_kind(TokenSpan::SAMPLED);
  sampled->set_weight_version(lease.weight_version());
  for (unsigned char c : rollout.completion()) sampled->add_tokens(kTinyFirstByte + c);
  sampled->add_tokens(kTinyEnd);
  for (int i = 0; i < sampled->tokens_size(); ++i) sampled->add_logprobs(-1);
  return rollout;
}

// A coordinator and its only actor.
struct Cluster {
  explicit Cluster(ScriptedActor::Script script = Answer)
      : actor(coordinator.address(), "a", std::move(script)) {}

  absl::Status Run(const LearnerOptions& options, std::stop_token stop) {
    return RunLearner(options, coordinator.NewStub(), stop);
  }

  InProcessCoordinator coordinator;
  ScriptedActor actor;
};
// The row of docs/metrics.md that a metric belongs to.
std::string MetricRow(std::string name) {
  for (const char* bound : {"/low", "/high"}) {
    if (absl::EndsWith(name, bound)) name.resize(name.size() - std::string(bound).size());
  }
  for (const char* prefix : {"verdict/", "val/greedy/", "val/samples/"}) {
    if (absl::StartsWith(name, prefix)) return absl::StrCat("| `", prefix, "<verdict>` |");
  }
  const std::string pass = "val/pass@";
  if (absl::StartsWith(name, pass) && name != pass + "K") name = pass + "<k>";
  return absl::StrCat("| `", name, "` |");
}

class LearnerTest : public testing::Test {
 protected:
  LearnerTest() : root_(testing::TempDir() + "/learner_test") {
    fs::remove_all(root_);
    EXPECT_TRUE(MakeFolders(root_).ok());
    EXPECT_TRUE(WriteTinyModel(root_ + "/model").ok());
    EXPECT_TRUE(WriteFileAtomically(root_ + "/config.textproto", kConfig).ok());
  }
  ~LearnerTest() override { fs::remove_all(root_); }

  LearnerOptions Options(const std::string& run, std::vector<std::string> overrides = {},
                         const std::string& name = "config") {
    overrides.push_back(absl::StrCat("model.path=", root_, "/model"));
    auto config = LoadConfig(absl::StrCat(root_, "/", name, ".textproto"), overrides);
    EXPECT_TRUE(config.ok()) << config.status();
    LearnerOptions options;
    options.config = *config;
    options.run_dir = absl::StrCat(root_, "/", run);
    EXPECT_TRUE(MakeFolders(options.run_dir).ok());
    options.checkpoint_steps = 2;
    return options;
  }

  absl::Status Run(const LearnerOptions& options) {
    return cluster_.Run(options, stop_.get_token());
  }

  // Runs `world` ranks, of which the leader alone has config and run folder.
  void RunAsRanks(Cluster& cluster, int world, const LearnerOptions& leader) {
    // See tests/support/rank_threads.cc.
    ::setenv("TORCH_FR_BUFFER_SIZE", "0", 1);
    static int starts = 0;
    const std::string nonce = absl::StrCat("start ", starts++);
    std::vector<std::thread> threads;
    for (int rank = 0; rank < world; ++rank) {
      threads.emplace_back([&, rank] {
        LearnerOptions options;
        if (rank == 0) options = leader;
        options.rank = rank;
        options.world_size = world;
        options.nonce = nonce;
        const absl::Status run = cluster.Run(options, stop_.get_token());
        EXPECT_TRUE(run.ok()) << "rank " << rank << ": " << run;
      });
    }
    for (std::thread& thread : threads) thread.join();
  }

  // The run as it was when it had just written the checkpoint of `step`.
  void CopyUpTo(const std::string& run, int64_t step, const std::string& copy) {
    const std::string from = absl::StrCat(root_, "/", run), to = absl::StrCat(root_, "/", copy);
    fs::remove_all(to);
    fs::copy(from, to, fs::copy_options::recursive | fs::copy_options::copy_symlinks);
    for (int64_t later : ListCheckpoints(from)) {
      if (later > step) fs::remove_all(absl::StrCat(to, "/checkpoints/step_", later));
    }
  }

  std::string FinalWeights(const std::string& run) {
    auto bytes = ReadFile(absl::StrCat(root_, "/", run, "/weights/ei_1_round_2/model.safetensors"));
    EXPECT_TRUE(bytes.ok()) << bytes.status();
    return bytes.ok() ? *bytes : "";
  }

  std::vector<nlohmann::json> Metrics(const std::string& run) {
    std::vector<nlohmann::json> lines;
    std::istringstream text(*ReadFile(absl::StrCat(root_, "/", run, "/metrics.jsonl")));
    const std::string page = *ReadFile("docs/metrics.md");
    for (std::string line; std::getline(text, line);) {
      lines.push_back(nlohmann::json::parse(line));
      for (const auto& [name, value] : lines.back().items()) {
        if (name != "step" && name != "time") {
          EXPECT_THAT(page, HasSubstr(MetricRow(name)));
        }
      }
    }
    return lines;
  }

  std::vector<double> Losses(const std::string& run) {
    std::vector<double> losses;
    for (const nlohmann::json& line : Metrics(run)) {
      if (line.contains("loss")) losses.push_back(line["loss"]);
    }
    return losses;
  }

  const std::string root_;
  Cluster cluster_;
  InProcessCoordinator& coordinator_ = cluster_.coordinator;
  std::stop_source stop_;
};

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

TEST_F(LearnerTest, RecordsDistinctAcceptedSamplesPinnedToTheNewestVersion) {
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

// What PEFT reads from adapter/ over its base is the version, to the rounding of the base's type.
TEST_F(LearnerTest, ARunWithAdaptersLeavesThemForPeft) {
  const absl::Status run = Run(Options("a", {"training.lora_rank=4"}));
  ASSERT_TRUE(run.ok()) << run;
  for (const char* name : {"sft_1", "ei_1_round_1"}) {
    const std::string folder = absl::StrCat(root_, "/a/weights/", name);
    const auto merged = ReadModelFolder(folder), adapted = ReadModelFolder(folder + "/adapter");
    ASSERT_TRUE(merged.ok()) << merged.status();
    ASSERT_TRUE(adapted.ok()) << adapted.status();
    ASSERT_EQ(merged->manifest.tensors_size(), adapted->manifest.tensors_size());
    const ModelConfig shape = *ModelConfig::Parse(merged->manifest.config_json());
    TransformerWeights a(shape, Dtype::kFp32, Backend::kCpuKernels),
        b(shape, Dtype::kFp32, Backend::kCpuKernels);
    ASSERT_TRUE(a.Load(merged->manifest, merged->bytes->bytes(), true).ok());
    ASSERT_TRUE(b.Load(adapted->manifest, adapted->bytes->bytes(), true).ok());
    const NamedTensors first = a.Merged(), second = b.Merged();
    for (size_t i = 0; i < first.size(); ++i) {
      EXPECT_TRUE(first[i].second.allclose(second[i].second, 1.0 / 128, 1e-6)) << first[i].first;
    }
  }
  EXPECT_FALSE(fs::exists(root_ + "/a/weights/sft_1/adapter_config.json"));
}

// What is trained, and where a round of expert iteration begins.
class CheckpointTest : public LearnerTest,
                       public testing::WithParamInterface<std::vector<std::string>> {};
INSTANTIATE_TEST_SUITE_P(
    Trained, CheckpointTest,
    testing::Values(std::vector<std::string>{}, std::vector<std::string>{"training.lora_rank=4"},
                    std::vector<std::string>{"training.lora_rank=4", "model.compute=BF16",
                                             "stage[1].ei.restart_from=PREVIOUS"}));

TEST_P(CheckpointTest, GivesTheSameWeightsFromEveryCheckpoint) {
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

TEST_F(LearnerTest, SavesWhenStoppedAndResumes) {
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

constexpr char kReturnConditioned[] = R"pb(
  base: "config.textproto"
  eval { samples: 3 orm: "orm_1" }
  stage { sft { limit: 6 } }
  stage {
    orm {
      samples_per_prompt: 3
      sampling { max_new_tokens: 200 }
      held_out: 0.3
    }
  }
  stage { rcrl { selection: "orm_1" orm: "orm_1" good_label: "^" bad_label: "~" threshold: 0.6 } }
  stage {
    ei {
      rounds: 1
      samples_per_prompt: 3
      sampling { max_new_tokens: 200 }
      reward {}
      reward { kind: ORM orm: "orm_1" }
      threshold: 1.01
    }
  }
)pb";

TEST_F(LearnerTest, ARewardModelReranksLabelsStepsAndFilters) {
  ASSERT_TRUE(WriteFileAtomically(root_ + "/orm.textproto", kReturnConditioned).ok());
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

constexpr char kOnline[] = R"pb(
  base: "config.textproto"
  stage {
    ppo {
      steps: 4
      prompts: 2
      samples_per_prompt: 3
      ppo_epochs: 2
      eval_every: 1
      sampling { max_new_tokens: 200 }
    }
  }
)pb";

// Every kind of stage that reads something back: versions, adapters, a reward model, moments. The
// other ranks have no file, so what they learn with came from the leader.
TEST_F(LearnerTest, RanksWithoutARunFolderGiveTheSameBitsAgainAndAfterAResume) {
  const std::string stages = absl::StrCat(kReturnConditioned, R"pb(
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
  ASSERT_TRUE(WriteFileAtomically(root_ + "/all.textproto", stages).ok());
  const std::string last = "/weights/ppo_1_step_2/model.safetensors";
  Cluster first;
  RunAsRanks(first, 2, Options("a", {}, "all"));
  const auto weights = ReadFile(root_ + "/a" + last);
  ASSERT_TRUE(weights.ok()) << weights.status();
  const std::vector<int64_t> steps = ListCheckpoints(root_ + "/a");
  ASSERT_GT(steps.size(), 6u);
  for (size_t i = 1; i < steps.size(); i += 3) {
    CopyUpTo("a", steps[i], "b");
    LearnerOptions resumed = Options("b", {}, "all");
    resumed.resume = true;
    RunAsRanks(first, 2, resumed);
    EXPECT_EQ(ReadFile(root_ + "/b" + last), weights) << "from checkpoint " << steps[i];
  }
}

// Sums of other numbers of ranks differ by rounding, so the run is compared with its repetition.
TEST_F(LearnerTest, ARunContinuesWithOtherNumbersOfRanks) {
  std::string expected;
  for (const char* name : {"x", "y"}) {
    Cluster cluster;
    const std::string at = absl::StrCat(name, "_2"), from = absl::StrCat(name, "_1"),
                      to = absl::StrCat(name, "_4");
    RunAsRanks(cluster, 2, Options(at));
    const std::vector<int64_t> steps = ListCheckpoints(root_ + "/" + at);
    CopyUpTo(at, steps[2], from);
    LearnerOptions one = Options(from), four = Options(to);
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

// Answer's groups of even number are all right, so that every other one teaches something.
TEST_F(LearnerTest, AStepSamplesOnUntilEnoughGroupsDiffer) {
  ASSERT_TRUE(WriteFileAtomically(root_ + "/online.textproto", kOnline).ok());
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

// The learner ends right after each checkpoint, when it says that the step's batch is durable, and
// resumes with a coordinator that knows no more than that.
TEST_F(LearnerTest, OnlineStagesResumeFromEveryCheckpointTheSame) {
  ASSERT_TRUE(WriteFileAtomically(root_ + "/online.textproto", kOnline).ok());
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

TEST_F(LearnerTest, LabelsOfWhichNoneIsGoodAreNotTrainedOn) {
  ASSERT_TRUE(WriteFileAtomically(root_ + "/orm.textproto", kReturnConditioned).ok());
  absl::Status run = Run(
      Options("a", {"stage[2].rcrl.threshold=1", "stage[2].rcrl.include_sft_data=false"}, "orm"));
  EXPECT_EQ(run.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(run.message(), HasSubstr("no step of selection orm_1 is labelled good"));
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

TEST_F(LearnerTest, KeepsTheLastFoldersAndTheOneTheStageBeganWith) {
  ASSERT_TRUE(Run(Options("a", {"keep_last=1"})).ok());
  EXPECT_TRUE(fs::exists(root_ + "/a/weights/sft_1"));
  EXPECT_FALSE(fs::exists(root_ + "/a/weights/ei_1_round_1"));
  EXPECT_TRUE(fs::exists(root_ + "/a/weights/ei_1_round_2"));
  EXPECT_EQ(ListCheckpoints(root_ + "/a").size(), 1u);
}

// As Answer, but evaluations find all answers of version 2 right and all others wrong.
Rollout SecondVersionIsBest(const PlanSpec& spec, const Lease& lease, uint32_t sample) {
  Rollout rollout = Answer(spec, lease, sample);
  if (!absl::StartsWith(spec.name(), "eval/") || lease.weight_version() == 2) return rollout;
  rollout.mutable_rewards(0)->set_verdict(WRONG);
  return rollout;
}

TEST_F(LearnerTest, KeepsTheBestEvaluatedVersionOrAllOfThem) {
  for (const char* keep : {"BEST", "ALL", "NONE"}) {
    Cluster cluster(SecondVersionIsBest);
    const LearnerOptions options = Options(
        keep, {"keep_last=1", "stage[1].ei.rounds=3", absl::StrCat("keep_evaluated=", keep)});
    const absl::Status run = cluster.Run(options, stop_.get_token());
    ASSERT_TRUE(run.ok()) << run;
    const bool none = keep == std::string("NONE"), all = keep == std::string("ALL");
    const std::string weights = options.run_dir + "/weights/";
    EXPECT_TRUE(fs::exists(weights + "sft_1")) << "the stage began with it";
    EXPECT_EQ(fs::exists(weights + "ei_1_round_1"), !none) << keep;
    EXPECT_EQ(fs::exists(weights + "ei_1_round_2"), all) << keep;
    EXPECT_TRUE(fs::exists(weights + "ei_1_round_3")) << keep;
    std::error_code no_link;
    EXPECT_EQ(fs::read_symlink(options.run_dir + "/best", no_link),
              keep == std::string("BEST") ? "weights/ei_1_round_1" : "");
    if (!none && !all) {
      EXPECT_TRUE(ReadModelFolder(options.run_dir + "/best").ok());
    }
  }
}

TEST_F(LearnerTest, AFinishedRunGoesOnWithMoreRoundsAsIfItHadHadThemFromTheStart) {
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

TEST_F(LearnerTest, AFinishedOnlineStageGoesOnWithMoreSteps) {
  ASSERT_TRUE(WriteFileAtomically(root_ + "/online.textproto", kOnline).ok());
  ASSERT_TRUE(Run(Options("a", {}, "online")).ok());
  LearnerOptions options = Options("a", {"stage[0].ppo.steps=6"}, "online");
  options.resume = true;
  const absl::Status run = Run(options);
  ASSERT_TRUE(run.ok()) << run;
  EXPECT_TRUE(fs::exists(options.run_dir + "/weights/ppo_1_step_6"));
  EXPECT_EQ(ReadEvaluations(options.run_dir)->back().name(), "ppo_1_step_6");
}

TEST_F(LearnerTest, AnInterruptedEvaluationBeginsAgainWithOtherSettings) {
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

TEST_F(LearnerTest, RefusesToGoOnWithAnotherModel) {
  LearnerOptions options = Options("a");
  ASSERT_TRUE(Run(options).ok());
  ASSERT_TRUE(WriteTinyModel(root_ + "/model", /*seed=*/2).ok());
  options.resume = true;
  const absl::Status run = Run(options);
  EXPECT_EQ(run.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(run.message()),
              HasSubstr(absl::StrCat("model.path: ", root_, "/model has changed since")));
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
                                       "2048 positions; the first, long.jsonl:3, needs 3219 "),
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

TEST_F(LearnerTest, SamplesThatWereCutAreSelectedOnRequestAlone) {
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

TEST_F(LearnerTest, AnOnlineStageLearnsAnEndInThePlaceOfAStopString) {
  ASSERT_TRUE(WriteFileAtomically(root_ + "/online.textproto", kOnline).ok());
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
