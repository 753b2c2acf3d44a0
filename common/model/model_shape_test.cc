#include "common/model/model_shape.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace reckon {
namespace {

using ::testing::HasSubstr;

// A tokenizer of the ids 0 to 2, and a model with `rows` rows.
FolderTexts TextsOf(int rows) {
  FolderTexts out;
  out.set_config_json(absl::StrCat(
      R"({"model_type": "llama", "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1,
          "num_attention_heads": 2, "max_position_embeddings": 64, "rms_norm_eps": 1e-5,
          "hidden_act": "silu", "vocab_size": )",
      rows, "}"));
  out.set_tokenizer_json(
      R"({"version": "1.0", "truncation": null, "padding": null, "normalizer": null,
          "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
                            "use_regex": true},
          "post_processor": null,
          "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true,
                      "use_regex": true},
          "added_tokens": [{"id": 2, "content": "<end>", "single_word": false, "lstrip": false,
                            "rstrip": false, "normalized": false, "special": true}],
          "model": {"type": "BPE", "dropout": null, "unk_token": null, "byte_fallback": false,
                    "fuse_unk": false, "continuing_subword_prefix": null,
                    "end_of_word_suffix": null, "ignore_merges": false,
                    "vocab": {"a": 0, "b": 1}, "merges": []}})");
  return out;
}

TEST(ModelShapeTest, RowsAboveTheLastTokenAreUnused) {
  const auto padded = ModelShape(TextsOf(8));
  ASSERT_TRUE(padded.ok()) << padded.status();
  EXPECT_EQ(padded->vocab_size, 8);
  EXPECT_EQ(padded->unused_rows, 5);
  EXPECT_EQ(padded->num_tokens(), 3);
  EXPECT_EQ(ModelShape(TextsOf(3))->num_tokens(), 3);
}

TEST(ModelShapeTest, IdsThatNoTokenHasAreGaps) {
  FolderTexts texts = TextsOf(12);
  nlohmann::json tokenizer = nlohmann::json::parse(texts.tokenizer_json());
  tokenizer["model"]["vocab"] = {{"a", 0}, {"b", 3}, {"<end>", 6}};
  tokenizer["added_tokens"][0]["id"] = 6;
  texts.set_tokenizer_json(tokenizer.dump());
  const auto shape = ModelShape(texts);
  ASSERT_TRUE(shape.ok()) << shape.status();
  EXPECT_EQ(shape->num_tokens(), 7);
  EXPECT_EQ(shape->gaps, (std::vector<int64_t>{1, 2, 4, 5}));
  EXPECT_TRUE(shape->HasToken(3));
  EXPECT_FALSE(shape->HasToken(4));
  EXPECT_FALSE(shape->HasToken(7));
  EXPECT_EQ(ModelShape(TextsOf(8))->gaps.size(), 0u);
}

TEST(ModelShapeTest, ATokenizerWithMoreTokensThanRowsLeavesNoneOut) {
  const auto shape = ModelShape(TextsOf(2));
  ASSERT_TRUE(shape.ok()) << shape.status();
  EXPECT_EQ(shape->unused_rows, 0);
  EXPECT_EQ(shape->num_tokens(), 2);
}

TEST(ModelShapeTest, AFileThatDoesNotLoadIsNamed) {
  FolderTexts texts = TextsOf(8);
  texts.set_tokenizer_json("{");
  EXPECT_THAT(std::string(ModelShape(texts).status().message()), HasSubstr("tokenizer.json"));
  texts.set_config_json("{}");
  EXPECT_THAT(std::string(ModelShape(texts).status().message()), HasSubstr("config.json"));
}

}  // namespace
}  // namespace reckon
