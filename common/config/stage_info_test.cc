#include "common/config/stage_info.h"

#include "google/protobuf/text_format.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

Stage ParseStage(const std::string& text) {
  Stage stage;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &stage)) << text;
  return stage;
}

TEST(StageInfo, EveryKindSaysWhatItDoes) {
  const auto* kinds = Stage::descriptor()->FindOneofByName("kind");
  for (int i = 0; i < kinds->field_count(); ++i) {
    const StageKind& kind = kinds->field(i)->message_type()->options().GetExtension(stage_kind);
    EXPECT_FALSE(kind.title().empty()) << kinds->field(i)->name();
  }
}

TEST(StageInfo, ReadsTheKindAndWhatKindsShare) {
  const Stage stage = ParseStage(
      "ei { rounds: 3 prompts: 10 sampling { top_k: 5 } reward { weight: 2 } reward { kind: ORM } "
      "}");
  const StageInfo info(stage);
  EXPECT_EQ(info.kind(), "ei");
  EXPECT_TRUE(info.trains());
  EXPECT_FALSE(info.traits().online());
  EXPECT_EQ(info.Rounds(), 3u);
  EXPECT_EQ(info.Count("prompts"), 10u);
  EXPECT_EQ(info.Count("samples_per_prompt"), 4u) << "the default";
  EXPECT_EQ(info.Count("eval_every"), std::nullopt);
  ASSERT_NE(info.sampling(), nullptr);
  EXPECT_EQ(info.sampling()->top_k(), 5u);
  ASSERT_EQ(info.rewards().size(), 2u);
  EXPECT_EQ(info.rewards()[0]->weight(), 2);
  EXPECT_NE(info.As<EiSettings>(), nullptr);
  EXPECT_EQ(info.As<PpoSettings>(), nullptr);
  EXPECT_EQ(info.Part<PpoSettings::Kl>(), nullptr);
}

TEST(StageInfo, FindsTheRewardModelsThatAKindUses) {
  const Stage labels = ParseStage("rcrl { selection: 'ei_1' orm: 'orm_1' }");
  EXPECT_EQ(StageInfo(labels).reward_models(), std::vector<std::string>{"orm_1"});
  const Stage rewards = ParseStage(
      "ppo { reward {} reward { kind: ORM orm: 'orm_1' } reward { kind: ORM orm: '/a/orm' } }");
  EXPECT_EQ(StageInfo(rewards).reward_models(), (std::vector<std::string>{"orm_1", "/a/orm"}));
  const Stage none = ParseStage("ppo {}");
  EXPECT_TRUE(StageInfo(none).reward_models().empty());
}

TEST(StageInfo, APartThatIsNotSetHasItsDefaults) {
  const Stage stage = ParseStage("ppo { steps: 7 }");
  const StageInfo info(stage);
  EXPECT_TRUE(info.traits().online());
  EXPECT_EQ(info.Rounds(), 7u);
  ASSERT_NE(info.Part<PpoSettings::Kl>(), nullptr);
  EXPECT_EQ(info.Part<PpoSettings::Kl>()->coef(), 0.05);
}

TEST(StageInfo, AStageWithoutAKindDoesNothing) {
  const Stage stage = ParseStage("name: 'x'");
  const StageInfo info(stage);
  EXPECT_EQ(info.kind(), "");
  EXPECT_FALSE(info.trains());
  EXPECT_EQ(info.sampling(), nullptr);
}

TEST(StageInfo, TheKindsWithATraitAreListedForErrors) {
  EXPECT_EQ(KindsWith([](const StageKind& kind) { return kind.keeps_selection(); }), "ei or orm");
  EXPECT_EQ(KindsWith([](const StageKind& kind) { return kind.creates_model(); }), "init");
}

}  // namespace
}  // namespace reckon
