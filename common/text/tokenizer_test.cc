#include "common/text/tokenizer.h"

#include <random>
#include <string>
#include <thread>
#include <vector>

#include "common/testing/cpu_time.h"
#include "common/text/byte_alphabet.h"
#include "common/text/json.h"
#include "common/text/utf8.h"
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

json ByteLevel() {
  return {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}};
}

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
          {"pre_tokenizer", ByteLevel()},
          {"decoder", ByteLevel()},
          {"post_processor", nullptr},
          {"model",
           {{"type", "BPE"},
            {"dropout", nullptr},
            {"vocab", vocab},
            {"merges", {"h e", "l l", "he ll", "hell o", "\u0120 h", "a a", "aa aa"}}}}};
}

std::unique_ptr<Tokenizer> Make(const json& file) {
  auto tokenizer = Tokenizer::Create(file.dump());
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
  return tokenizer.ok() ? *std::move(tokenizer) : nullptr;
}

TEST(TokenizerTest, MergesByRankAndFromTheLeft) {
  auto tokenizer = Make(TinyFile());
  EXPECT_THAT(*tokenizer->Encode("hello"), ElementsAre(kHello));
  EXPECT_THAT(*tokenizer->Encode("hhello"), ElementsAre('h', kHello));
  // "h e" ranks before "Ġ h", so the space stays alone.
  EXPECT_THAT(*tokenizer->Encode(" hello"), ElementsAre(' ', kHello));
  EXPECT_THAT(*tokenizer->Encode(" hx"), ElementsAre(kSpaceH, 'x'));
  EXPECT_THAT(*tokenizer->Encode("aaaaaaa"), ElementsAre(262, 261, 'a'));
  EXPECT_THAT(*tokenizer->Encode(""), IsEmpty());
}

TEST(TokenizerTest, SpecialTokensAreIdsOrPlainTextAsAsked) {
  auto tokenizer = Make(TinyFile());
  EXPECT_THAT(*tokenizer->Encode("he<|end|>he"), ElementsAre(256, kEnd, 256));
  EXPECT_THAT(*tokenizer->Encode("<|end", true), ElementsAre('<', '|', 'e', 'n', 'd'));
  EXPECT_THAT(*tokenizer->Encode("<|end|>", false), ElementsAre('<', '|', 'e', 'n', 'd', '|', '>'));
  // An added token that is not special is one either way.
  EXPECT_THAT(*tokenizer->Encode("<tool call>", false), ElementsAre(kTool));
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

TEST(TokenizerTest, AnyTextComesBackFromItsTokensWithBrokenBytesReplaced) {
  auto tokenizer = Make(TinyFile());
  std::mt19937 random(1);
  const std::string pool = "\xe2\x82\xac 'shela\xff\xf0\x9f\x98\x80\n1<|";
  for (int round = 0; round < 2000; ++round) {
    std::string text;
    for (uint64_t n = random() % 40; n > 0; --n) text += pool[random() % pool.size()];
    std::string back;
    const std::vector<uint32_t> ids = *tokenizer->Encode(text);
    for (uint32_t id : ids) back += std::string(tokenizer->TokenBytes(id));
    EXPECT_EQ(back, RepairUtf8(text));
  }
}

TEST(TokenizerTest, ManyOfOneLetterTakeTimeInProportion) {
  auto tokenizer = Make(TinyFile());
  const auto cost = [&](size_t size) {
    const absl::Duration begin = ThreadCpuTime();
    EXPECT_EQ(*tokenizer->Encode(std::string(size, 'a')), std::vector<uint32_t>(size / 4, 262));
    return ThreadCpuTime() - begin;
  };
  const absl::Duration little = cost(1 << 14);
  EXPECT_LT(cost(1 << 17), 24 * little);  // eight times the text
}

TEST(TokenizerTest, ThreadsShareOne) {
  auto tokenizer = Make(TinyFile());
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < 500; ++n) EXPECT_THAT(*tokenizer->Encode("hello"), ElementsAre(kHello));
    });
  }
  for (auto& thread : threads) thread.join();
}

TEST(TokenizerTest, AByteWithoutLetterIsDroppedAsThePackageDoes) {
  json file = TinyFile();
  json& vocab = file["model"]["vocab"];
  vocab.erase(std::string(LetterOfByte(1)));
  vocab["hx"] = 1;
  EXPECT_THAT(*Make(file)->Encode("h\x01"
                                  "e"),
              ElementsAre('h', 'e'));
}

// What save_pretrained leaves of a call's settings, and what other families are made of.
TEST(TokenizerTest, TruncationPaddingAndDropoutAreNotApplied) {
  json file = TinyFile();
  file["truncation"] = {
      {"direction", "Right"}, {"max_length", 2}, {"strategy", "LongestFirst"}, {"stride", 0}};
  file["padding"] = {{"strategy", {{"Fixed", 8}}},
                     {"direction", "Left"},
                     {"pad_id", 2},
                     {"pad_type_id", 0},
                     {"pad_token", "<|end|>"}};
  file["model"]["dropout"] = 0.9;
  auto tokenizer = Make(file);
  EXPECT_THAT(*tokenizer->Encode("hellohellohello"), ElementsAre(kHello, kHello, kHello));
  EXPECT_THAT(*tokenizer->EncodeBeginning("hello"), ElementsAre(kHello));
}

TEST(TokenizerTest, ATextBeginsWithWhatThePostProcessorPutsThere) {
  json file = TinyFile();
  file["post_processor"] = {
      {"type", "TemplateProcessing"},
      {"single",
       {{{"SpecialToken", {{"id", "<|end|>"}, {"type_id", 0}}}},
        {{"Sequence", {{"id", "A"}, {"type_id", 0}}}},
        {{"SpecialToken", {{"id", "<|end|>"}, {"type_id", 0}}}}}},
      {"pair", json::array()},
      {"special_tokens",
       {{"<|end|>", {{"id", "<|end|>"}, {"ids", {kEnd}}, {"tokens", {"<|end|>"}}}}}}};
  file["post_processor"]["pair"] = {{{"Sequence", {{"id", "A"}, {"type_id", 0}}}},
                                    {{"Sequence", {{"id", "B"}, {"type_id", 1}}}}};
  auto tokenizer = Make(file);
  EXPECT_THAT(*tokenizer->EncodeBeginning("he"), ElementsAre(kEnd, 256));
  EXPECT_THAT(*tokenizer->EncodeBeginning(""), ElementsAre(kEnd));
  EXPECT_THAT(*tokenizer->EncodeBeginning("<|end|>"),
              ElementsAre(kEnd, '<', '|', 'e', 'n', 'd', '|', '>'));
  EXPECT_THAT(*tokenizer->Encode("he"), ElementsAre(256));
  EXPECT_THAT(*tokenizer->EncodeWhole("<|end|>he"), ElementsAre(kEnd, 256));
}

TEST(TokenizerTest, ASpaceThatBeginsATextIsNotWrittenInsideOne) {
  json file = TinyFile();
  file["pre_tokenizer"]["add_prefix_space"] = true;
  auto tokenizer = Make(file);
  EXPECT_THAT(*tokenizer->EncodeBeginning("hx"), ElementsAre(kSpaceH, 'x'));
  EXPECT_THAT(*tokenizer->Encode("hx"), ElementsAre('h', 'x'));
  EXPECT_THAT(*tokenizer->EncodeWhole("hx"), ElementsAre(kSpaceH, 'x'));
}

TEST(TokenizerTest, OtherModelsLoad) {
  const json word_piece = {
      {"added_tokens", json::array()},
      {"pre_tokenizer", {{"type", "BertPreTokenizer"}}},
      {"decoder", {{"type", "WordPiece"}, {"prefix", "##"}, {"cleanup", false}}},
      {"model",
       {{"type", "WordPiece"},
        {"unk_token", "[UNK]"},
        {"continuing_subword_prefix", "##"},
        {"max_input_chars_per_word", 100},
        {"vocab", {{"[UNK]", 0}, {"he", 1}, {"##llo", 2}, {"you", 3}}}}}};
  auto tokenizer = Make(word_piece);
  EXPECT_THAT(*tokenizer->Encode("hello you me"), ElementsAre(1, 2, 3, 0));
  EXPECT_EQ(tokenizer->Decode({3, 1, 2}), " you hello");
  json unknown = word_piece;
  unknown["model"]["vocab"] = {{"he", 0}};  // without a token for what it does not know
  EXPECT_THAT(std::string(Tokenizer::Create(unknown.dump()).status().message()),
              HasSubstr("tokenizer.json: WordPiece error: Missing [UNK]"));
}

TEST(TokenizerTest, IdsWithoutATokenAreNoTokens) {
  json file = TinyFile();
  file["model"]["vocab"]["zz"] = 300;
  auto tokenizer = Make(file);
  EXPECT_EQ(tokenizer->vocab_size(), 301u);
  EXPECT_FALSE(tokenizer->HasToken(280));
  EXPECT_TRUE(tokenizer->HasToken(300));
  EXPECT_FALSE(tokenizer->HasToken(301));
  EXPECT_EQ(tokenizer->Decode({280, 'a'}), "a");
}

TEST(TokenizerTest, IgnoreMergesTakesAWordThatIsAToken) {
  json file = TinyFile();
  file["model"]["ignore_merges"] = true;
  file["model"]["merges"] = json::array();
  EXPECT_THAT(*Make(file)->Encode("hello he llo"),
              ElementsAre(kHello, ' ', 'h', 'e', ' ', 'l', 'l', 'o'));
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
    if (tokenizer.ok()) (*tokenizer)->Decode(*(*tokenizer)->Encode("hello <|end|> world"));
  }
}

}  // namespace
}  // namespace reckon
