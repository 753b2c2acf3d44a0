#include "learner/run/versions.h"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/config/run_folder.h"
#include "common/model/config.h"
#include "common/model/files/model_folder.h"
#include "common/model/weights.h"
#include "gtest/gtest.h"
#include "learner/checkpoint/checkpoint.h"
#include "learner/publish/model_card.h"
#include "tests/support/learner_harness.h"

namespace reckon {
namespace {

namespace fs = std::filesystem;

class VersionsTest : public LearnerHarness {};

// Whether the adapter beside a version, over the base that it names, is the version, to the
// rounding of the base's type.
void ExpectAdapterGives(const std::string& folder) {
  const auto merged = ReadModelFolder(folder), adapted = ReadModelFolder(folder + "/adapter");
  ASSERT_TRUE(merged.ok()) << merged.status();
  ASSERT_TRUE(adapted.ok()) << adapted.status();
  ASSERT_EQ(merged->manifest.tensors_size(), adapted->manifest.tensors_size());
  const ModelConfig shape = *ModelConfig::Parse(merged->manifest.texts().config_json());
  TransformerWeights a(shape, Dtype::kFp32, Backend::kCpuKernels),
      b(shape, Dtype::kFp32, Backend::kCpuKernels);
  ASSERT_TRUE(a.Load(merged->manifest, merged->bytes->bytes(), true).ok());
  ASSERT_TRUE(b.Load(adapted->manifest, adapted->bytes->bytes(), true).ok());
  const NamedTensors first = a.Merged(), second = b.Merged();
  for (size_t i = 0; i < first.size(); ++i) {
    EXPECT_TRUE(first[i].second.allclose(second[i].second, 1.0 / 128, 1e-6)) << first[i].first;
  }
}

TEST_F(VersionsTest, ARunWithAdaptersLeavesThemForPeft) {
  const absl::Status run = Run(Options("a", {"training.lora_rank=4"}));
  ASSERT_TRUE(run.ok()) << run;
  for (const char* name : {"sft_1", "ei_1_round_1"}) {
    ExpectAdapterGives(absl::StrCat(root_, "/a/weights/", name));
  }
  EXPECT_FALSE(fs::exists(root_ + "/a/weights/sft_1/adapter_config.json"));
}

TEST_F(VersionsTest, EachFolderHasACardOfHowItWasMade) {
  const std::string users = "---\nlicense: apache-2.0\n---\n# My model\n";
  ASSERT_TRUE(WriteFileAtomically(root_ + "/model/README.md", users).ok());
  ASSERT_TRUE(Run(Options("a", {"training.lora_rank=4"})).ok());
  EXPECT_EQ(*ReadFile(root_ + "/model/README.md"), users) << "a folder of the user's";
  for (const char* name : {"sft_1", "ei_1_round_1", "ei_1_round_2"}) {
    const std::string folder = absl::StrCat(root_, "/a/weights/", name);
    EXPECT_EQ(*ReadFile(folder + "/README.base.md"), users);
    for (const char* file : {"/README.md", "/adapter/README.md"}) {
      const auto card = ReadFile(folder + file);
      ASSERT_TRUE(card.ok()) << card.status();
      EXPECT_TRUE(IsModelCard(*card));
      EXPECT_TRUE(absl::StrContains(*card, "license: apache-2.0")) << *card;
      EXPECT_TRUE(absl::StrContains(*card, "| this model | ")) << "its evaluation:\n" << *card;
      EXPECT_TRUE(absl::StrContains(*card, "| start | "));
      EXPECT_EQ(absl::StrContains(*card, "expert iteration"), name[0] == 'e');
      EXPECT_EQ(absl::StrContains(*card, "library_name: peft"), file[1] == 'a');
      EXPECT_FALSE(absl::StrContains(*card, root_)) << "a path of this machine";
    }
  }
  // A card that a user has taken over stays, whatever happens to the version.
  const std::string taken = root_ + "/a/weights/ei_1_round_2/README.md";
  ASSERT_TRUE(WriteFileAtomically(taken, users).ok());
  LearnerOptions again = Options("a", {"training.lora_rank=4"});
  again.resume = true;
  ASSERT_TRUE(Run(again).ok());
  EXPECT_EQ(*ReadFile(taken), users);
}

// Adapters that each round trains over the round before, of a run whose model is an adapter itself.
TEST_F(VersionsTest, TheBaseOfAKeptAdapterIsKept) {
  ASSERT_TRUE(Run(Options("a", {"training.lora_rank=4"})).ok());
  fs::rename(root_ + "/model", root_ + "/first_model");
  fs::rename(root_ + "/a/weights/sft_1/adapter", root_ + "/model");
  auto config = nlohmann::json::parse(*ReadFile(root_ + "/model/adapter_config.json"));
  config["base_model_name_or_path"] = root_ + "/first_model";
  ASSERT_TRUE(WriteFileAtomically(root_ + "/model/adapter_config.json", config.dump()).ok());
  Cluster other;
  const absl::Status run =
      other.Run(Options("b", {"training.lora_rank=4", "keep_last=1", "stage[1].ei.rounds=3",
                              "stage[1].ei.restart_from=PREVIOUS", "keep_evaluated=NONE"}),
                stop_.get_token());
  ASSERT_TRUE(run.ok()) << run;
  const std::string weights = root_ + "/b/weights/";
  ExpectAdapterGives(weights + "ei_1_round_3");
  EXPECT_FALSE(fs::exists(weights + "ei_1_round_1"));
  EXPECT_TRUE(fs::exists(weights + "ei_1_round_2/model.safetensors"));
  EXPECT_FALSE(fs::exists(weights + "ei_1_round_2/adapter"));
  ExpectAdapterGives(weights + "sft_1");  // with which the stage began
}

TEST_F(VersionsTest, KeepsTheLastFoldersAndTheOneTheStageBeganWith) {
  ASSERT_TRUE(Run(Options("a", {"keep_last=1"})).ok());
  EXPECT_TRUE(fs::exists(root_ + "/a/weights/sft_1"));
  EXPECT_FALSE(fs::exists(root_ + "/a/weights/ei_1_round_1"));
  EXPECT_TRUE(fs::exists(root_ + "/a/weights/ei_1_round_2"));
  EXPECT_EQ(ListCheckpoints(root_ + "/a").size(), 1u);
}

TEST_F(VersionsTest, TheLineAfterAVersionTellsHowLongItTook) {
  WriteConfig("online", kOnlineConfig);
  ASSERT_TRUE(Run(Options("a", {}, "online")).ok());
  int versions = 0;
  for (const nlohmann::json& line : Metrics("a")) {
    if (!line.contains("timing_s/update_weights")) continue;
    ++versions;
    const double pack = line["timing_s/pack_weights"], publish = line["timing_s/publish_weights"];
    EXPECT_GT(pack, 0);
    EXPECT_GT(publish, 0);
    EXPECT_GE(line["timing_s/update_weights"].get<double>(), pack + publish);
    EXPECT_TRUE(line.contains("val/maj@1")) << "the line after each step is its evaluation's";
  }
  EXPECT_EQ(versions, 4);
}

// As Answer, but evaluations find all answers of version 2 right and all others wrong.
Rollout SecondVersionIsBest(const PlanSpec& spec, const Lease& lease, uint32_t sample) {
  Rollout rollout = Answer(spec, lease, sample);
  if (!absl::StartsWith(spec.name(), "eval/") || lease.weight_version() == 2) return rollout;
  rollout.mutable_rewards(0)->set_verdict(WRONG);
  return rollout;
}

TEST_F(VersionsTest, KeepsTheBestEvaluatedVersionOrAllOfThem) {
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

}  // namespace
}  // namespace reckon
