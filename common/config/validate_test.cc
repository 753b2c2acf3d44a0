#include "common/config/validate.h"

#include <string>
#include <utility>

#include "common/config/config.h"
#include "common/config/resolve.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

RunConfig Resolved(const std::string& text) {
  absl::StatusOr<RunConfig> config = ParseConfig("c", text);
  EXPECT_TRUE(config.ok()) << config.status();
  ResolveConfig(&*config);
  return *config;
}

// A ppo stage on its own, with a model that the run creates.
std::string PpoText(const std::string& more) {
  return "data { train: \"builtin\" } stage { init {} } stage { ppo { " + more + " } }";
}

// A run with these settings of data.
std::string DataText(const std::string& data) {
  return "model { path: \"m\" } stage { sft {} } data { " + data + " }";
}

TEST(ResolveConfig, DefaultsOfPpoAreThePapersAndTheRewardIsTheFinalAnswer) {
  const RunConfig config = Resolved(PpoText(""));
  EXPECT_TRUE(ValidateConfig(config).ok());
  const PpoSettings& ppo = config.stage(1).ppo();
  EXPECT_EQ(ppo.kl().coef(), 0.05);
  EXPECT_TRUE(ppo.advantage().whiten());
  ASSERT_EQ(ppo.reward_size(), 1);
  EXPECT_TRUE(config.stage(1).has_training());
  const RunConfig grpo = Resolved(PpoText("advantage { estimator: GRPO }"));
  EXPECT_TRUE(ValidateConfig(grpo).ok());
  EXPECT_FALSE(grpo.stage(1).ppo().advantage().whiten());
}

TEST(ResolveConfig, RewardsWithoutAKindCompareWhatAnAnswerIs) {
  const RunConfig text = Resolved(DataText("train: 'builtin' answers: TEXT"));
  EXPECT_TRUE(ValidateConfig(text).ok()) << ValidateConfig(text);
  EXPECT_EQ(text.eval().reward().kind(), RewardSpec::ANSWER_TEXT);
}

TEST(ResolveConfig, RanksOfAMachineDivideAModelUnlessANumberIsSet) {
  const auto resolved = [](const std::string& learner) {
    return Resolved(DataText("train: 'builtin'") +
                    " resources { learner_ranks: 12 learner_nodes: 3 } learner { " + learner +
                    " }");
  };
  EXPECT_EQ(resolved("sharding: HYBRID").learner().shard_ranks(), 4u);
  EXPECT_EQ(resolved("sharding: HYBRID shard_ranks: 2").learner().shard_ranks(), 2u);
  EXPECT_TRUE(ValidateConfig(resolved("sharding: HYBRID")).ok());
  EXPECT_FALSE(resolved("sharding: FULL").learner().has_shard_ranks());
}

TEST(ResolveConfig, AMixtureIsValid) {
  const RunConfig mixture = Resolved(
      DataText("set { name: 'a' train: 'x' share: 2 } set { name: 'b' train: 'builtin' share: 1 } "
               "set { name: 'c' eval: 'y' }"));
  EXPECT_TRUE(ValidateConfig(mixture).ok()) << ValidateConfig(mixture);
  EXPECT_EQ(mixture.data().set(1).eval(), "builtin");
}

TEST(ResolveConfig, TheThresholdOfARiseIsZeroUnlessItIsSet) {
  auto threshold = [](const std::string& more) {
    return Resolved("stage { rcrl { " + more + " } }").stage(0).rcrl().threshold();
  };
  EXPECT_EQ(threshold(""), 0.5);
  EXPECT_EQ(threshold("label_by: RISE"), 0);
  EXPECT_EQ(threshold("label_by: RISE threshold: 0.25"), 0.25);
}

struct BadConfig {
  std::string text;
  const char* says;
};
class ValidateTest : public ::testing::TestWithParam<BadConfig> {};

TEST_P(ValidateTest, ErrorsNameTheKeyAndTheFixInOneLine) {
  const absl::Status status = ValidateConfig(Resolved(GetParam().text));
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr(GetParam().says), Not(HasSubstr("\n"))));
}

INSTANTIATE_TEST_SUITE_P(
    Ppo, ValidateTest,
    ::testing::Values(
        BadConfig{PpoText("advantage { estimator: GRPO } samples_per_prompt: 1"),
                  "ppo.samples_per_prompt: must be at least 2 with advantage.estimator GRPO"},
        BadConfig{PpoText("advantage { estimator: RLOO } critic { layers: 2 }"),
                  "ppo.critic.layers: 2 needs a critic"},
        BadConfig{PpoText("sampling { top_p: 0.9 }"), "ppo.sampling.top_p: the learner cannot"},
        BadConfig{PpoText("sampling { top_k: 5 }"), "ppo.sampling.top_k: the learner cannot"},
        BadConfig{PpoText("sampling { temperature: 0 }"),
                  "ppo.sampling.temperature: 0 leaves nothing to explore"},
        BadConfig{PpoText("sampling { max_new_tokens: 0 }"),
                  "ppo.sampling.max_new_tokens: 0 samples nothing"},
        BadConfig{PpoText("kl { coef: 0 target: 6 }"), "ppo.kl.target: 6 steers kl.coef"},
        BadConfig{PpoText("max_staleness: 1 clip { importance_cap: 0 }"),
                  "ppo.clip.importance_cap: must be above 0"},
        BadConfig{PpoText("clip { ratio_c: 0.5 }"),
                  "stage[1].ppo.clip.ratio_c is 0.5; allowed: 1 to 1000000, or 0"},
        BadConfig{PpoText("clip { ratio_low: 1.5 }"), "ppo.clip.ratio_low is 1.5; allowed: 0 to 1"},
        BadConfig{PpoText("advantage { gamma: nan }"), "ppo.advantage.gamma is nan"},
        BadConfig{PpoText("steps: 0"), "ppo.steps is 0; allowed: 1 to 10000000"},
        BadConfig{PpoText("backtracking { from: 1.5 }"), "ppo.backtracking.from is 1.5"},
        BadConfig{PpoText("replay { temperature: 0 }"), "ppo.replay.temperature is 0"},
        BadConfig{PpoText("replay { ratio: 0.5 } max_staleness: 1"),
                  "ppo.replay.ratio: 0.5 chooses prompts by"},
        BadConfig{PpoText("filter { max_num_gen_batches: 0 }"),
                  "ppo.filter.max_num_gen_batches is 0"},
        BadConfig{PpoText("samples_per_prompt: 1 filter { groups: true }"),
                  "ppo.filter.groups: true leaves out prompts whose samples"},
        BadConfig{PpoText("filter { max_num_gen_batches: 3 }"),
                  "ppo.filter.max_num_gen_batches: 3 replaces groups that filter.groups"},
        BadConfig{PpoText("filter { groups: true max_num_gen_batches: 3 } max_staleness: 1"),
                  "ppo.filter.max_num_gen_batches: 3 needs max_staleness: 0"},
        BadConfig{PpoText("overlong { buffer_len: 9 } sampling { max_new_tokens: 8 }"),
                  "ppo.overlong.buffer_len: 9 is above sampling.max_new_tokens 8"}));

#define WITH(more) R"(model { path: "m" } data { train: "t" eval: "e" } stage { sft {} } )" more

INSTANTIATE_TEST_SUITE_P(
    Init, ValidateTest,
    ::testing::Values(
        BadConfig{"model { path: \"m\" } " + PpoText(""),
                  "stage[0].init creates another; remove one of them"},
        BadConfig{WITH("stage { init {} }"), "stage[1].init: must be the first stage"},
        BadConfig{
            "data { train: \"builtin\" } stage { init { hidden_size: 100 } } stage { sft {} }",
            "must be a multiple of 2 x"}));

INSTANTIATE_TEST_SUITE_P(
    Run, ValidateTest,
    ::testing::Values(
        BadConfig{"", "model.path: is required"},
        BadConfig{"model { path: \"m\" }", "data.train: is required"},
        BadConfig{"model { path: \"m\" } data { train: \"t\" }", "data.eval: is required"},
        BadConfig{"model { path: \"m\" } data { train: \"builtin\" }", "stage: is required"},
        BadConfig{DataText("set { name: 'a' train: 'x' } eval: 'y'"),
                  "data.eval: is one set, and data.set lists several"},
        BadConfig{DataText("set { train: 'x' }"), "data.set[0].name: must not be empty"},
        BadConfig{DataText("set { name: 'a' train: 'x' } set { name: 'a' train: 'y' }"),
                  "data.set[1].name: 'a' is the name of another set"},
        BadConfig{DataText("set { name: 'a' }"), "data.set[0]: has no data"},
        BadConfig{DataText("set { name: 'a' train: 'x' share: 2 } set { name: 'b' train: 'y' }"),
                  "data.set[1].share: give a share to all sets that have a train, or to none"},
        BadConfig{DataText("set { name: 'a' eval: 'x' } set { name: 'b' train: 'y' share: 1 } "
                           "set { name: 'c' train: 'z' }"),
                  "data.set[2].share: give a share to all sets that have a train"},
        BadConfig{DataText("set { name: 'a' train: 'x' share: -1 }"), "data.set[0].share is -1"},
        BadConfig{DataText("set { name: 'a' train: 'x' }"),
                  "data.set: no set has problems to evaluate"},
        BadConfig{DataText("set { name: 'a' eval: 'x' }"),
                  "data.set: no set has problems to train"},
        BadConfig{WITH("eval { reward { kind: ANSWER_TEXT } }"),
                  "eval.reward.kind: ANSWER_TEXT compares texts, and data.answers is NUMBERS"},
        BadConfig{DataText("train: 'builtin' answers: TEXT") +
                      " eval { reward { kind: EXACT_MATCH_STRICT } }",
                  "use ANSWER_TEXT, or data.answers: NUMBERS"},
        BadConfig{WITH("stage { }"), "stage[1]: has no kind; add sft, ei"},
        BadConfig{WITH("name: \"../x\""), "name: '../x' must be"},
        BadConfig{WITH("output_dir: \"\""), "output_dir: is required"},
        BadConfig{WITH("stage { name: \"a/b\" sft {} }"), "stage[1].name: 'a/b' must be"},
        BadConfig{WITH("stage { name: \"sft_1\" sft {} }"),
                  "stage[1].name: 'sft_1' is the name of an earlier stage"},
        BadConfig{WITH("best_metric: \"maj@4\""), "best_metric: 'maj@4' is not one of maj@1"},
        BadConfig{WITH("best_metric: \"\""), "best_metric: must not be empty"},
        BadConfig{WITH("best_metric: \"pass@K\" eval { samples: 0 }"),
                  "best_metric: pass@K needs samples"},
        BadConfig{WITH("best_metric: \"rerank@K\""), "best_metric: rerank@K needs a reward model"},
        BadConfig{WITH("eval { samples: 5000 }"), "eval.samples is 5000; allowed: at most 4096"},
        BadConfig{WITH("eval { temperature: -1 }"), "eval.temperature is -1; allowed: 0 to 100"},
        BadConfig{WITH("eval { temperature: nan }"), "eval.temperature is nan"},
        BadConfig{WITH("eval { temperature: 0 }"), "eval.temperature: 0 makes"},
        BadConfig{WITH("eval { reward { kind: STEP_MATCH } }"), "does not tell right from wrong"},
        BadConfig{
            WITH("learner { sharding: HYBRID shard_ranks: 2 } resources { learner_ranks: 3 }"),
            "learner.shard_ranks: 2 does not divide resources.learner_ranks 3"},
        BadConfig{WITH("training { batch_size: 0 }"), "training.batch_size is 0"},
        BadConfig{WITH("training { learning_rate: inf }"), "training.learning_rate is inf"},
        BadConfig{WITH("training { learning_rate: 1e-5 min_learning_rate: 1e-4 }"),
                  "min_learning_rate: 0.0001 is above"},
        BadConfig{WITH("stage { sft {} training { epochs: 0 } }"), "stage[1].training.epochs is 0"},
        BadConfig{WITH("resources { actors: 0 }"), "resources.actors is 0"},
        BadConfig{WITH("coordinator { listen: \"here\" }"), "must be HOST:PORT"},
        BadConfig{WITH("coordinator { listen: \"127.0.0.1:80000\" }"), "0 to 65535"},
        BadConfig{WITH("keep_last: 0"), "keep_last is 0"}));

INSTANTIATE_TEST_SUITE_P(
    Stage, ValidateTest,
    ::testing::Values(
        BadConfig{WITH("stage { ei { sampling { top_p: 0 } } }"),
                  "stage[1].ei.sampling.top_p is 0; allowed: above 0, at most 1"},
        BadConfig{WITH("stage { ei { sampling { top_p: 1.1 } } }"), "top_p is 1.1"},
        BadConfig{WITH("stage { ei { rounds: 0 } }"),
                  "stage[1].ei.rounds is 0; allowed: 1 to 1000"},
        BadConfig{WITH("stage { ei { sampling { temperature: 0 } } }"), "samples_per_prompt to 1"},
        BadConfig{R"(model { path: "m" } data { train: "t" eval: "e" system_prompt: "x" }
                     stage { sft {} })",
                  "data.system_prompt: is for data.format CHAT"},
        BadConfig{R"(model { path: "m" } data { train: "t" eval: "e" chat_template_kwargs: "{}" }
                     stage { sft {} })",
                  "data.chat_template_kwargs: is for data.format CHAT"},
        BadConfig{WITH("stage { ei { reward { kind: ORM } } }"), "reward[0].orm: is required"},
        BadConfig{WITH("stage { ei { reward {} reward { name: \"exact_match_strict\" } } }"),
                  "reward[1].name: 'exact_match_strict' is the name of an earlier reward"},
        BadConfig{WITH("stage { ei { reward { kind: ORM orm: \"orm_1\" } } }"),
                  "stage[1].ei.reward[0].orm: 'orm_1' is not the name of an earlier orm stage"},
        BadConfig{WITH("stage { ei { reward { kind: ORM orm: \"orm_1\" } } } stage { orm {} }"),
                  "stage[1].ei.reward[0].orm: 'orm_1' is not the name of an earlier orm stage"},
        BadConfig{
            WITH("stage { orm {} } stage { ei { reward { kind: ORM orm: \"orm_1\" dense: true } } "
                 "}"),
            "stage[2].ei.reward[0].dense: only online stages (ppo)"},
        BadConfig{WITH("stage { ppo { reward { orm: \"m/orm\" } } }"), "kind ORM only"},
        BadConfig{WITH("stage { orm { reward { kind: STEP_MATCH } } }"), "does not tell right"},
        BadConfig{WITH("stage { orm { held_out: 1 } }"), "stage[1].orm.held_out is 1"},
        BadConfig{
            WITH("stage { rcrl { orm: \"m/orm\" } }"),
            "stage[1].rcrl.selection: is required; set it to the name of an earlier ei or orm"},
        BadConfig{WITH("stage { rcrl { orm: \"m/orm\" selection: \"sft_1\" } }"),
                  "stage[1].rcrl.selection: 'sft_1' is not the name of an earlier ei or orm stage"},
        BadConfig{WITH("stage { orm {} } stage { rcrl { selection: \"orm_1\" } }"),
                  "stage[2].rcrl.orm: is required"},
        BadConfig{WITH("stage { orm {} } stage { rcrl { selection: \"orm_1\" orm: \"orm_1\" "
                       "bad_label: \" good\" } }"),
                  "bad_label: ' good' is good_label as well"},
        BadConfig{WITH("eval { orm: \"orm_1\" }"), "eval.orm: 'orm_1' is not the name of"}));

TEST(ValidateConfig, EvaluationsMayUseARewardModelOfAnyStage) {
  EXPECT_TRUE(ValidateConfig(Resolved(WITH("stage { orm {} } eval { orm: \"orm_1\" }"))).ok());
  EXPECT_TRUE(ValidateConfig(Resolved(WITH("eval { orm: \"runs/a/orm/orm_1\" }"))).ok());
}

}  // namespace
}  // namespace reckon
