#include "common/text/tokenizer.h"

#include <chrono>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "common/text/byte_alphabet.h"
#include "common/text/json.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Ids: 0 to 255 bytes, then "he" "ll" "hell" "hello" " h" "aa" "aaaa", then added tokens.
constexpr uint32_t kHello = 259, kSpaceH = 260, kEnd = 263, kTool = 264;

json TinyFile() {
  json vocab = json::object();
  for (int byte = 0; byte < 256; ++byte) vocab[std::string(LetterOfByte(byte))] = byte;
  uint32_t next = 256;
  for (const char* token : {"he", "ll", "hell", "hello", "\u0120h", "aa", "aaaa"}) {
    vocab[token] = next++;
  }
  auto added = [](int id, const char* content, bool special) {
    return json{{"id", id},          {"content", content}, {"single_word", false},
                {"lstrip", false},   {"rstrip", false},    {"normalized", !special},
                {"special", special}};
  };
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"added_tokens", {added(kEnd, "<|end|>", true), added(kTool, "<tool call>", false)}},
          {"normalizer", nullptr},
          {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}}},
          {"decoder", {{"type", "ByteLevel"}}},
          {"model",
           {{"type", "BPE"},
            {"dropout", nullptr},
            {"vocab", vocab},
            {"merges", {"h e", "l l", json{"he", "ll"}, "hell o", "\u0120 h", "a a", "aa aa"}}}}};
}

std::unique_ptr<Tokenizer> Make(const json& file) {
  auto tokenizer = Tokenizer::Create(file.dump());
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
  return tokenizer.ok() ? *std::move(tokenizer) : nullptr;
}

TEST(TokenizerTest, MergesByRankAndFromTheLeft) {
  auto tokenizer = Make(TinyFile());
  EXPECT_THAT(tokenizer->Encode("hello"), ElementsAre(kHello));
  EXPECT_THAT(tokenizer->Encode("hhello"), ElementsAre('h', kHello));
  // "h e" ranks before "Ġ h", so the space stays alone.
  EXPECT_THAT(tokenizer->Encode(" hello"), ElementsAre(' ', kHello));
  EXPECT_THAT(tokenizer->Encode(" hx"), ElementsAre(kSpaceH, 'x'));
  EXPECT_THAT(tokenizer->Encode("aaaaaaa"), ElementsAre(262, 261, 'a'));
  EXPECT_THAT(tokenizer->Encode(""), IsEmpty());
}

TEST(TokenizerTest, SpecialTokensAreIdsOrPlainTextAsAsked) {
  auto tokenizer = Make(TinyFile());
  EXPECT_THAT(tokenizer->Encode("he<|end|>he"), ElementsAre(256, kEnd, 256));
  EXPECT_THAT(tokenizer->Encode("<|end", true), ElementsAre('<', '|', 'e', 'n', 'd'));
  EXPECT_THAT(tokenizer->Encode("<|end|>", false), ElementsAre('<', '|', 'e', 'n', 'd', '|', '>'));
  // An added token that is not special is one either way.
  EXPECT_THAT(tokenizer->Encode("<tool call>", false), ElementsAre(kTool));
  EXPECT_EQ(tokenizer->TokenId("<|end|>"), kEnd);
  EXPECT_EQ(tokenizer->TokenId("hello"), kHello);
  EXPECT_EQ(tokenizer->TokenId("\u0120h"), kSpaceH);
  EXPECT_EQ(tokenizer->TokenId("nope"), std::nullopt);
  EXPECT_EQ(tokenizer->vocab_size(), 265u);
}

TEST(TokenizerTest, DecodeJoinsBytesRepairsThemAndSkipsWhatIsNoToken) {
  auto tokenizer = Make(TinyFile());
  EXPECT_EQ(tokenizer->Decode({kHello, kSpaceH, kTool, kEnd}), "hello h<tool call>");
  EXPECT_EQ(tokenizer->Decode({'a', kEnd}, false), "a<|end|>");
  EXPECT_EQ(tokenizer->Decode({'a', 265, 0xffffffff, 'b'}), "ab");
  EXPECT_EQ(tokenizer->Decode({0xe2, 0x82, 0xac}), "\xe2\x82\xac");
  EXPECT_EQ(tokenizer->Decode({0xe2, 0x82, 'a'}),
            "\xef\xbf\xbd"
            "a");
  EXPECT_EQ(tokenizer->TokenBytes(0xe2), "\xe2");
  EXPECT_EQ(tokenizer->TokenBytes(kSpaceH), " h");
  EXPECT_EQ(tokenizer->TokenBytes(kEnd), "");
  EXPECT_EQ(tokenizer->TokenBytes(265), "");
}

TEST(TokenizerTest, AnyBytesComeBackFromTheirTokens) {
  auto tokenizer = Make(TinyFile());
  std::mt19937 random(1);
  const std::string pool = "\xe2\x82\xac 'shela\xff\xf0\x9f\x98\x80\n1<|";
  for (int round = 0; round < 2000; ++round) {
    std::string text;
    for (uint64_t n = random() % 40; n > 0; --n) text += pool[random() % pool.size()];
    std::string back;
    for (uint32_t id : tokenizer->Encode(text)) back += std::string(tokenizer->TokenBytes(id));
    EXPECT_EQ(back, text);
  }
}

TEST(TokenizerTest, AMebibyteOfOneLetterIsQuickAndRight) {
  auto tokenizer = Make(TinyFile());
  const auto start = std::chrono::steady_clock::now();
  const auto ids = tokenizer->Encode(std::string(1 << 20, 'a'));
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
  EXPECT_EQ(ids, std::vector<uint32_t>(1 << 18, 262));
}

TEST(TokenizerTest, ThreadsShareOne) {
  auto tokenizer = Make(TinyFile());
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < 500; ++n) EXPECT_THAT(tokenizer->Encode("hello"), ElementsAre(kHello));
    });
  }
  for (auto& thread : threads) thread.join();
}

TEST(TokenizerTest, AByteWithoutLetterIsDroppedAsThePackageDoes) {
  json file = TinyFile();
  json& vocab = file["model"]["vocab"];
  vocab.erase(std::string(LetterOfByte(1)));
  vocab["hx"] = 1;
  EXPECT_THAT(Make(file)->Encode("h\x01"
                                 "e"),
              ElementsAre('h', 'e'));
  file["model"]["unk_token"] = "hx";
  EXPECT_EQ(Tokenizer::Create(file.dump()).status().code(), absl::StatusCode::kUnimplemented);
}

TEST(TokenizerTest, IgnoreMergesTakesAWordThatIsAToken) {
  json file = TinyFile();
  file["model"]["ignore_merges"] = true;
  file["model"]["merges"] = json::array();
  EXPECT_THAT(Make(file)->Encode("hello he llo"),
              ElementsAre(kHello, ' ', 'h', 'e', ' ', 'l', 'l', 'o'));
}

TEST(TokenizerTest, EachFaultOfTheFileIsNamed) {
  struct Case {
    const char* path;   // JSON pointer to what is replaced
    const char* value;  // "" removes it
    absl::StatusCode code;
    const char* message;
  };
  constexpr auto kBad = absl::StatusCode::kInvalidArgument;
  constexpr auto kNotKnown = absl::StatusCode::kUnimplemented;
  const Case cases[] = {
      {"/model", "", kBad, "\"model\" is missing"},
      {"/model", "[]", kBad, "\"model\" is array"},
      {"/model/type", "\"Unigram\"", kNotKnown, "Unigram"},
      {"/model/type", "", kBad, "\"type\" is missing"},
      {"/model/vocab", "", kBad, "\"vocab\" is missing"},
      {"/model/vocab", "{}", kBad, "0 tokens"},
      {"/model/vocab", "{\"a\":1}", kBad, "\"a\" has no id"},
      {"/model/vocab", "{\"a\":-1}", kBad, "\"a\" has no id"},
      {"/model/vocab", "{\"a\":\"0\"}", kBad, "\"a\" has no id"},
      {"/model/vocab", "{\"a\":0,\"b\":0}", kBad, "\"b\" has an id that another has"},
      {"/model/merges", "", kBad, "\"merges\" is missing"},
      {"/model/merges/1", "\"ll\"", kBad, "merges[1]: should be two tokens"},
      {"/model/merges/1", "\"l l l\"", kBad, "merges[1]"},
      {"/model/merges/1", "\" l\"", kBad, "merges[1]"},
      {"/model/merges/1", "\"l zz\"", kBad, "\"zz\" is not in the vocabulary"},
      {"/model/merges/1", "\"l o\"", kBad, "\"lo\" is not in the vocabulary"},
      {"/model/merges/1", "[\"l\"]", kBad, "merges[1]"},
      {"/model/merges/1", "7", kBad, "merges[1]"},
      {"/model/dropout", "0.1", kNotKnown, "dropout"},
      {"/model/byte_fallback", "true", kNotKnown, "byte_fallback"},
      {"/model/byte_fallback", "1", kBad, "byte_fallback"},
      {"/model/end_of_word_suffix", "\"</w>\"", kNotKnown, "end_of_word_suffix"},
      {"/normalizer", "{\"type\":\"NFKC\"}", kNotKnown, "normalizer: \"NFKC\""},
      {"/truncation", "{}", kNotKnown, "truncation"},
      {"/post_processor", "{\"type\":\"BertProcessing\"}", kNotKnown, "BertProcessing"},
      {"/post_processor", "{\"type\":\"TemplateProcessing\"}", kBad, "\"single\" is missing"},
      {"/decoder", "", kNotKnown, "decoder"},
      {"/decoder", "{\"type\":\"WordPiece\"}", kNotKnown, "WordPiece"},
      {"/pre_tokenizer", "", kNotKnown, "pre_tokenizer"},
      {"/pre_tokenizer", "{\"type\":\"Whitespace\"}", kNotKnown, "Whitespace"},
      {"/added_tokens", "{}", kBad, "added_tokens"},
      {"/added_tokens/0", "3", kBad, "added_tokens[0]"},
      {"/added_tokens/0/content", "\"\"", kBad, "0 bytes"},
      {"/added_tokens/0/id", "900", kBad, "has id 900, should have 263"},
      {"/added_tokens/0/id", "-1", kBad, "has id -1"},
      {"/added_tokens/0/content", "\"he\"", kBad, "should have 256"},
      {"/added_tokens/0/lstrip", "true", kNotKnown, "lstrip"},
      {"/added_tokens/0/special", "", kBad, "special"},
  };
  for (const Case& c : cases) {
    json file = TinyFile();
    const json::json_pointer path(c.path);
    if (*c.value == '\0') {
      file.at(path.parent_pointer()).erase(path.back());
    } else {
      file[path] = json::parse(c.value);
    }
    auto tokenizer = Tokenizer::Create(file.dump());
    EXPECT_EQ(tokenizer.status().code(), c.code) << c.path << " " << c.value;
    EXPECT_THAT(tokenizer.status().message(), HasSubstr(c.message)) << c.path << " " << c.value;
    EXPECT_THAT(tokenizer.status().message(), HasSubstr("tokenizer.json: "));
  }
}

TEST(TokenizerTest, DamagedFilesNeverCrash) {
  const std::string good = TinyFile().dump();
  std::mt19937 random(3);
  EXPECT_FALSE(Tokenizer::Create("").ok());
  for (size_t cut = 0; cut < good.size(); cut += 97) {
    EXPECT_FALSE(Tokenizer::Create(absl::string_view(good).substr(0, cut)).ok());
  }
  for (int round = 0; round < 500; ++round) {
    std::string bad = good;
    for (int i = 0; i < 4; ++i) {
      bad[random() % bad.size()] = static_cast<char>(random());
    }
    auto tokenizer = Tokenizer::Create(bad);
    if (tokenizer.ok()) (*tokenizer)->Decode((*tokenizer)->Encode("hello <|end|> world"));
  }
}

}  // namespace
}  // namespace reckon
