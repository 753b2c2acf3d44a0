#include "common/text/message_json.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/checkpoint.pb.h"
#include "proto/report.pb.h"

namespace reckon {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(MessageJsonTest, HasTheKeysOfTheFileInOrderAndDefaultsToo) {
  Evaluation evaluation;
  evaluation.set_version(3);
  evaluation.mutable_maj_at_1()->set_value(0.1);
  for (const char* verdict : {"wrong", "correct", "truncated", "unparsable"}) {
    (*evaluation.mutable_greedy_verdicts())[verdict] = 2;
  }
  const std::string json = MessageToJson(evaluation);
  EXPECT_THAT(json, HasSubstr("{\n \"index\": 0,\n \"name\": \"\",\n \"version\": 3,\n"));
  EXPECT_THAT(json, HasSubstr("\"maj@1\": {\n  \"value\": 0.1,\n  \"low\": 0,\n"));
  EXPECT_THAT(json, HasSubstr("{\n  \"correct\": 2,\n  \"truncated\": 2,\n  \"unparsable\": 2,\n  "
                              "\"wrong\": 2\n }"));
  EXPECT_THAT(json, Not(HasSubstr("rerank@K")));
  EXPECT_EQ(json.back(), '\n');
}

TEST(MessageJsonTest, ReadsBackEveryNumberExactly) {
  Cursor cursor;
  cursor.set_version(~uint64_t{0});
  cursor.set_kl_coef(1e-17 / 3);
  cursor.set_adapted_version(0);
  cursor.set_phase(Cursor::TRAINED);
  StoredRewardHead head;
  for (float value : {0.1f, -1e-38f, 3.4e38f, 1 / 3.0f}) head.add_weight(value);
  Cursor read;
  StoredRewardHead read_head;
  ASSERT_TRUE(MessageFromJson(MessageToJson(cursor), &read).ok());
  ASSERT_TRUE(MessageFromJson(MessageToJson(head), &read_head).ok());
  EXPECT_EQ(read.SerializeAsString(), cursor.SerializeAsString());
  EXPECT_TRUE(read.has_adapted_version());
  EXPECT_EQ(read_head.SerializeAsString(), head.SerializeAsString());
}

TEST(MessageJsonTest, ReplacesTheMessageAndIgnoresUnknownKeys) {
  Progress progress;
  progress.set_unit("steps");
  ASSERT_TRUE(MessageFromJson(R"({"phase": "a", "later": [1]})", &progress).ok());
  EXPECT_EQ(progress.phase(), "a");
  EXPECT_EQ(progress.unit(), "");
}

TEST(MessageJsonTest, RefusesWhatIsNotSuchAMessage) {
  for (const char* text : {"", "{", "[]", "3", "{\"phase\": \"a\",}", "{'phase': 'a'}",
                           "{\"phase\": 1}", "{\"done\": \"x\"}", "{\"lines\": {}}", "{} {}"}) {
    Progress progress;
    const absl::Status status = MessageFromJson(text, &progress);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(std::string(status.message()), Not(HasSubstr("\n"))) << text;
  }
}

}  // namespace
}  // namespace reckon
