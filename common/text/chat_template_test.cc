#include "common/text/chat_template.h"

#include "absl/strings/str_cat.h"
#include "common/text/json.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

std::string Config(const std::string& source) {
  return json{{"chat_template", source},
              {"bos_token", "<s>"},
              {"eos_token", {{"content", "</s>"}, {"lstrip", false}}}}
      .dump();
}

std::string Rendered(const std::string& source, const std::string& kwargs = "",
                     std::vector<ChatMessage> messages = {{"user", "Hi"}}) {
  auto chat = ChatTemplate::Create(Config(source), kwargs);
  if (!chat.ok()) return std::string(chat.status().message());
  auto text = chat->Render(messages, true);
  return text.ok() ? *text : std::string(text.status().message());
}

constexpr char kChatMl[] =
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + "
    "'<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' "
    "}}{% endif %}";

TEST(ChatTemplateTest, PlainChatMlWithANewlineAtItsEndOrNot) {
  const std::string want = "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n";
  EXPECT_EQ(Rendered(kChatMl), want);
  // jinja2 takes the last newline of a template off.
  EXPECT_EQ(Rendered(absl::StrCat(kChatMl, "\n")), want);
  EXPECT_EQ(Rendered("x\n\n"), "x\n");
}

TEST(ChatTemplateTest, OfAListTheDefaultIsTaken) {
  json config = {{"chat_template",
                  {{{"name", "tool_use"}, {"template", "x"}},
                   {{"name", "default"}, {"template", "{{ messages[0].content }}!"}}}}};
  auto chat = ChatTemplate::Create(config.dump());
  ASSERT_TRUE(chat.ok()) << chat.status();
  EXPECT_EQ(*chat->Render({{"user", "Hi"}}, true), "Hi!");
  config["chat_template"].erase(1);
  EXPECT_THAT(std::string(ChatTemplate::Create(config.dump()).status().message()),
              HasSubstr("the model has the templates tool_use, and none named default"));
  config["chat_template"] = {{"default", "{{ messages[0].role }}"}, {"tool_use", "x"}};
  EXPECT_EQ(*ChatTemplate::Create(config.dump())->Render({{"user", "Hi"}}, true), "user");
}

TEST(ChatTemplateTest, SpecialTokensAreVariables) {
  const json config = {
      {"chat_template",
       "{{ bos_token }}{{ sep_token }}{{ think_token }}{{ image }}{% if pad_token is defined %}"
       "pad{% endif %}"},
      {"bos_token", "<s>"},
      {"sep_token", {{"__type", "AddedToken"}, {"content", "<|sep|>"}}},
      {"think_token", "<think>"},
      {"pad_token", nullptr},
      {"extra_special_tokens", {{"image", {{"content", "<img>"}}}}}};
  EXPECT_EQ(*ChatTemplate::Create(config.dump())->Render({{"user", "Hi"}}, true),
            "<s><|sep|><think><img>");
}

TEST(ChatTemplateTest, BlocksAreTrimmedAsTransformersDoes) {
  EXPECT_EQ(Rendered("{% if true %}\n  {% set x = 1 %}\na{{ x }}\n{% endif %}\n"), "a1\n");
  EXPECT_EQ(Rendered("a {%- if true %} b {%- endif %} c"), "a b c");
}

TEST(ChatTemplateTest, KnowsWhatPublishedTemplatesCall) {
  EXPECT_EQ(Rendered("{{ bos_token }}{{ eos_token }}"), "<s></s>");
  EXPECT_EQ(Rendered("{% if tools is none %}no{% endif %}{{ documents is defined }}"), "noTrue");
  EXPECT_EQ(Rendered("{{ tools is iterable }}{{ [] is iterable }}{{ 'a' is iterable }}"),
            "FalseTrueTrue");
  EXPECT_EQ(Rendered("[{{ content.strip() }}{{ content | trim }}{{ content.split() | length }}]",
                     R"({"content": "\u001c a\u0085b \u001f"})"),
            "[a\u0085ba\u0085b2]");
  EXPECT_EQ(Rendered("{{ messages[0]['content'].strip().split('i')[0].upper() }}"), "H");
  EXPECT_EQ(Rendered("{{ strftime_now('%d %b %Y') }}"), "26 Jul 2024");
  EXPECT_EQ(Rendered("{% for i in range(5) %}{% if i == 1 %}{% continue %}{% endif %}"
                     "{% if i == 3 %}{% break %}{% endif %}{{ i }}{% endfor %}"),
            "02");
  EXPECT_EQ(Rendered("{{ messages[0] | tojson }}"), "{\"role\": \"user\", \"content\": \"Hi\"}");
  EXPECT_EQ(Rendered("{{ {'a': ['<é>', 1]} | tojson(indent=2) }}"),
            "{\n  \"a\": [\n    \"<é>\",\n    1\n  ]\n}");
  EXPECT_EQ(Rendered("{% for m in messages %}{% generation %}{{ m.content }}{% endgeneration %}"
                     "{% endfor %}"),
            "Hi");
  EXPECT_EQ(Rendered("{% macro f(x) %}[{{ x }}]{% endmacro %}{{ f('a') }}{{ 'b' ~ 1 }}"), "[a]b1");
  EXPECT_EQ(Rendered("{% set n = namespace(x=1) %}{% for i in [1,2] %}{% set n.x = n.x + i %}"
                     "{% endfor %}{{ n.x }}"),
            "4");
}

TEST(ChatTemplateTest, KwargsAreVariables) {
  const std::string source =
      "{{ 'on' if enable_thinking is not defined or enable_thinking else 'off' }}";
  EXPECT_EQ(Rendered(source), "on");
  EXPECT_EQ(Rendered(source, R"({"enable_thinking": false})"), "off");
  EXPECT_THAT(Rendered(source, "[]"), HasSubstr("chat_template_kwargs: is array, not an object"));
  EXPECT_THAT(Rendered(source, "{"), HasSubstr("chat_template_kwargs: "));
  EXPECT_THAT(Rendered(source, R"({"messages": []})"), HasSubstr("\"messages\" is set by Reckon"));
}

TEST(ChatTemplateTest, WhatATemplateRaisesIsOneLine) {
  const std::string source =
      "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}"
      "{% endif %}x";
  EXPECT_EQ(Rendered(source), "x");
  EXPECT_EQ(Rendered(source, "", {{"system", "S"}, {"user", "U"}}),
            "the chat template: it refuses these messages: System role not supported");
  EXPECT_THAT(Rendered("a\n{% if %}"), HasSubstr("tokenizer_config.json: chat_template: line 2"));
  EXPECT_THAT(Rendered("{{ nothing.field.field }}"), HasSubstr("line 1: undefined value"));
}

TEST(ChatTemplateTest, WorkAndOutputAreBounded) {
  EXPECT_THAT(Rendered("{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}"
                       "{% endfor %}"),
              HasSubstr("the chat template: "));
  EXPECT_THAT(Rendered("{% set x = 'x' * 1000000 %}{% for i in range(1000) %}{{ x }}{% endfor %}"),
              HasSubstr("the chat template: "));
  EXPECT_THAT(Rendered("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}"),
              HasSubstr("the chat template: "));
}

// Each would take a gigabyte or more: a few instructions, and no output.
TEST(ChatTemplateTest, MemoryIsBounded) {
  const std::string megabyte = "{% set x = 'x' * 1000000 %}";
  std::string doubled = megabyte, captured = megabyte;
  for (int i = 0; i < 10; ++i) {
    doubled += "{% set x = x + x %}";
    captured += "{% set x %}{{ x }}{{ x }}{% endset %}";
  }
  const std::string list = megabyte + "{% set n = namespace(l=[]) %}";
  for (const std::string& source : {
           doubled + "{{ x | length }}",
           captured + "{{ x | length }}",
           megabyte + "{% set n = namespace(x=x) %}{% for i in range(10) %}{% set n.x = n.x ~ n.x "
                      "%}{% endfor %}{{ n.x | length }}",
           list + "{% for i in range(1000) %}{% set n.l = n.l + [x ~ i] %}{% endfor %}"
                  "{{ n.l | length }}",
           megabyte + "{{ ([x] * 1000) | join('') | length }}",
           megabyte + "{{ (x | replace('x', 'x' * 1000)) | length }}",
           megabyte + "{{ x.replace('x', 'x' * 1000) | length }}",
           megabyte + "{{ ([x] * 1000) | tojson | length }}",
           megabyte + "{% macro f(x) %}{{ x }}{{ x }}{% endmacro %}{{ (f(f(f(f(f(f(f(f(f(f(x)))))"
                      ")))))) | length }}",
           megabyte + "{{ ([x] * 1000) | map('upper') | list | length }}",
           std::string("{{ ([1] * 100000000) | list | length }}"),
           std::string("{{ ([[[[1] * 1000] * 1000] * 1000] * 1000) | string | length }}"),
           std::string("{{ ([1, 2] | batch(1000000000, 'x')) | list | length }}"),
       }) {
    EXPECT_THAT(Rendered(source), HasSubstr("the chat template: it needs more than 128 MiB"))
        << source;
  }
  // One at a time, each within the bound, but a terabyte of copies in all.
  EXPECT_THAT(Rendered(megabyte + "{% for i in range(100000) %}{% set y = x ~ i %}{% endfor %}"),
              HasSubstr("or 2048 MiB in all"));
  // What does not try is as before.
  EXPECT_EQ(Rendered(megabyte + "{{ (x * 10) | length }}"), "10000000");
}

TEST(ChatTemplateTest, AModelWithoutATemplateSaysSo) {
  EXPECT_EQ(ChatTemplate::Create("{}").status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(ChatTemplate::Create("{}").status().message()),
              HasSubstr("not trained to chat"));
  EXPECT_EQ(ChatTemplate::Create("{").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ChatTemplate::Create(R"({"chat_template": 1})").status().code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace reckon
