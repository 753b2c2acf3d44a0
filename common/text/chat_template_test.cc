#include "common/text/chat_template.h"

#include "common/text/json.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

using ::testing::HasSubstr;

// The template of SmolLM2-Instruct's tokenizer_config.json.
constexpr char kConfig[] =
    R"({"chat_template": "{% for message in messages %}{% if loop.first and messages[0]['role'] !=)"
    R"( 'system' %}{{ '<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by)"
    R"( Hugging Face<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + message['role'] + '\n' + )"
    R"(message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %})"
    R"({{ '<|im_start|>assistant\n' }}{% endif %}"})";

TEST(ChatTemplateTest, SmolLm2PutsItsSystemMessageInFrontWhenThereIsNone) {
  auto chat = ChatTemplate::Create(kConfig);
  ASSERT_TRUE(chat.ok()) << chat.status();
  EXPECT_EQ(chat->Render({{"user", "Hi"}}, true),
            "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging "
            "Face<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n");
  EXPECT_EQ(chat->Render({{"system", "S"}, {"user", "U"}, {"assistant", "A"}}, false),
            "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nU<|im_end|>\n"
            "<|im_start|>assistant\nA<|im_end|>\n");
  EXPECT_EQ(chat->Render({}, false), "");
  EXPECT_EQ(chat->Render({}, true), "<|im_start|>assistant\n");
}

TEST(ChatTemplateTest, Qwen2DiffersInOneSentence) {
  std::string config = kConfig;
  const std::string own = "You are a helpful AI assistant named SmolLM, trained by Hugging Face";
  config.replace(config.find(own), own.size(), "You are a helpful assistant.");
  auto chat = ChatTemplate::Create(config);
  ASSERT_TRUE(chat.ok()) << chat.status();
  EXPECT_EQ(chat->Render({{"user", "Hi"}}, false),
            "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
            "<|im_start|>user\nHi<|im_end|>\n");
}

TEST(ChatTemplateTest, OtherTemplatesAreRefusedWithAWayOut) {
  for (absl::string_view config :
       {R"({"chat_template": "{{ messages }}"})", R"({"chat_template": []})", "{}"}) {
    auto chat = ChatTemplate::Create(config);
    EXPECT_EQ(chat.status().code(), absl::StatusCode::kUnimplemented);
    EXPECT_THAT(chat.status().message(), HasSubstr("plain or few-shot"));
  }
  EXPECT_EQ(ChatTemplate::Create("{").status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace reckon
