#include "tests/support/learner_harness.h"

#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/config/config.h"
#include "common/config/run_folder.h"
#include "gmock/gmock.h"
#include "learner/checkpoint/checkpoint.h"
#include "tests/support/tiny_model.h"

namespace reckon {
namespace {

namespace fs = std::filesystem;

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

// The row of docs/metrics.md that a metric belongs to.
std::string MetricRow(std::string name) {
  for (const char* bound : {"/low", "/high"}) {
    if (absl::EndsWith(name, bound)) name.resize(name.size() - std::string(bound).size());
  }
  for (const char* prefix : {"verdict/", "val/greedy/", "val/samples/"}) {
    if (absl::StartsWith(name, prefix)) return absl::StrCat("| `", prefix, "<verdict>` |");
  }
  if (absl::StartsWith(name, "reward/")) return "| `reward/<name>` |";
  if (absl::StartsWith(name, "reward_failures/")) return "| `reward_failures/<failure>` |";
  const std::string pass = "val/pass@";
  if (absl::StartsWith(name, pass) && name != pass + "K") name = pass + "<k>";
  return absl::StrCat("| `", name, "` |");
}

}  // namespace

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

LearnerHarness::LearnerHarness() {
  EXPECT_TRUE(WriteTinyModel(root_ + "/model").ok());
  WriteConfig("config", kConfig);
}

void LearnerHarness::WriteConfig(const std::string& name, const std::string& text) {
  EXPECT_TRUE(WriteFileAtomically(absl::StrCat(root_, "/", name, ".textproto"), text).ok());
}

LearnerOptions LearnerHarness::Options(const std::string& run, std::vector<std::string> overrides,
                                       const std::string& name) {
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

void LearnerHarness::RunAsRanks(Cluster& cluster, int world, const LearnerOptions& leader,
                                absl::StatusCode ends) {
  ::setenv("TORCH_FR_BUFFER_SIZE", "0", 1);  // see tests/support/rank_threads.cc
  static int starts = 0;
  const std::string nonce = absl::StrCat("start ", starts++);
  std::vector<std::thread> threads;
  for (int rank = 0; rank < world; ++rank) {
    threads.emplace_back([&, rank] {
      LearnerOptions options;
      if (rank == 0) options = leader;
      options.share_run_dir = leader.share_run_dir;
      options.stop_grace = leader.stop_grace;
      if (!leader.turn_file.empty()) options.turn_file = absl::StrCat(leader.turn_file, "-", rank);
      options.rank = rank;
      options.world_size = world;
      options.nonce = nonce;
      const absl::Status run = cluster.Run(options, stop_.get_token());
      EXPECT_EQ(run.code(), ends) << "rank " << rank << ": " << run;
    });
  }
  for (std::thread& thread : threads) thread.join();
}

void LearnerHarness::CopyUpTo(const std::string& run, int64_t step, const std::string& copy) {
  const std::string from = absl::StrCat(root_, "/", run), to = absl::StrCat(root_, "/", copy);
  fs::remove_all(to);
  fs::copy(from, to, fs::copy_options::recursive | fs::copy_options::copy_symlinks);
  for (int64_t later : ListCheckpoints(from)) {
    if (later > step) fs::remove_all(absl::StrCat(to, "/checkpoints/step_", later));
  }
}

std::string LearnerHarness::FinalWeights(const std::string& run) {
  auto bytes = ReadFile(absl::StrCat(root_, "/", run, "/weights/ei_1_round_2/model.safetensors"));
  EXPECT_TRUE(bytes.ok()) << bytes.status();
  return bytes.ok() ? *bytes : "";
}

std::map<std::string, std::string> LearnerHarness::AllWeights(const std::string& run) {
  std::map<std::string, std::string> out;
  const std::string folder = absl::StrCat(root_, "/", run);
  for (const auto& file : fs::recursive_directory_iterator(folder)) {
    if (file.path().filename() != "model.safetensors" || file.is_directory()) continue;
    out[fs::relative(file.path(), folder).string()] = *ReadFile(file.path().string());
  }
  EXPECT_FALSE(out.empty()) << run;
  return out;
}

std::vector<nlohmann::json> LearnerHarness::Metrics(const std::string& run) {
  std::vector<nlohmann::json> lines;
  std::istringstream text(*ReadFile(absl::StrCat(root_, "/", run, "/metrics.jsonl")));
  const std::string page = *ReadFile("docs/metrics.md");
  for (std::string line; std::getline(text, line);) {
    lines.push_back(nlohmann::json::parse(line));
    for (const auto& [name, value] : lines.back().items()) {
      if (name != "step" && name != "time") {
        EXPECT_THAT(page, testing::HasSubstr(MetricRow(name)));
      }
    }
  }
  return lines;
}

std::vector<double> LearnerHarness::Losses(const std::string& run) {
  std::vector<double> losses;
  for (const nlohmann::json& line : Metrics(run)) {
    if (line.contains("loss")) losses.push_back(line["loss"]);
  }
  return losses;
}

}  // namespace reckon
