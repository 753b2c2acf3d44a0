#include "common/config/config.h"

#include <filesystem>
#include <fstream>
#include <string>

#include "common/config/config_steps.h"
#include "gmock/gmock.h"
#include "google/protobuf/text_format.h"
#include "google/protobuf/util/message_differencer.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr char kGood[] = R"(
model { path: "m" }
data { train: "builtin" }
stage { sft {} }
stage { ei { rounds: 3 } training { epochs: 4 } }
)";

std::string WriteFile(const std::string& name, const std::string& text) {
  std::string path = ::testing::TempDir() + "/" + name;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::ofstream(path) << text;
  return path;
}

absl::StatusOr<RunConfig> Load(const std::string& text,
                               const std::vector<std::string>& overrides = {}) {
  return LoadConfig(WriteFile("c.textproto", text), overrides);
}

TEST(LoadConfig, ResolvesNamesTrainingAndEvalData) {
  auto config = Load(std::string(kGood) + "training { learning_rate: 0.01 }");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->stage(0).name(), "sft_1");
  EXPECT_EQ(config->stage(1).name(), "ei_1");
  EXPECT_EQ(config->stage(1).training().epochs(), 4u);
  EXPECT_EQ(config->stage(1).training().learning_rate(), 0.01);
  EXPECT_EQ(config->data().eval(), "builtin");
  EXPECT_EQ(config->stage(1).ei().reward_size(), 1);
}

TEST(LoadConfig, BaseIsMergedAndARepeatedFieldReplacesItsOwn) {
  WriteFile("sub/base.textproto", R"(
    model { path: "base_model" compute: FP32 } data { train: "builtin" question_key: "q" }
    stage { sft {} } stage { ei {} } stage { eval {} })");
  auto config = Load(R"(base: "sub/base.textproto" model { path: "mine" } stage { eval {} })");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_FALSE(config->has_base());
  EXPECT_EQ(config->model().path(), "mine");
  EXPECT_EQ(config->model().compute(), ModelSettings::FP32);
  EXPECT_EQ(config->data().question_key(), "q");
  ASSERT_EQ(config->stage_size(), 1);
  EXPECT_TRUE(config->stage(0).has_eval());
}

TEST(LoadConfig, ErrorsInABaseNameBothFiles) {
  WriteFile("sub/bad.textproto", "model { pth: \"x\" }");
  auto status = Load("base: \"sub/bad.textproto\"").status();
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("c.textproto: base: "), HasSubstr("sub/bad.textproto:1:"),
                    HasSubstr("did you mean 'path'")));
  EXPECT_THAT(Load("base: \"nowhere\"").status().ToString(), HasSubstr("nowhere"));
  EXPECT_THAT(Load("base: \"c.textproto\"").status().ToString(), HasSubstr("one another"));
}

TEST(LoadConfig, OverridesSetEveryKindOfField) {
  auto config = Load(
      kGood, {"stage[1].ei.rounds=7", "data.format=chat", "seed=5", "training.learning_rate=3e-4",
              "model.path=/a=b c", "stage[1].ei.include_sft_data=false", "eval.temperature=1"});
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->stage(1).ei().rounds(), 7u);
  EXPECT_EQ(config->data().format(), DataSettings::CHAT);
  EXPECT_EQ(config->seed(), 5u);
  EXPECT_EQ(config->training().learning_rate(), 3e-4);
  EXPECT_EQ(config->stage(0).training().learning_rate(), 3e-4);
  EXPECT_EQ(config->model().path(), "/a=b c");
  EXPECT_FALSE(config->stage(1).ei().include_sft_data());
}

struct BadOverride {
  const char* assignment;
  const char* says;
};
class Overrides : public ::testing::TestWithParam<BadOverride> {};

TEST_P(Overrides, ErrorsNameTheKeyAndTheFix) {
  auto status = Load(kGood, {GetParam().assignment}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr(GetParam().says), Not(HasSubstr("\n"))));
}

INSTANTIATE_TEST_SUITE_P(
    All, Overrides,
    ::testing::Values(
        BadOverride{"seed", "--set seed: expected KEY=VALUE"},
        BadOverride{"sed=1", "--set sed: no field named 'sed'; did you mean 'seed'?"},
        BadOverride{"training.lr=1", "--set training.lr: no field named 'lr'"},
        BadOverride{"training.rate=1", "did you mean 'learning_rate'"},
        BadOverride{"seed=abc", "cannot read 'abc' as uint64"},
        BadOverride{"seed=-1", "cannot read '-1'"}, BadOverride{"seed=1 2", "cannot read '1 2'"},
        BadOverride{"seed=", "cannot read ''"},
        BadOverride{"actor.count=4294967296", "cannot read '4294967296' as uint32"},
        BadOverride{"data.format=xml", "'XML' is not one of PLAIN, FEW_SHOT, CHAT"},
        BadOverride{"training=1", "is a group of fields"},
        BadOverride{"seed.x=1", "is a plain value"},
        BadOverride{"stage.ei.rounds=1", "is a list; name one entry, as in stage[0]"},
        BadOverride{"stage[2].ei.rounds=1", "'stage' has 2 entries, so stage[2] is not there"},
        BadOverride{"stage[-1].ei.rounds=1", "not a field"},
        BadOverride{"stage[x].ei.rounds=1", "not a field"},
        BadOverride{"stage[0].ei.rounds=1", "is of kind 'sft', not 'ei'"},
        BadOverride{"seed[0]=1", "'seed' is not a list"}, BadOverride{"..=1", "not a field"},
        BadOverride{"=1", "not a field"}, BadOverride{"base=x", "--set base"},
        BadOverride{"eval.temperature=nan", "eval.temperature"},
        BadOverride{"training.learning_rate=inf", "training.learning_rate"}));

// A ppo stage on its own, from nothing.
std::string PpoText(const std::string& more) {
  return "data { train: \"builtin\" } stage { init {} } stage { ppo { " + more + " } }";
}

TEST(PpoConfig, DefaultsAreThePapersAndTheRewardIsTheFinalAnswer) {
  auto config = Load(PpoText(""));
  ASSERT_TRUE(config.ok()) << config.status();
  const PpoSettings& ppo = config->stage(1).ppo();
  EXPECT_EQ(ppo.kl_coef(), 0.05);
  EXPECT_TRUE(ppo.whiten_advantages());
  ASSERT_EQ(ppo.reward_size(), 1);
  EXPECT_TRUE(config->stage(1).has_training());
  auto grpo = Load(PpoText("adv_estimator: GRPO"));
  ASSERT_TRUE(grpo.ok()) << grpo.status();
  EXPECT_FALSE(grpo->stage(1).ppo().whiten_advantages());
}

TEST(PpoConfig, SettingsThatCannotWorkAreRefusedInOneLine) {
  const std::pair<const char*, const char*> cases[] = {
      {"adv_estimator: GRPO samples_per_prompt: 1", "ppo.samples_per_prompt: must be 2 or more"},
      {"adv_estimator: RLOO value_layers: 2", "ppo.value_layers: 2 are a critic's"},
      {"sampling { top_p: 0.9 }", "ppo.sampling.top_p: truncated sampling"},
      {"sampling { top_k: 5 }", "ppo.sampling.top_k: truncated sampling"},
      {"sampling { temperature: 0 }", "ppo.sampling.temperature: 0 leaves nothing to explore"},
      {"kl_coef: 0 kl_target: 6", "ppo.kl_target: 6 steers kl_coef, which is 0"},
      {"max_staleness: 1 importance_cap: 0", "ppo.importance_cap: must be above 0"},
      {"clip_ratio_c: 0.5", "ppo.clip_ratio_c: 0.5 is out of range"},
      {"clip_ratio_low: 1.5", "ppo.clip_ratio_low: 1.5 is out of range"},
      {"gamma: nan", "ppo.gamma"},
      {"steps: 0", "ppo.steps: 0 is out of range"},
      {"backtrack_from: 1.5", "ppo.backtrack_from: 1.5 is out of range"},
      {"replay_temperature: 0", "ppo.replay_temperature: 0 is out of range"},
      {"replay_ratio: 0.5 max_staleness: 1", "ppo.replay_ratio: 0.5 chooses prompts by"},
      {"max_num_gen_batches: 0", "ppo.max_num_gen_batches: 0 is out of range"},
      {"max_num_gen_batches: 3", "ppo.max_num_gen_batches: 3 are for groups that filter_groups"},
      {"max_num_gen_batches: 3 filter_groups: true max_staleness: 1",
       "ppo.max_num_gen_batches: 3 need max_staleness: 0"},
      {"overlong_buffer_len: 9 sampling { max_new_tokens: 8 }",
       "ppo.overlong_buffer_len: 9 is out of range"},
  };
  for (const auto& [settings, says] : cases) {
    auto status = Load(PpoText(settings)).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << settings;
    EXPECT_THAT(std::string(status.message()), AllOf(HasSubstr(says), Not(HasSubstr("\n"))));
  }
}

TEST(InitConfig, TheModelComesFromOnePlace) {
  EXPECT_THAT(std::string(Load("model { path: \"m\" } " + PpoText("")).status().message()),
              HasSubstr("stage[0].init are two models; leave one out"));
  EXPECT_THAT(std::string(Load("model { path: \"m\" } data { train: \"builtin\" } "
                               "stage { sft {} } stage { init {} }")
                              .status()
                              .message()),
              HasSubstr("stage[1].init: must be the first stage"));
  auto odd =
      Load("data { train: \"builtin\" } stage { init { hidden_size: 100 } } stage { sft {} }");
  EXPECT_THAT(std::string(odd.status().message()), HasSubstr("must be a multiple of 2 x"));
}

struct BadText {
  const char* text;
  const char* says;
};
class Texts : public ::testing::TestWithParam<BadText> {};

TEST_P(Texts, ErrorsGiveThePlaceAndTheFixInOneLine) {
  auto status = Load(GetParam().text).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("c.textproto:"), HasSubstr(GetParam().says), Not(HasSubstr("\n"))));
}

#define WITH(more) R"(model { path: "m" } data { train: "t" eval: "e" } stage { sft {} } )" more

INSTANTIATE_TEST_SUITE_P(
    All, Texts,
    ::testing::Values(
        BadText{"\n  naem: \"x\"", ":2:7: no field named 'naem'; did you mean 'name'?"},
        BadText{"model { zzzzzz: 1 }", "'zzzzzz'; it has path, compute"},
        BadText{"seed: 1\nseed: 2", ":2:5: 'seed' is given twice"},
        BadText{"model { path: \"a\" } model { path: \"b\" }", "'model' is given twice"},
        BadText{"stage { sft {} ei {} }", "make an entry for each"},
        BadText{"seed: \"x\"", ":1:7: "}, BadText{"seed: -1", ":1:7: "},
        BadText{"model {", ":1:8: "}, BadText{"data { format: XML }", "XML"},
        BadText{"}", ":1:1: "}, BadText{"\x01\xFF", ":1:"}, BadText{"", "model.path: is required"},
        BadText{"model { path: \"m\" }", "data.train: is required"},
        BadText{"model { path: \"m\" } data { train: \"t\" }", "data.eval: is required"},
        BadText{"model { path: \"m\" } data { train: \"builtin\" }", "stage: is required"},
        BadText{WITH("stage { }"), "stage[1]: says not what to do"},
        BadText{WITH("name: \"../x\""), "name: '../x' must be"},
        BadText{WITH("stage { name: \"sft_1\" sft {} }"), "stage[1].name: 'sft_1' is used twice"},
        BadText{WITH("eval { samples: 5000 }"), "eval.samples: 5000 is out of range"},
        BadText{WITH("eval { temperature: -1 }"), "eval.temperature: -1"},
        BadText{WITH("eval { temperature: 0 }"), "eval.temperature: 0 makes"},
        BadText{WITH("stage { ei { sampling { top_p: 0 } } }"), "stage[1].ei.sampling.top_p: 0"},
        BadText{WITH("stage { ei { sampling { top_p: 1.1 } } }"), "top_p: 1.1"},
        BadText{WITH("stage { ei { rounds: 0 } }"), "stage[1].ei.rounds: 0 is out of range"},
        BadText{WITH("stage { ei { sampling { temperature: 0 } } }"), "samples_per_prompt to 1"},
        BadText{WITH("training { batch_size: 0 }"), "training.batch_size: 0"},
        BadText{WITH("training { learning_rate: 1e-5 min_learning_rate: 1e-4 }"),
                "min_learning_rate: 0.0001 is above"},
        BadText{WITH("stage { sft {} training { epochs: 0 } }"), "stage[1].training.epochs: 0"},
        BadText{WITH("stage { ei { reward { kind: ORM } } }"), "reward[0].orm: is required"},
        BadText{WITH("stage { ei { reward { kind: ORM orm: \"orm_1\" } } }"),
                "stage[1].ei.reward[0].orm: 'orm_1' is no orm stage in front"},
        BadText{
            WITH("stage { orm {} } stage { ei { reward { kind: ORM orm: \"orm_1\" dense: true } } "
                 "}"),
            "stage[2].ei.reward[0].dense: is for ppo"},
        BadText{WITH("stage { ppo { reward { orm: \"m/orm\" } } }"), "only kind ORM"},
        BadText{WITH("stage { orm { reward { kind: STEP_MATCH } } }"), "does not tell right"},
        BadText{WITH("stage { orm { held_out: 1 } }"), "stage[1].orm.held_out: 1"},
        BadText{WITH("stage { rcrl { orm: \"m/orm\" } }"), "stage[1].rcrl.selection: ''"},
        BadText{WITH("stage { orm {} } stage { rcrl { selection: \"orm_1\" } }"),
                "stage[2].rcrl.orm: is required"},
        BadText{WITH("stage { orm {} } stage { rcrl { selection: \"orm_1\" orm: \"orm_1\" "
                     "bad_label: \" good\" } }"),
                "bad_label: ' good' is the good label too"},
        BadText{WITH("eval { orm: \"orm_1\" }"), "eval.orm: 'orm_1' is no orm stage"},
        BadText{WITH("actor { count: 0 }"), "actor.count: 0"},
        BadText{WITH("coordinator { listen: \"here\" }"), "must be HOST:PORT"},
        BadText{WITH("keep_last: 0"), "keep_last: 0"}));

TEST(LoadConfig, AMissingFileIsNamed) {
  auto status = LoadConfig("/nowhere/x.textproto", {}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), HasSubstr("/nowhere/x.textproto"));
}

TEST(RcrlConfig, TheThresholdOfARiseIsNothingUnlessItIsSet) {
  auto threshold = [](const std::string& more) {
    auto config =
        Load(WITH("stage { orm {} } stage { rcrl { selection: \"orm_1\" orm: \"orm_1\" ") + more +
             "} }");
    EXPECT_TRUE(config.ok()) << config.status();
    return config.ok() ? config->stage(2).rcrl().threshold() : -1;
  };
  EXPECT_EQ(threshold(""), 0.5);
  EXPECT_EQ(threshold("label_by: RISE"), 0);
  EXPECT_EQ(threshold("label_by: RISE threshold: 0.25"), 0.25);
}

TEST(FormatConfig, ShowsDefaultsAndReadsBackTheSame) {
  auto config = Load(kGood);
  ASSERT_TRUE(config.ok());
  std::string text = FormatConfig(*config);
  EXPECT_THAT(text, AllOf(HasSubstr("lease_ms: 60000"), HasSubstr("learning_rate: 2e-05"),
                          HasSubstr("dedup: EQUATIONS"), HasSubstr("name: \"ei_1\"")));
  EXPECT_THAT(text, Not(HasSubstr("base:")));
  auto again = Load(text);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(FormatConfig(*again), text);
  EXPECT_EQ(again->stage(1).training().epochs(), 4u);
  EXPECT_EQ(again->stage(0).training().epochs(), 2u);
}

TEST(Recipes, AreValidConfigs) {
  int seen = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator("recipes")) {
    if (entry.path().extension() != ".textproto") continue;
    if (entry.path().parent_path() == "recipes/paper") continue;  // bases
    ++seen;
    std::vector<std::string> set = {"data.train=builtin"};
    const bool from_nothing = entry.path().filename().string().rfind("tiny_", 0) == 0;
    if (!from_nothing) set.push_back("model.path=m");
    auto config = LoadConfig(entry.path().string(), set);
    EXPECT_TRUE(config.ok()) << config.status();
  }
  EXPECT_GT(seen, 0);
}

}  // namespace
}  // namespace reckon
