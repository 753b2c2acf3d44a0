#include "common/text/end_tokens.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class EndTokensTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto tokenizer = Tokenizer::Create(R"({"added_tokens": [
        {"id": 3, "content": "<e>", "special": true, "single_word": false, "lstrip": false,
         "rstrip": false, "normalized": false},
        {"id": 4, "content": "<turn>", "special": true, "single_word": false, "lstrip": false,
         "rstrip": false, "normalized": false}],
        "normalizer": null, "post_processor": null,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
         "use_regex": true},
        "decoder": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
         "use_regex": true},
        "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "c": 2}, "merges": []}})");
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
    tokenizer_ = *std::move(tokenizer);
  }
  absl::StatusOr<EndTokens> Find(const std::string& generation, const std::string& config,
                                 const std::string& tokenizer_config) {
    FolderTexts model;
    model.set_generation_config_json(generation);
    model.set_config_json(config);
    model.set_tokenizer_config_json(tokenizer_config);
    return FindEndTokens(model, *tokenizer_);
  }

  std::unique_ptr<Tokenizer> tokenizer_;
};

TEST_F(EndTokensTest, AreThoseOfAllFilesInTransformersOrder) {
  const auto all =
      Find(R"({"eos_token_id": [4, 2]})", R"({"eos_token_id": 1})", R"({"eos_token": "<e>"})");
  ASSERT_TRUE(all.ok()) << all.status();
  EXPECT_THAT(all->ids, ElementsAre(4, 2, 1, 3));
  EXPECT_EQ(all->of_tokenizer, 3);
  EXPECT_THAT(
      Find("", R"({"eos_token_id": [3, 4, 3]})", R"({"eos_token": {"content": "<turn>"}})")->ids,
      ElementsAre(3, 4));
  EXPECT_THAT(Find("{}", R"({"eos_token_id": null})", "")->ids, ElementsAre());
}

TEST_F(EndTokensTest, WhatTheTokenizerLacksIsNoEnd) {
  const auto ends =
      Find(R"({"eos_token_id": [99, 4]})", R"({"eos_token_id": -1})", R"({"eos_token": "</s>"})");
  ASSERT_TRUE(ends.ok()) << ends.status();
  EXPECT_THAT(ends->ids, ElementsAre(4));
  EXPECT_FALSE(ends->of_tokenizer.has_value());
}

TEST_F(EndTokensTest, MalformedFilesAreNamed) {
  EXPECT_THAT(Find(R"({"eos_token_id": "</s>"})", "{}", "").status().ToString(),
              HasSubstr("generation_config.json: eos_token_id: must be a token id"));
  EXPECT_THAT(Find("", R"({"eos_token_id": [1.5]})", "").status().ToString(),
              HasSubstr("config.json: eos_token_id: must be a token id"));
  EXPECT_THAT(Find("", "{}", "[").status().ToString(), HasSubstr("tokenizer_config.json: "));
}

}  // namespace
}  // namespace reckon
