#include "common/text/pre_tokenizer.h"

#include <functional>
#include <string>
#include <vector>

#include "absl/strings/str_join.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

using ::testing::HasSubstr;

std::string Split(absl::string_view text, PreTokenizer kind = PreTokenizer::kGpt2) {
  std::vector<std::string> words;
  SplitWords(kind, text, [&](absl::string_view word) { words.emplace_back(word); });
  EXPECT_EQ(absl::StrJoin(words, ""), text);
  return absl::StrJoin(words, "|");
}

TEST(PreTokenizerTest, Gpt2PatternCutsWordsNumbersAndPunctuation) {
  EXPECT_EQ(Split(""), "");
  EXPECT_EQ(Split("Hello my friend, how is your day going?"),
            "Hello| my| friend|,| how| is| your| day| going|?");
  EXPECT_EQ(Split("a12 34b ?!x"), "a|12| 34|b| ?!|x");
  EXPECT_EQ(Split("\xc3\xa9t\xc3\xa9 \xe2\x82\xac"
                  "5"),
            "\xc3\xa9t\xc3\xa9| \xe2\x82\xac|5");
}

TEST(PreTokenizerTest, ContractionsAreLowerCaseAndStartAtTheApostrophe) {
  EXPECT_EQ(Split("I'll we've they're it's I'd I'm don't"),
            "I|'ll| we|'ve| they|'re| it|'s| I|'d| I|'m| don|'t");
  EXPECT_EQ(Split("IT'S 's 'll x'l"), "IT|'|S| '|s| '|ll| x|'|l");
  EXPECT_EQ(Split("'"), "'");
  EXPECT_EQ(Split("''s"), "''|s");
  EXPECT_EQ(Split("'tis"), "'t|is");
}

TEST(PreTokenizerTest, WhiteSpaceLeavesItsLastCharacterToTheNextWord) {
  EXPECT_EQ(Split("a   b"), "a|  | b");
  EXPECT_EQ(Split("a\n\nb"), "a|\n|\n|b");
  EXPECT_EQ(Split("a\n b"), "a|\n| b");
  EXPECT_EQ(Split("a \nb"), "a| |\n|b");
  EXPECT_EQ(Split("a \n "), "a| \n ");
  EXPECT_EQ(Split(" "), " ");
  EXPECT_EQ(Split("a\xc2\xa0"
                  "b"),
            "a|\xc2\xa0|b");
  EXPECT_EQ(Split("a \xe3\x80\x80 b"), "a| \xe3\x80\x80| b");
}

TEST(PreTokenizerTest, DigitsStandAloneAndEndTheTextBeforeThem) {
  auto split = [](absl::string_view text) { return Split(text, PreTokenizer::kDigitsThenGpt2); };
  EXPECT_EQ(split("12 34"), "1|2| |3|4");
  EXPECT_EQ(split("a  1"), "a|  |1");
  EXPECT_EQ(split("x\xc2\xbd\xd9\xa1 y"), "x|\xc2\xbd|\xd9\xa1| y");
  EXPECT_EQ(split("it's 5's"), "it|'s| |5|'s");
}

TEST(PreTokenizerTest, Llama3AndQwen2DifferInNumbersAlone) {
  auto llama = [](absl::string_view text) { return Split(text, PreTokenizer::kLlama3); };
  auto qwen = [](absl::string_view text) { return Split(text, PreTokenizer::kQwen2); };
  EXPECT_EQ(llama("1234567 a12"), "123|456|7| a|12");
  EXPECT_EQ(qwen("1234567 a12"), "1|2|3|4|5|6|7| a|1|2");
  EXPECT_EQ(llama("\xd9\xa1\xd9\xa2\xd9\xa3\xd9\xa4"), "\xd9\xa1\xd9\xa2\xd9\xa3|\xd9\xa4");
  for (const auto& split : {std::function<std::string(absl::string_view)>(llama), {qwen}}) {
    EXPECT_EQ(split("IT'S we'Ll 'sx x'\xc5\xbft"), "IT|'S| we|'Ll| '|sx| x|'\xc5\xbf|t");
    EXPECT_EQ(split("a (b) \tc\t\td"), "a| (|b|)| |\tc|\t|\td");
    EXPECT_EQ(split("x !!\r\n\n y"), "x| !!\r\n\n| y");
    EXPECT_EQ(split("a \n \n  b\n"), "a| \n \n| | b|\n");
    EXPECT_EQ(split("a   5  "), "a|  | |5|  ");
    EXPECT_EQ(split("!a\nb"), "!a|\n|b");
  }
}

TEST(PreTokenizerTest, BrokenBytesAreNeitherLettersNorSpaces) {
  EXPECT_EQ(Split("a\xff\xfe!b \xe2\x82"), "a|\xff\xfe!|b| \xe2\x82");
}

TEST(PreTokenizerTest, LongRunsTakeLinearTime) {
  for (absl::string_view unit : {"a", " ", "1", "!", "'", " a", "\n", " \n", "'s", "\xff"}) {
    std::string text;
    while (text.size() < (1 << 20)) text += std::string(unit);
    size_t total = 0;
    for (auto kind : {PreTokenizer::kGpt2, PreTokenizer::kDigitsThenGpt2, PreTokenizer::kLlama3,
                      PreTokenizer::kQwen2}) {
      SplitWords(kind, text, [&](absl::string_view word) { total += word.size(); });
    }
    EXPECT_EQ(total, 4 * text.size());
  }
}

absl::StatusOr<PreTokenizer> Read(absl::string_view text) {
  return ReadPreTokenizer(*ParseJson(text));
}

TEST(PreTokenizerTest, KnowsGpt2AndSmolLm2AndRefusesTheRestByName) {
  const std::string byte_level = R"({"type":"ByteLevel","add_prefix_space":false})";
  const std::string digits = R"({"type":"Digits","individual_digits":true})";
  auto sequence = [](const std::string& parts) {
    return R"({"type":"Sequence","pretokenizers":[)" + parts + "]}";
  };
  EXPECT_EQ(*Read(byte_level), PreTokenizer::kGpt2);
  EXPECT_EQ(*Read(sequence(digits + "," + byte_level)), PreTokenizer::kDigitsThenGpt2);

  auto unknown = [](const std::string& text) {
    auto read = Read(text);
    EXPECT_EQ(read.status().code(), absl::StatusCode::kUnimplemented) << text;
    return std::string(read.status().message());
  };
  EXPECT_THAT(unknown(R"({"type":"Metaspace"})"), HasSubstr("Metaspace"));
  EXPECT_THAT(unknown(R"({"type":"ByteLevel","add_prefix_space":true})"),
              HasSubstr("add_prefix_space"));
  EXPECT_THAT(unknown(R"({"type":"ByteLevel","add_prefix_space":false,"use_regex":false})"),
              HasSubstr("use_regex"));
  EXPECT_THAT(unknown(sequence(R"({"type":"Split"},)" + byte_level)), HasSubstr("Split"));
  EXPECT_THAT(unknown(sequence(R"({"type":"Digits","individual_digits":false},)" + byte_level)),
              HasSubstr("individual_digits"));
  EXPECT_THAT(unknown(sequence(byte_level)), HasSubstr("Sequence of 1"));
  EXPECT_THAT(unknown(sequence(byte_level + "," + digits)), HasSubstr("ByteLevel"));
  EXPECT_FALSE(Read("{}").ok());
  EXPECT_FALSE(Read("[]").ok());
  EXPECT_FALSE(Read(sequence("1,2")).ok());
}

}  // namespace
}  // namespace reckon
