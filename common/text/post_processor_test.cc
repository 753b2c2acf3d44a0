#include "common/text/post_processor.h"

#include <gtest/gtest.h>

namespace reckon {
namespace {

using nlohmann::json;

json Template() {
  return json::parse(R"({"type": "TemplateProcessing",
    "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
    "pair": [], "special_tokens": {"<s>": {"id": "<s>", "ids": [7], "tokens": ["<s>"]}}})");
}

TEST(PostProcessorTest, FindsTheTokenThatATemplatePutsFirst) {
  EXPECT_EQ(*ReadPostProcessor(nullptr), std::nullopt);
  const json byte_level = {{"type", "ByteLevel"}};
  EXPECT_EQ(*ReadPostProcessor(&byte_level), std::nullopt);
  const json plain = Template();
  EXPECT_EQ(*ReadPostProcessor(&plain), "<s>");
  const json sequence = {{"type", "Sequence"}, {"processors", {byte_level, plain}}};
  EXPECT_EQ(*ReadPostProcessor(&sequence), "<s>");
}

TEST(PostProcessorTest, RefusesEveryOtherTemplate) {
  json behind = Template(), other = Template(), two = Template(), ids = Template();
  behind["single"].push_back(behind["single"][0]);
  std::swap(other["single"][0], other["single"][1]);
  ids["special_tokens"]["<s>"]["ids"] = {7, 8};
  const json cases[] = {
      behind,
      other,
      ids,
      {{"type", "BertProcessing"}},
      {{"type", "Sequence"}, {"processors", {Template(), Template()}}},
      {{"type", "Sequence"},
       {"processors", {{{"type", "Sequence"}, {"processors", json::array()}}}}},
      {{"type", 3}},
      {{"type", "TemplateProcessing"}},
      json::array(),
  };
  for (const json& spec : cases) EXPECT_FALSE(ReadPostProcessor(&spec).ok()) << spec;
}

}  // namespace
}  // namespace reckon
