#include "learner/publish/exported_texts.h"

#include <nlohmann/json.hpp>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

using nlohmann::json;
using testing::HasSubstr;

class ExportedTextsTest : public testing::Test {
 protected:
  void Set(const TrainedFacts& facts) {
    const absl::Status set = SetTrainedFacts(facts, &texts_, &side_files_);
    EXPECT_TRUE(set.ok()) << set;
  }
  json Config() const { return json::parse(texts_.config_json()); }
  json Generation() const { return json::parse(texts_.generation_config_json()); }

  // Qwen2.5's base model in small: 3 is <|endoftext|>, 5 is <|im_end|>.
  FolderTexts texts_ = [] {
    FolderTexts out;
    out.set_config_json(R"({"eos_token_id": 3, "torch_dtype": "float16", "bos_token_id": 3})");
    out.set_generation_config_json(R"({"eos_token_id": 3, "max_new_tokens": 2048})");
    out.set_tokenizer_config_json(R"({"z": 1, "eos_token": "<|endoftext|>", "a": 2})");
    return out;
  }();
  SideFiles side_files_;
  const TrainedFacts facts_ = {"bfloat16", {5, 3}, "<|im_end|>"};
};

TEST_F(ExportedTextsTest, TheTrainedEndIsInEveryFile) {
  side_files_["special_tokens_map.json"] = R"({"eos_token": {"content": "<|endoftext|>"}})";
  Set(facts_);
  EXPECT_EQ(Config(),
            json({{"eos_token_id", 5}, {"torch_dtype", "bfloat16"}, {"bos_token_id", 3}}));
  EXPECT_EQ(Generation(), json({{"eos_token_id", {5, 3}}, {"max_new_tokens", 2048}}));
  EXPECT_EQ(texts_.tokenizer_config_json(),
            "{\n  \"z\": 1,\n  \"eos_token\": \"<|im_end|>\",\n  \"a\": 2\n}\n");
  EXPECT_EQ(json::parse(side_files_["special_tokens_map.json"])["eos_token"]["content"],
            "<|im_end|>");
  const FolderTexts once = texts_;
  Set(facts_);
  EXPECT_EQ(texts_.SerializeAsString(), once.SerializeAsString());
}

TEST_F(ExportedTextsTest, WhatIsTrueAlreadyStaysByteForByte) {
  texts_.set_config_json(R"({"eos_token_id": [1, 5], "dtype" : "bfloat16"})");
  texts_.set_generation_config_json(R"({"eos_token_id" : [3, 5]})");
  texts_.set_tokenizer_config_json(R"({"eos_token": {"content" : "<|im_end|>"}})");
  const FolderTexts before = texts_;
  Set(facts_);
  EXPECT_EQ(texts_.SerializeAsString(), before.SerializeAsString());
}

TEST_F(ExportedTextsTest, AListOfEndsKeepsTheOthers) {
  texts_.set_config_json(R"({"eos_token_id": [1, 3]})");
  texts_.clear_generation_config_json();
  Set(facts_);
  EXPECT_EQ(Config(), json({{"eos_token_id", {5, 1, 3}}, {"torch_dtype", "bfloat16"}}));
  EXPECT_EQ(Generation()["eos_token_id"], json({5, 1, 3}));
}

TEST_F(ExportedTextsTest, AGenerationConfigWithoutAnEndGetsAllThatEndAText) {
  texts_.set_generation_config_json(R"({"max_new_tokens": 7})");
  Set(facts_);
  EXPECT_EQ(Generation(), json({{"max_new_tokens", 7}, {"eos_token_id", {5, 3}}}));
}

TEST_F(ExportedTextsTest, AMissingGenerationConfigIsMadeOfTheModelsConfig) {
  texts_.clear_generation_config_json();
  Set({"float32", {3}, "<|endoftext|>"});
  EXPECT_EQ(Config()["torch_dtype"], "float32");
  EXPECT_EQ(Generation(), json({{"bos_token_id", 3}, {"eos_token_id", 3}}));
}

TEST_F(ExportedTextsTest, TheFileOnDiskIsChangedAndNotWhatWasJoinedFromSeveral) {
  const std::string joined = texts_.tokenizer_config_json();
  side_files_["tokenizer_config.json"] = R"({"eos_token": "<|endoftext|>"})";
  Set(facts_);
  EXPECT_EQ(texts_.tokenizer_config_json(), joined);
  EXPECT_THAT(side_files_["tokenizer_config.json"], HasSubstr("<|im_end|>"));
  side_files_["tokenizer_config.json"] = "";  // there is none
  Set(facts_);
  EXPECT_EQ(side_files_["tokenizer_config.json"], "");
}

TEST_F(ExportedTextsTest, WithoutEndsOnlyTheTypeIsSet) {
  Set({.dtype = "bfloat16"});
  EXPECT_EQ(Config()["eos_token_id"], 3);
  EXPECT_EQ(Generation()["eos_token_id"], 3);
  texts_.set_config_json("[]");
  EXPECT_THAT(SetTrainedFacts(facts_, &texts_, &side_files_).ToString(),
              HasSubstr("config.json: must be a JSON object"));
}

}  // namespace
}  // namespace reckon
