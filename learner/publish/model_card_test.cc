#include "learner/publish/model_card.h"

#include <string>

#include "common/config/config.h"
#include "common/testing/temp_folder.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kBaseCard[] = R"(---
license: other
license_name: my-licence
language:
- en
- fr
datasets:
- somebody/data
base_model: somebody/first
---
# A model
)";

ModelCard MakeCard() {
  ModelCard card;
  const auto config =
      ParseConfig("run", R"(name: "my_run" seed: 3 model { path: "/home/me/models/base" }
                data { train: "/home/me/train.jsonl" eval: "/home/me/test.jsonl" }
                stage { name: "sft_1" sft {} } stage { name: "ei_1" ei { rounds: 7 } }
                stage { name: "ppo_1" ppo {} })");
  EXPECT_TRUE(config.ok()) << config.status();
  card.config = *config;
  card.name = "ei_1_round_2";
  card.version = 3;
  card.stage = 1;
  card.base_card = kBaseCard;
  card.base_id = "somebody/base-1B";
  RunInputs::File* file = card.inputs.add_files();
  file->set_name("data.train");
  file->set_sha256("abc123");
  file = card.inputs.add_files();
  file->set_name("model.path");
  file->set_sha256(std::string(64, 'e'));
  card.samples = 1200;
  card.tokens = 34567;
  for (const std::string name : {"start", "ei_1_round_2"}) {
    Evaluation evaluation;
    evaluation.set_name(name);
    evaluation.set_version(name == card.name ? 3 : 0);
    evaluation.set_problems(250);
    evaluation.set_samples(4);
    evaluation.set_temperature(0.7);
    evaluation.mutable_maj_at_1()->set_value(0.25);
    evaluation.mutable_maj_at_1()->set_low(0.2);
    evaluation.mutable_maj_at_1()->set_high(0.3);
    evaluation.mutable_pass_at_k()->set_value(0.5);
    card.evaluations.push_back(evaluation);
  }
  return card;
}

TEST(ModelCardTest, SaysHowTheModelWasMade) {
  const std::string text = FormatModelCard(MakeCard());
  for (const char* part :
       {"---\nlibrary_name: transformers\npipeline_tag: text-generation\n",
        "license: other\nlicense_name: my-licence\nlanguage:\n- en\n- fr\n",
        "base_model: somebody/base-1B\nbase_model_relation: finetune\n", "- reckon\n", "- ei\n",
        "name: \"maj@1\"\n      value: 0.2500\n", "name: \"pass@4\"\n      value: 0.5000\n",
        "# my_run/ei_1_round_2\n", "| from | somebody/base-1B (SHA-256 `eeee", "eeee`) |\n",
        "sft_1: supervised fine-tuning on worked solutions; ei_1: expert iteration |",
        "| training data | train.jsonl (SHA-256 `abc123`) |", "1200 samples, 34567 tokens",
        "| this model | 250 | 25.0 % (20.0 to 30.0) | K = 4 at temperature 0.7 | - | 50.0 %",
        "| start | 250 |", "reckon train config.textproto", "rounds: 7"}) {
    EXPECT_THAT(text, HasSubstr(part));
  }
  for (const char* part : {"/home/me", "somebody/data", "ppo", "somebody/first"}) {
    EXPECT_THAT(text, Not(HasSubstr(part)));
  }
  EXPECT_EQ(text, FormatModelCard(MakeCard()));
  EXPECT_TRUE(IsModelCard(text));
  EXPECT_FALSE(IsModelCard(kBaseCard));
}

TEST(ModelCardTest, AnAdaptersCardIsForPeft) {
  ModelCard card = MakeCard();
  card.kind = ModelCard::Kind::kAdapter;
  const std::string text = FormatModelCard(card);
  EXPECT_THAT(text, HasSubstr("library_name: peft\n"));
  EXPECT_THAT(text, HasSubstr("base_model_relation: adapter\n"));
}

TEST(ModelCardTest, BeforeAnEvaluationThereIsNoFigure) {
  ModelCard card = MakeCard();
  card.evaluations.pop_back();
  const std::string text = FormatModelCard(card);
  EXPECT_THAT(text, Not(HasSubstr("model-index")));
  EXPECT_THAT(text, HasSubstr("| start | 250 |"));
}

TEST(ModelCardTest, TheNameOfAHub) {
  EXPECT_EQ(HubName(R"({"_name_or_path": "a/b-1.5"})", kBaseCard), "a/b-1.5");
  EXPECT_EQ(HubName(R"({"_name_or_path": "/home/me/model"})", kBaseCard), "somebody/first");
  EXPECT_EQ(HubName(R"({"_name_or_path": "../model"})", ""), "");
  EXPECT_EQ(HubName("{}", "# no front matter\nbase_model: a/b\n"), "");
  EXPECT_EQ(HubName("not json", ""), "");
}

}  // namespace
}  // namespace reckon
