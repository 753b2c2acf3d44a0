#include <functional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/testing/hostile.h"
#include "common/text/json.h"
#include "common/text/tokenizer.h"
#include "gmock/gmock.h"

namespace reckon {
namespace {

using nlohmann::json;

json Tokens(int first, int count) {
  json added = json::array();
  for (int i = 0; i < count; ++i) {
    added.push_back({{"id", first + i},
                     {"content", absl::StrCat("<", i, ">")},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", true}});
  }
  return added;
}

json GoodTokenizer() {
  const json byte_level = {
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}};
  return {{"added_tokens", Tokens(3, 1)},
          {"normalizer", nullptr},
          {"post_processor", nullptr},
          {"pre_tokenizer", byte_level},
          {"decoder", byte_level},
          {"model",
           {{"type", "BPE"}, {"vocab", {{"a", 0}, {"b", 1}, {"ab", 2}}}, {"merges", {"a b"}}}}};
}

// Whether a change is refused is up to the library; a refusal must be one line that names the file,
// and what loads must encode any text within its vocabulary or say why not.
TEST(HostileTokenizer, EachFaultIsOneLineOrDoesNoHarm) {
  const std::string unprintable("\n\0\x1b[31m\xe2\x80\xae", 11);
  const std::function<void(json&)> changes[] = {
      [](json& f) { f = json::array(); },
      [](json& f) { f["model"] = "BPE"; },
      [&](json& f) { f["model"]["type"] = unprintable; },
      [](json& f) { f["model"]["type"] = 1; },
      [](json& f) { f["model"]["vocab"] = {1, 2}; },
      [](json& f) { f["model"]["vocab"] = json::object(); },
      [](json& f) { f["model"]["vocab"]["a"] = 0.5; },
      [](json& f) { f["model"]["vocab"]["a"] = nullptr; },
      [](json& f) { f["model"]["vocab"]["a"] = 1ull << 31; },
      [](json& f) { f["model"]["vocab"]["a"] = 1ull << 32; },
      [](json& f) { f["model"]["vocab"]["a"] = ~0ull; },
      [](json& f) { f["model"]["vocab"]["a"] = -1; },
      [](json& f) { f["model"]["vocab"]["a"] = 1; },  // twice
      [&](json& f) { f["model"]["vocab"][unprintable] = 9; },
      [](json& f) { f["model"]["vocab"][std::string(1 << 20, 'z')] = 9; },
      [](json& f) { f["model"]["merges"] = json::object(); },
      [](json& f) { f["model"]["merges"][0] = {"a", "b", "ab"}; },
      [](json& f) { f["model"]["merges"][0] = {0, 1}; },
      [](json& f) { f["model"]["merges"][0] = nullptr; },
      [](json& f) { f["model"]["merges"][0] = ""; },
      [](json& f) { f["model"]["merges"][0] = {"", "ab"}; },
      [&](json& f) { f["model"]["merges"][0] = {"a", unprintable}; },
      [](json& f) { f["model"]["merges"][0] = "b a"; },
      [](json& f) { f["model"]["ignore_merges"] = 1; },
      [](json& f) { f["model"]["continuing_subword_prefix"] = "a"; },
      [](json& f) { f["model"]["end_of_word_suffix"] = "b"; },
      [](json& f) { f["added_tokens"] = "x"; },
      [](json& f) { f["added_tokens"][0] = nullptr; },
      [](json& f) { f["added_tokens"][0]["content"] = ""; },
      [](json& f) { f["added_tokens"][0]["content"] = std::string(100000, 'x'); },
      [&](json& f) { f["added_tokens"][0]["content"] = unprintable; },
      [](json& f) { f["added_tokens"][0]["id"] = 1ull << 63; },
      [](json& f) { f["added_tokens"][0]["id"] = 77; },
      [](json& f) { f["added_tokens"][0]["lstrip"] = "no"; },
      [](json& f) { f["added_tokens"] = Tokens(3, 33'000); },
      [&](json& f) { f["pre_tokenizer"]["type"] = unprintable; },
      [](json& f) { f["pre_tokenizer"] = {1}; },
      // Exponential for an engine that backtracks without a bound.
      [](json& f) {
        f["pre_tokenizer"] = {{"type", "Split"},
                              {"pattern", {{"Regex", "(a+)+$"}}},
                              {"behavior", "Isolated"},
                              {"invert", false}};
      },
      [](json& f) {
        f["pre_tokenizer"] = {{"type", "Split"},
                              {"pattern", {{"Regex", "(a"}}},
                              {"behavior", "Isolated"},
                              {"invert", false}};
      },
      [](json& f) { f["decoder"] = 1; },
      [](json& f) { f["normalizer"] = "NFC"; },
      [](json& f) {
        f["normalizer"] = {{"type", "Precompiled"}, {"precompiled_charsmap", "AAAA"}};
      },
      [](json& f) {
        f["post_processor"] = {{"type", "TemplateProcessing"}, {"single", json::array()}};
      },
  };
  const std::string text = std::string(40, 'a') + "b<0>\n\xff" + unprintable;
  for (size_t i = 0; i < std::size(changes); ++i) {
    SCOPED_TRACE(i);
    json file = GoodTokenizer();
    changes[i](file);
    const std::string content = file.dump();
    const HostileReading reading;
    auto tokenizer = Tokenizer::Create(content);
    if (!tokenizer.ok()) {
      reading.Expect(tokenizer.status(), "tokenizer.json: ", content.size());
      continue;
    }
    auto ids = (*tokenizer)->Encode(text);
    if (!ids.ok()) {
      reading.Expect(ids.status(), "tokenizer.json: ", content.size());
      continue;
    }
    for (uint32_t id : *ids) EXPECT_LT(id, (*tokenizer)->vocab_size());
    (*tokenizer)->Decode(*ids);
  }
}

TEST(HostileTokenizer, WhatIsWrongIsNamed) {
  const auto message = [](const std::function<void(json&)>& change) {
    json file = GoodTokenizer();
    change(file);
    return std::string(Tokenizer::Create(file.dump()).status().message());
  };
  using ::testing::HasSubstr;
  EXPECT_THAT(message([](json& f) { f["model"]["vocab"]["a"] = 1ull << 31; }),
              HasSubstr("model.vocab: "));
  EXPECT_THAT(message([](json& f) { f["model"]["vocab"] = json::object(); }), HasSubstr("vocab"));
  // A few rules make a terabyte of any text.
  EXPECT_THAT(message([](json& f) {
                json grow = {{"type", "Replace"},
                             {"pattern", {{"Regex", "."}}},
                             {"content", std::string(1000, 'a')}};
                f["normalizer"] = {{"type", "Sequence"}, {"normalizers", {grow, grow, grow, grow}}};
              }),
              HasSubstr("it needs more than 256 MiB"));
  EXPECT_THAT(message([](json& f) { f["added_tokens"] = Tokens(3, 33'000); }),
              HasSubstr("added_tokens: 33000, at most 32768"));
  EXPECT_THAT(message([](json& f) { f["model"].erase("vocab"); }), HasSubstr("vocab"));
}

TEST(HostileTokenizer, TextThatIsNoTokenizerIsRefused) {
  const std::string good = GoodTokenizer().dump();
  auto with = [&](const std::string& what, const std::string& instead) {
    std::string text = good;
    text.replace(text.find(what), what.size(), instead);
    return text;
  };
  for (const std::string& text :
       {std::string(), std::string("7"), std::string(1'000'000, '['),
        std::string("{\"model\":") + std::string(100, '[') + std::string(100, ']') + "}",
        good + "x", good.substr(0, good.size() / 2), with("\"a\":0", "\"a\":1e400"),
        with("\"a\":0", "\"\\ud800\":0"), with("\"a\":0", "\"\xed\xa0\x80\":0"),
        with("\"a\":0", std::string("\"\0\":0", 5)),
        with("\"a\":0", "\"a\":99999999999999999999999999"), std::string(65 << 20, ' ')}) {
    const HostileReading reading;
    reading.Expect(Tokenizer::Create(text).status(), "tokenizer.json: ", text.size());
  }
}

TEST(HostileTokenizer, UnchangedItIsRight) {
  EXPECT_TRUE(Tokenizer::Create(GoodTokenizer().dump()).ok());
}

}  // namespace
}  // namespace reckon
