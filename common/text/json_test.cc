#include "common/text/json.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

using ::testing::HasSubstr;

std::string ErrorOf(absl::string_view text, int max_depth = kMaxJsonDepth,
                    size_t max_bytes = kMaxJsonBytes) {
  auto json = ParseJson(text, max_depth, max_bytes);
  if (json.ok()) return "";
  EXPECT_EQ(json.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(json.status().message());
}

TEST(JsonTest, ReadsEveryKindOfValueInItsPlace) {
  std::string text = R"({"a":[1,-2,3.5,"x\u00e9",[],{}],"b":{"c":{"d":null}},"e":true})";
  auto json = ParseJson(text);
  ASSERT_TRUE(json.ok()) << json.status();
  EXPECT_EQ(json->dump(), nlohmann::json::parse(text).dump());
}

TEST(JsonTest, DepthIsRefusedAtTheLimitAndAMillionBracketsAreHarmless) {
  EXPECT_EQ(ErrorOf("[[1]]", 2), "");
  EXPECT_THAT(ErrorOf("[[[1]]]", 2), HasSubstr("more than 2 "));
  EXPECT_THAT(ErrorOf(R"({"a":{"b":[]}})", 2), HasSubstr("more than 2 "));
  EXPECT_THAT(ErrorOf(std::string(1000000, '[')), HasSubstr("more than 64"));
  EXPECT_EQ(ErrorOf(R"(["[[[[[{{{{{"])", 1), "");
}

TEST(JsonTest, AKeyTwiceInOneObjectIsRefusedByName) {
  EXPECT_THAT(ErrorOf(R"({"a":1,"b":2,"a":3})"), HasSubstr("\"a\" appears twice"));
  EXPECT_THAT(ErrorOf(R"([{"x":{"q":1,"q":1}}])"), HasSubstr("\"q\" appears twice"));
  EXPECT_EQ(ErrorOf(R"({"a":{"a":1},"b":{"a":1}})"), "");
}

TEST(JsonTest, MalformedTextIsRefusedWithItsPlaceInPrintableAscii) {
  EXPECT_THAT(ErrorOf("{\"a\":\n 1,}"), HasSubstr("line 2"));
  for (absl::string_view text :
       {"", " ", "{", "[1", "1 2", "{\"a\" 1}", "nul", "\"\xff\"", "\"\xed\xa0\x80\"", "[NaN]",
        "1e999", "// c\n1", "\"a\nb\"", "\"\\ud800\"", "01", "[1,]"}) {
    std::string error = ErrorOf(text);
    EXPECT_NE(error, "") << text;
    for (char c : error) EXPECT_TRUE(c >= 0x20 && c < 0x7f) << error;
  }
  EXPECT_LT(ErrorOf("\"" + std::string(1000000, 'a')).size(), 400);
}

TEST(JsonTest, SizeIsChecked) {
  EXPECT_EQ(ErrorOf("[1]", 64, 3), "");
  EXPECT_THAT(ErrorOf("[1] ", 64, 3), HasSubstr("at most 3"));
}

TEST(JsonTest, GettersGiveValuesOrNameTheField) {
  nlohmann::json json =
      *ParseJson(R"({"s":"t","i":-3,"u":18446744073709551615,"d":1.5,"b":true,"n":null,)"
                 R"("o":{},"a":[1]})");
  EXPECT_EQ(*GetString(json, "s"), "t");
  EXPECT_EQ(*GetInt(json, "i"), -3);
  EXPECT_EQ(*GetDouble(json, "d"), 1.5);
  EXPECT_EQ(*GetDouble(json, "i"), -3.0);
  EXPECT_EQ(*GetBool(json, "b"), true);
  EXPECT_TRUE(GetObject(json, "o").ok());
  EXPECT_EQ((*GetArray(json, "a"))->size(), 1);
  EXPECT_EQ(GetInt(json, "s").status().message(),
            "field \"s\" is string, should be a 64-bit integer");
  EXPECT_EQ(GetString(json, "none").status().message(),
            "field \"none\" is missing, should be a string");
  EXPECT_FALSE(GetInt(json, "u").ok());
  EXPECT_FALSE(GetInt(json, "d").ok());
  EXPECT_FALSE(GetBool(json, "n").ok());
  EXPECT_FALSE(GetArray(json, "o").ok());
  EXPECT_FALSE(GetObject(json, "a").ok());
  EXPECT_THAT(GetString(json["a"], "s").status().message(), HasSubstr("not an object"));
}

TEST(JsonTest, DefaultsStandForAbsentAndNullOnly) {
  nlohmann::json json = *ParseJson(R"({"i":7,"n":null,"s":"t"})");
  EXPECT_EQ(*GetIntOr(json, "i", 1), 7);
  EXPECT_EQ(*GetIntOr(json, "n", 1), 1);
  EXPECT_EQ(*GetDoubleOr(json, "none", 0.5), 0.5);
  EXPECT_EQ(*GetStringOr(json, "none", "x"), "x");
  EXPECT_EQ(*GetBoolOr(json, "none", true), true);
  EXPECT_FALSE(GetIntOr(json, "s", 1).ok());
  EXPECT_FALSE(GetIntOr(nlohmann::json(3), "s", 1).ok());
}

}  // namespace
}  // namespace reckon
