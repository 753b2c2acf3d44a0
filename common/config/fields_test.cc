#include "common/config/fields.h"

#include <map>
#include <string>

#include "common/config/config.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

using ::testing::HasSubstr;

RunConfig Parse(const std::string& text) {
  absl::StatusOr<RunConfig> config = ParseConfig("c", text);
  EXPECT_TRUE(config.ok()) << config.status();
  return *config;
}

TEST(MergeOver, SetFieldsWinMessagesMergeAndListsReplace) {
  RunConfig config = Parse("model { path: 'a' compute: FP32 } stage { sft {} } stage { ei {} }");
  MergeOver(Parse("model { path: 'b' } stage { orm {} }"), &config);
  EXPECT_EQ(config.model().path(), "b");
  EXPECT_EQ(config.model().compute(), ModelSettings::FP32);
  ASSERT_EQ(config.stage_size(), 1);
  EXPECT_TRUE(config.stage(0).has_orm());
}

TEST(FillDefaults, SetsEverythingButOtherKindsAndStringsWithoutADefault) {
  RunConfig config = Parse("stage { ppo {} }");
  FillDefaults(&config);
  EXPECT_TRUE(config.coordinator().has_lease_ms());
  EXPECT_FALSE(config.model().has_path());
  EXPECT_TRUE(config.stage(0).ppo().kl().has_coef());
  EXPECT_FALSE(config.stage(0).has_ei());
}

TEST(VisitTexts, GivesPathKindAndValueOfEveryStringOfTheStagesThatAreThere) {
  std::map<std::string, TextField> found;
  const RunConfig config =
      Parse("stage { ei { reward { kind: ORM orm: 'a/b' } } } stage { rcrl {} }");
  ASSERT_TRUE(VisitTexts(config, "", [&](const TextField& field) {
                found[field.path] = field;
                return absl::OkStatus();
              }).ok());
  EXPECT_EQ(found["name"].value, "run") << "the default";
  EXPECT_EQ(found["data.train"].kind, Text::PATH);
  EXPECT_TRUE(found["data.question_key"].required);
  EXPECT_EQ(found["stage[0].ei.reward[0].orm"].kind, Text::REWARD_MODEL);
  EXPECT_EQ(found["stage[0].ei.reward[0].orm"].value, "a/b");
  EXPECT_EQ(found["stage[1].rcrl.selection"].kind, Text::SELECTION);
  EXPECT_EQ(found["stage[1].rcrl.good_label"].kind, Text::TOKEN);
  EXPECT_EQ(found.count("stage[0].rcrl.selection"), 0u);
}

TEST(VisitTexts, EndsWithTheFirstError) {
  int visited = 0;
  const absl::Status status = VisitTexts(RunConfig(), "", [&](const TextField&) {
    ++visited;
    return absl::InternalError("no");
  });
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  EXPECT_EQ(visited, 1);
}

TEST(EditTexts, SetsWhatChangesAndNothingElse) {
  RunConfig config = Parse("model { path: 'm' } eval { orm: 'x/y' }");
  EditTexts(&config, [](Text::Kind kind, const std::string& value) {
    return kind == Text::PATH || kind == Text::REWARD_MODEL ? "/" + value : value;
  });
  EXPECT_EQ(config.model().path(), "/m");
  EXPECT_EQ(config.output_dir(), "/runs") << "a default that changes is set";
  EXPECT_EQ(config.eval().orm(), "/x/y");
  EXPECT_FALSE(config.has_name());
}

TEST(SuggestField, NamesTheNearestFieldOrAllOfThem) {
  const auto* type = TrainingSettings::descriptor();
  EXPECT_EQ(SuggestField(*type, "learning_rat"), "; did you mean 'learning_rate'?");
  EXPECT_THAT(SuggestField(*type, "qqqqqqqqqq"), HasSubstr("; it has learning_rate, "));
  EXPECT_EQ(SuggestField(*EvalStage::descriptor(), "x"), "; it has no fields");
}

}  // namespace
}  // namespace reckon
