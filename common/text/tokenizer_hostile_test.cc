#include <functional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/testing/hostile.h"
#include "common/text/json.h"
#include "common/text/tokenizer.h"

namespace reckon {
namespace {

using nlohmann::json;

json GoodTokenizer() {
  return {{"added_tokens", {{{"id", 3}, {"content", "<e>"}, {"special", true}}}},
          {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}}},
          {"decoder", {{"type", "ByteLevel"}}},
          {"model",
           {{"type", "BPE"}, {"vocab", {{"a", 0}, {"b", 1}, {"ab", 2}}}, {"merges", {"a b"}}}}};
}

json Tokens(int first, int count) {
  json added = json::array();
  for (int i = 0; i < count; ++i) {
    added.push_back({{"id", first + i}, {"content", absl::StrCat("<", i, ">")}, {"special", true}});
  }
  return added;
}

struct TokenizerCase {
  const char* name;
  std::function<void(json&)> change;
  const char* names;
};

TEST(HostileTokenizer, EachFaultIsOneLineThatNamesTheField) {
  const std::string unprintable("\n\0\x1b[31m\xe2\x80\xae", 11);
  const TokenizerCase cases[] = {
      {"no object", [](json& f) { f = json::array(); }, "\"model\""},
      {"model a string", [](json& f) { f["model"] = "BPE"; }, "\"model\" is string"},
      {"type unprintable", [&](json& f) { f["model"]["type"] = unprintable; }, "model.type"},
      {"type a number", [](json& f) { f["model"]["type"] = 1; }, "\"type\" is number"},
      {"vocab an array", [](json& f) { f["model"]["vocab"] = {1, 2}; }, "\"vocab\" is array"},
      {"id a float", [](json& f) { f["model"]["vocab"]["a"] = 0.0; }, "model.vocab: \"a\""},
      {"id null", [](json& f) { f["model"]["vocab"]["a"] = nullptr; }, "model.vocab: \"a\""},
      {"id 2^32", [](json& f) { f["model"]["vocab"]["a"] = 1ull << 32; }, "model.vocab: \"a\""},
      {"id 2^64-1", [](json& f) { f["model"]["vocab"]["a"] = ~0ull; }, "model.vocab: \"a\""},
      {"id twice", [](json& f) { f["model"]["vocab"]["a"] = 1; }, "model.vocab: \"b\""},
      {"id beyond", [](json& f) { f["model"]["vocab"]["a"] = 3; }, "model.vocab: \"a\""},
      {"token unprintable", [&](json& f) { f["model"]["vocab"][unprintable] = 9; }, "model.vocab"},
      {"token of 1 MB", [](json& f) { f["model"]["vocab"][std::string(1 << 20, 'z')] = 9; },
       "model.vocab: \"zzz"},
      {"merges an object", [](json& f) { f["model"]["merges"] = json::object(); }, "\"merges\""},
      {"merge of three", [](json& f) { f["model"]["merges"][0] = {"a", "b", "ab"}; },
       "model.merges[0]"},
      {"merge of numbers", [](json& f) { f["model"]["merges"][0] = {0, 1}; }, "model.merges[0]"},
      {"merge null", [](json& f) { f["model"]["merges"][0] = nullptr; }, "model.merges[0]"},
      {"merge empty", [](json& f) { f["model"]["merges"][0] = ""; }, "model.merges[0]"},
      {"merge empty left", [](json& f) { f["model"]["merges"][0] = {"", "ab"}; },
       "model.merges[0]"},
      {"merge unknown", [&](json& f) { f["model"]["merges"][0] = {"a", unprintable}; },
       "model.merges[0]"},
      {"merge to unknown", [](json& f) { f["model"]["merges"][0] = "b a"; },
       "\"ba\" is not in the vocabulary"},
      {"dropout a string", [](json& f) { f["model"]["dropout"] = "0"; }, "model.dropout"},
      {"ignore_merges a number", [](json& f) { f["model"]["ignore_merges"] = 1; },
       "\"ignore_merges\""},
      {"affix a number", [](json& f) { f["model"]["end_of_word_suffix"] = 1; },
       "\"end_of_word_suffix\""},
      {"added a string", [](json& f) { f["added_tokens"] = "x"; }, "added_tokens"},
      {"added null", [](json& f) { f["added_tokens"][0] = nullptr; }, "added_tokens[0]"},
      {"added empty", [](json& f) { f["added_tokens"][0]["content"] = ""; }, "added_tokens[0]"},
      {"added too long", [](json& f) { f["added_tokens"][0]["content"] = std::string(1000, 'x'); },
       "added_tokens[0]"},
      {"added id unprintable",
       [&](json& f) {
         f["added_tokens"][0]["content"] = unprintable;
         f["added_tokens"][0]["id"] = 77;
       },
       "added_tokens[0]"},
      {"added id 2^63", [](json& f) { f["added_tokens"][0]["id"] = 1ull << 63; },
       "added_tokens[0]"},
      {"added id 2^32 + 3", [](json& f) { f["added_tokens"][0]["id"] = (1ull << 32) + 3; },
       "added_tokens[0]"},
      {"added content a number", [](json& f) { f["added_tokens"][0]["content"] = 1; },
       "added_tokens[0]"},
      {"added flag a string", [](json& f) { f["added_tokens"][0]["lstrip"] = "no"; },
       "added_tokens[0]"},
      {"too many added", [](json& f) { f["added_tokens"] = Tokens(3, 100'001); }, "added_tokens"},
      {"pre_tokenizer unprintable", [&](json& f) { f["pre_tokenizer"]["type"] = unprintable; },
       "pre_tokenizer"},
      {"pre_tokenizer an array", [](json& f) { f["pre_tokenizer"] = {1}; }, "pre_tokenizer"},
      {"pattern from the file",
       [](json& f) {
         f["pre_tokenizer"] = {{"type", "Split"}, {"pattern", {{"Regex", "(a+)+$"}}}};
       },
       "pre_tokenizer"},
      {"decoder a number", [](json& f) { f["decoder"] = 1; }, "decoder"},
      {"normalizer a string", [](json& f) { f["normalizer"] = "NFC"; }, "normalizer"},
      {"truncation unprintable", [&](json& f) { f["truncation"] = {{"type", unprintable}}; },
       "truncation"},
      {"padding a number", [](json& f) { f["padding"] = 1; }, "padding"},
  };
  for (const TokenizerCase& c : cases) {
    SCOPED_TRACE(c.name);
    json file = GoodTokenizer();
    c.change(file);
    const std::string text = file.dump();
    const HostileReading reading;
    const absl::Status status = Tokenizer::Create(text).status();
    reading.Expect(status, "tokenizer.json: ", text.size());
    reading.Expect(status, c.names, text.size());
  }
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
        good + "x", good.substr(0, good.size() / 2), with("\"a\":0", "\"a\":0,\"a\":0"),
        with("\"a\":0", "\"a\":1e400"), with("\"a\":0", "\"\\ud800\":0"),
        with("\"a\":0", "\"\xed\xa0\x80\":0"), with("\"a\":0", std::string("\"\0\":0", 5)),
        with("\"a\":0", "\"a\":99999999999999999999999999"), std::string(65 << 20, ' ')}) {
    const HostileReading reading;
    reading.Expect(Tokenizer::Create(text).status(), "tokenizer.json: ", text.size());
  }
}

TEST(HostileTokenizer, AVocabularyAboveTheLimitIsRefused) {
  std::string text = R"({"decoder":{"type":"ByteLevel"},"pre_tokenizer":{"type":"ByteLevel",)"
                     R"("add_prefix_space":false},"model":{"type":"BPE","merges":[],"vocab":{)";
  for (int i = 0; i <= 1'000'000; ++i) absl::StrAppend(&text, i == 0 ? "" : ",", "\"", i, "\":", i);
  text += "}}}";
  const absl::Status status = Tokenizer::Create(text).status();
  EXPECT_EQ(status.message(),
            "tokenizer.json: model.vocab: 1000001 tokens, should be 1 to 1000000");
}

TEST(HostileTokenizer, UnchangedItIsRight) {
  EXPECT_TRUE(Tokenizer::Create(GoodTokenizer().dump()).ok());
}

}  // namespace
}  // namespace reckon
