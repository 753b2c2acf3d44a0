#include "common/task/prompt/completion_end.h"

#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kChatMl[] =
    R"({"chat_template": "{% for message in messages %}{% if loop.first and messages[0]['role'] )"
    R"(!= 'system' %}{{ '<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained )"
    R"(by Hugging Face<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + message['role'] + '\n' + )"
    R"(message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %})"
    R"({{ '<|im_start|>assistant\n' }}{% endif %}"})";

// Letters and newline from 0 on, then "<|endoftext|>" 3, "<|im_start|>" 4, "<|im_end|>" 5.
std::unique_ptr<Tokenizer> MakeTokenizer() {
  std::string added;
  int id = 3;
  for (const char* token : {"<|endoftext|>", "<|im_start|>", "<|im_end|>"}) {
    absl::StrAppend(&added, id == 3 ? "" : ",", R"({"id": )", id, R"(, "content": ")", token,
                    R"(", "special": true, "single_word": false, "lstrip": false, )",
                    R"("rstrip": false, "normalized": false})");
    ++id;
  }
  auto tokenizer = Tokenizer::Create(absl::StrCat(
      R"({"added_tokens": [)", added, R"(], "normalizer": null, "post_processor": null,)",
      R"("pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,)",
      R"("use_regex": true},)",
      R"("decoder": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,)",
      R"("use_regex": true},)",
      R"("model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "\u010a": 2}, "merges": []}})"));
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
  return *std::move(tokenizer);
}

// A base model of Qwen or SmolLM2: its files end at <|endoftext|>, its template at <|im_end|>.
TEST(CompletionEndsTest, AChatEndsAsTheTemplateEndsAnAnswer) {
  const auto tokenizer = MakeTokenizer();
  const ChatTemplate chat = *ChatTemplate::Create(kChatMl);
  const EndTokens base = {{3}, 3};
  EXPECT_THAT(*CompletionEnds(base, *tokenizer, &chat), ElementsAre(5, 3));
  EXPECT_THAT(*CompletionEnds(base, *tokenizer, nullptr), ElementsAre(3));
  const EndTokens instruct = {{5, 3}, 5};
  EXPECT_THAT(*CompletionEnds(instruct, *tokenizer, &chat), ElementsAre(5, 3));
}

TEST(CompletionEndsTest, OtherTextEndsAsTheTokenizerSays) {
  const auto tokenizer = MakeTokenizer();
  EXPECT_THAT(*CompletionEnds({{4, 5, 3}, 5}, *tokenizer, nullptr), ElementsAre(5, 4, 3));
  EXPECT_THAT(*CompletionEnds({{4, 3}, {}}, *tokenizer, nullptr), ElementsAre(4, 3));
  EXPECT_THAT(CompletionEnds({}, *tokenizer, nullptr).status().ToString(),
              HasSubstr("no completion could end"));
}

}  // namespace
}  // namespace reckon
