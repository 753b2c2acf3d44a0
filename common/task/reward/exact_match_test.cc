#include "common/task/reward/exact_match.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "common/task/reward/number.h"
#include "common/task/reward/solution_steps.h"
#include "common/testing/cpu_time.h"

namespace reckon {
namespace {

using ::testing::Optional;

constexpr char kNone[] = "(none)";

std::string Or(const std::optional<std::string>& text) { return text.value_or(kNone); }

RewardSpec Spec(RewardSpec::Kind kind) {
  RewardSpec spec;
  spec.set_name("match");
  spec.set_kind(kind);
  return spec;
}

// Each row as lm-evaluation-harness's filters give it (tests/parity/answer_parity.py compares with
// the same expressions run by Python).
struct Row {
  std::string completion, strict, flexible;
};

const Row kRows[] = {
    {"#### 18", "18", "18"},
    {"####18", kNone, "18"},
    {"####  18", kNone, "18"},
    {"#### 18.", "18.", "18."},
    {"#### 18.0", "18.0", "18.0"},
    {"#### 18,", "18,", "18,"},
    {"#### 1,000", "1,000", "1,000"},
    {"#### -5", "-5", "-5"},
    {"#### --5", kNone, "-5"},
    {"#### - 5", kNone, "5"},
    {"#### +5", kNone, "5"},
    {"#### $18", kNone, "$18"},
    {"#### -$18", kNone, "-$18"},
    {"#### 18$", "18", "18$"},
    {"#### 18%", "18", "18"},
    {"#### 18 apples", "18", "18"},
    {"#### 18\n#### 19", "18", "19"},
    {"#### x\n#### 19", "19", "19"},
    {"##### 7", "7", "7"},
    {"### 7", kNone, "7"},
    {"#### #### 7", "7", "7"},
    {"#### ", kNone, kNone},
    {"#### .", ".", kNone},
    {"#### ,,", ",,", ",,"},
    {"#### -", kNone, kNone},
    {"#### -.", "-.", kNone},
    {"#### 1.2.3", "1.2.3", "1.2.3"},
    {"#### 1/2", "1", "2"},
    {"#### 1e5", "1", "5"},
    {"#### 0.50", "0.50", "0.50"},
    {"#### .5", ".5", ".5"},
    {"#### 007", "007", "007"},
    {"####\n18", kNone, "18"},
    {"####\t18", kNone, "18"},
    {"#### \n18", kNone, "18"},
    {"text #### 3 more 4", "3", "4"},
    {"", kNone, kNone},
    {"no number", kNone, kNone},
    {"#", kNone, kNone},
    {"####", kNone, kNone},
    {"18", kNone, "18"},
    {"5", kNone, "5"},
    {"-5", kNone, "-5"},
    {"--5", kNone, "-5"},
    {"5-", kNone, "5"},
    {"5-3", kNone, "-3"},
    {"3 - 5", kNone, "5"},
    {"5 - ", kNone, "5"},
    {"$5", kNone, "$5"},
    {"$", kNone, kNone},
    {"$$", kNone, "$$"},
    {"-$5", kNone, "-$5"},
    {"$-5", kNone, "-5"},
    {"5.", kNone, "5."},
    {"5. ", kNone, "5."},
    {".5", kNone, ".5"},
    {".", kNone, kNone},
    {"-.", kNone, kNone},
    {"..", kNone, ".."},
    {"-..", kNone, "-.."},
    {"The answer is 18. Done.", kNone, "18."},
    {"The answer is 18...", kNone, "18..."},
    {"18 and so on ...", kNone, "..."},
    {"18 apples, 3 pears,, end", kNone, ",,"},
    {"18, end.", kNone, "18,"},
    {"1,234,567.89", kNone, "1,234,567.89"},
    {"1 234", kNone, "234"},
    {"12:30", kNone, "30"},
    {"50%", kNone, "50"},
    {"x5y", kNone, "5"},
    {"a1b2c3", kNone, "3"},
    {"\xE2\x88\x92"
     "5",
     kNone, "5"},                         // U+2212, another minus
    {"\xEF\xBC\x95", kNone, kNone},       // U+FF15, another 5
    {std::string("1\0", 2), kNone, "1"},  // a zero byte
    {"<<48/2=24>>24 clips.", kNone, "24"},
    {"She has 24 clips", kNone, "24"},
};

TEST(ExtractTest, AgreesWithLmEvaluationHarnessOnAwkwardAnswers) {
  for (const Row& row : kRows) {
    EXPECT_EQ(Or(ExtractStrict(row.completion)), row.strict) << row.completion;
    EXPECT_EQ(Or(ExtractFlexible(row.completion)), row.flexible) << row.completion;
  }
}

TEST(CanonicalNumberTest, IsTheSameForAllSpellingsOfANumber) {
  const struct {
    const char *text, *number;
  } kNumbers[] = {
      {"18", "18"},
      {"18.", "18"},
      {"18.0", "18"},
      {"18.00", "18"},
      {"+18", "18"},
      {"018", "18"},
      {" 18\n", "18"},
      {"$18", "18"},
      {"18$", "18"},
      {"-$18", "-18"},
      {"$-18", "-18"},
      {"1,000.50", "1000.5"},
      {"1,0", "10"},
      {"0", "0"},
      {"-0", "0"},
      {"-0.00", "0"},
      {".5", "0.5"},
      {"-.50", "-0.5"},
      {"0.05", "0.05"},
      {"100", "100"},
      {"", kNone},
      {" ", kNone},
      {".", kNone},
      {"-", kNone},
      {"-.", kNone},
      {",", kNone},
      {"$", kNone},
      {"18..", kNone},
      {"1.2.3", kNone},
      {"1-2", kNone},
      {"--1", kNone},
      {"+-1", kNone},
      {"0x10", kNone},
      {"inf", kNone},
      {"nan", kNone},
      // Thousands by spaces.
      {"1 000", "1000"},
      {"12 345 678.50", "12345678.5"},
      {"1\xc2\xa0"
       "000",
       "1000"},
      {"1\xe2\x80\xaf"
       "000",
       "1000"},
      {"1 00", kNone},
      {"1000 000", kNone},
      {"1  000", kNone},
      {"1 000 0", kNone},
      {"12 ", "12"},
      {"1. 000", kNone},
      // Exponents.
      {"1e5", "100000"},
      {"-2.5E-3", "-0.0025"},
      {"1.5e+1", "15"},
      {"0e9", "0"},
      {"120e-1", "12"},
      {"1e", kNone},
      {"e5", kNone},
      {"1e5.5", kNone},
      {"1e401", kNone},
      {"1e-999", kNone},
      // Fractions.
      {"1/2", "0.5"},
      {"2/4", "0.5"},
      {"6/3", "2"},
      {"-1/3", "-1/3"},
      {"2/6", "1/3"},
      {"3 1/2", "3.5"},
      {"-3 1/3", "-10/3"},
      {"10/3", "10/3"},
      {"1 / 2", "0.5"},
      {"0/7", "0"},
      {"1/0", kNone},
      {"1/2/3", kNone},
      {"1/-2", kNone},
      {"1.5/2", kNone},
      {"3 5/2", kNone},
      {"1/1000000000", kNone},
      {"1/100000000", "0.00000001"},
      {"1000000000/3", "1000000000/3"},
      {"999999999 999999998/999999999", "999999998999999999/999999999"},
      {"7/536870912", "0.00000001303851604461669921875"},
      // Units.
      {"25%", "25"},
      {"25 %", "25"},
      {"25%.", "25"},
      {"%", kNone},
      {"%25", kNone},
      {"10:30", kNone},
      {"18 apples", kNone},
      {"5th", kNone},
  };
  for (const auto& [text, number] : kNumbers) {
    EXPECT_EQ(Or(CanonicalNumber(text)), number) << '"' << text << '"';
    EXPECT_EQ(Or(CanonicalNumber(number)), number) << "the form of a form";
  }
}

TEST(ScoreAnswerTest, TellsTheKindsOfFailureApart) {
  const RewardSpec strict = Spec(RewardSpec::EXACT_MATCH_STRICT);
  const struct {
    const char* completion;
    bool truncated;
    const char* reference;
    Verdict verdict;
  } kCases[] = {
      {"#### 18", false, "18", CORRECT},
      {"#### 18\n", true, "18", CORRECT},
      {"#### 18 apples", true, "18", CORRECT},
      {"#### 18", true, "18", TRUNCATED},  // of "#### 180", perhaps
      {"#### 18 ", true, "18", TRUNCATED},
      {"#### 18/", true, "18", TRUNCATED},
      {"#### 18e", true, "18", TRUNCATED},
      {"#### 1,000.0", false, "1000", CORRECT},
      {"#### 1000", false, "1,000", CORRECT},
      {"#### -0", false, "0", CORRECT},
      {"#### 19", false, "18", WRONG},
      {"#### 19\n", true, "18", WRONG},
      {"#### 1/2", false, "0.5", CORRECT},
      {"#### 1/2", false, "1", WRONG},
      {"#### 3 1/2 cups", false, "3.5", CORRECT},
      {"#### 3", false, "3 1/2", WRONG},
      {"#### 1e5", false, "100,000", CORRECT},
      {"#### 1e5", false, "1", WRONG},
      {"#### 1 000", false, "1000", CORRECT},
      {"#### 25%", false, "25", CORRECT},
      {"#### 25", false, "25%", CORRECT},
      {"#### 3\xc2\xbd", false, "3", UNPARSABLE},
      {"#### 10:30", false, "10", UNPARSABLE},
      {"#### 5 - 3 = 2", false, "5", UNPARSABLE},
      {"#### 18", false, "10:30", REFERENCE_UNPARSABLE},
      {"#### -18", false, "18", WRONG},
      {"it is 18", false, "18", UNPARSABLE},
      {"it is 18", true, "18", TRUNCATED},
      {"#### ,", false, "18", UNPARSABLE},
      {"#### .", true, "18", TRUNCATED},
      {"#### 18..", false, "18", UNPARSABLE},
      {"", false, "18", UNPARSABLE},
      {"#### 18", false, "eighteen", REFERENCE_UNPARSABLE},
      {"", true, "", REFERENCE_UNPARSABLE},
      {"#### x", false, "x", REFERENCE_UNPARSABLE},
  };
  for (const auto& c : kCases) {
    const RewardValue value = ScoreAnswer(strict, c.completion, c.truncated, c.reference);
    EXPECT_EQ(value.verdict(), c.verdict) << c.completion << " / " << c.reference;
    EXPECT_EQ(value.value(), c.verdict == CORRECT ? 1 : 0) << c.completion;
    EXPECT_EQ(value.name(), "match");
  }
}

TEST(FindAnswerTest, WidensAMatchToTheWholeExpression) {
  const struct {
    const char *text, *strict, *flexible;
  } kCases[] = {
      {"#### 1/2", "1/2", "1/2"},
      {"#### 3 1/2 cups", "3 1/2", "3 1/2"},
      {"#### -3 1/2", "-3 1/2", "-3 1/2"},
      {"#### 1e5 m", "1e5", "1e5"},
      {"#### 1e-5", "1e-5", "1e-5"},
      {"#### 1e+5.", "1e+5.", "1e+5."},
      {"#### 1 000", "1 000", "000"},
      {"#### 1\xc2\xa0"
       "000",
       "1\xc2\xa0"
       "000",
       "1\xc2\xa0"
       "000"},
      {"#### 10:30", "10:30", "10:30"},
      {"#### 48/2=24", "48/2=24", "24"},
      {"#### 18. 5 apples are left", "18.", "5"},
      {"#### 18\n5 apples", "18", "5"},
      {"#### 18 apples, 5 pears", "18", "5"},
      {"#### 18 e5", "18", "5"},
      {"3\xc2\xbd", kNone, "3\xc2\xbd"},
      {"5/", kNone, "5"},
      {"a/5", kNone, "5"},
      {"at 9 1/2 is left", kNone, "9 1/2"},
      {"24>>24", kNone, "24"},
  };
  for (const auto& c : kCases) {
    const auto strict = FindStrict(c.text), flexible = FindFlexible(c.text);
    EXPECT_EQ(strict.has_value() ? strict->text : kNone, c.strict) << c.text;
    EXPECT_EQ(flexible.has_value() ? flexible->text : kNone, c.flexible) << c.text;
  }
}

TEST(ScoreAnswerTest, ANumberThatTheLimitCutIsNoAnswer) {
  const RewardSpec flexible = Spec(RewardSpec::EXACT_MATCH_FLEXIBLE);
  for (const char* text : {"It is 18", "#### 18", "It is 18 "}) {
    const RewardValue cut = ScoreAnswer(flexible, text, /*truncated=*/true, "18");
    EXPECT_EQ(cut.verdict(), TRUNCATED) << text;
    EXPECT_EQ(cut.value(), 0) << text;
    EXPECT_EQ(cut.extracted(), "") << text;  // it has no vote
    EXPECT_EQ(ScoreAnswer(flexible, text, /*truncated=*/false, "18").verdict(), CORRECT) << text;
  }
  EXPECT_EQ(ScoreAnswer(flexible, "It is 18 apples", true, "18").verdict(), CORRECT);
}

TEST(ScoreAnswerTest, FollowsTheRuleOfTheSpec) {
  const char kCompletion[] = "#### 18\nOr rather $1,900.";
  EXPECT_EQ(ScoreAnswer(Spec(RewardSpec::EXACT_MATCH_STRICT), kCompletion, false, "18").verdict(),
            CORRECT);
  const RewardValue flexible =
      ScoreAnswer(Spec(RewardSpec::EXACT_MATCH_FLEXIBLE), kCompletion, false, "1900");
  EXPECT_EQ(flexible.verdict(), CORRECT);
  EXPECT_EQ(flexible.extracted(), "$1,900.");  // as written
}

TEST(ScoreAnswerTest, DoesNotRoundNumbers) {
  const RewardSpec strict = Spec(RewardSpec::EXACT_MATCH_STRICT);
  const std::string many(400, '7');
  EXPECT_EQ(ScoreAnswer(strict, "#### " + many, false, many).verdict(), CORRECT);
  EXPECT_EQ(ScoreAnswer(strict, "#### " + many, false, many.substr(1) + "8").verdict(), WRONG);
  EXPECT_EQ(ScoreAnswer(strict, "#### 9007199254740993", false, "9007199254740992").verdict(),
            WRONG);
  EXPECT_EQ(ScoreAnswer(strict, "#### 0.30000000000000004", false, "0.3").verdict(), WRONG);
  EXPECT_EQ(ScoreAnswer(strict, "#### 12.00000000000000000000000001", false, "12").verdict(),
            WRONG);
}

TEST(EquationKeyTest, IsTheMarksWithoutSpaces) {
  EXPECT_EQ(
      EquationKey("She sold 48/2 = <<48/2=24>>24 clips.\nIn all <<48 + 24 = 72>>72.\n#### 72"),
      "<<48/2=24>><<48+24=72>>");
  EXPECT_EQ(EquationKey("Sold <<48/2=24>>24. Then <<48+24=72>>."), "<<48/2=24>><<48+24=72>>");
  EXPECT_NE(EquationKey("<<48+24=72>><<48/2=24>>"), EquationKey("<<48/2=24>><<48+24=72>>"));
  EXPECT_EQ(EquationKey("<<1=1>>>"), "<<1=1>>");
  EXPECT_EQ(EquationKey("<<<1=1>>"), "<<<1=1>>");
  EXPECT_EQ(EquationKey("<<>>"), "<<>>");
  EXPECT_EQ(EquationKey("<<1 <<2>> >>"), "<<1<<2>>");
}

TEST(EquationKeyTest, TakesOnlyMarksThatCloseOnTheirLine) {
  EXPECT_EQ(EquationKey("a <<1=1\n<<2=2>>"), "<<2=2>>");
  EXPECT_EQ(EquationKey("<<1=1 <<2=2\n>> <<3=3>>"), "<<3=3>>");
  EXPECT_EQ(EquationKey("<<1=1>> <<2=2"), "<<1=1>>");
}

TEST(EquationKeyTest, IsTheTextWhereThereAreNoMarks) {
  EXPECT_EQ(EquationKey("  She has\n\n 5\tapples. \n"), "She has 5 apples.");
  EXPECT_EQ(EquationKey(""), "");
  EXPECT_EQ(EquationKey(" \n "), "");
  // A text never passes for marks.
  EXPECT_NE(EquationKey("<<1=1\n>>"), EquationKey("<<1=1>>"));
  EXPECT_NE(EquationKey("1=1"), EquationKey("<<1=1>>"));
}

TEST(AnswerTest, AMegabyteOfAnythingTakesNoTime) {
  for (const char* part : {"7",    ",", "#",  "#### ", "#### -", "<<", ">>",        "<<1",
                           "<<\n", "$", "-",  ".",     "<",      "-$", "<< ",       ">>\n<<",
                           "0",    " ", "1/", "1 ",    "1e",     "1:", "1\xc2\xa0", "7 777"}) {
    std::string text;
    while (text.size() < (1 << 20)) text += part;
    const absl::Duration start = ThreadCpuTime();
    for (auto kind : {RewardSpec::EXACT_MATCH_STRICT, RewardSpec::EXACT_MATCH_FLEXIBLE}) {
      ScoreAnswer(Spec(kind), text, false, "18");
      ScoreAnswer(Spec(kind), absl::StrCat("#### ", text), false, text);
    }
    EquationKey(text);
    EXPECT_LT(ThreadCpuTime() - start, absl::Milliseconds(250))
        << part;  // scored four times, and its key
  }
}

TEST(ScoreAnswerTest, ATextIsWhatFollowsTheLastMark) {
  RewardSpec spec;
  spec.set_kind(RewardSpec::ANSWER_TEXT);
  const struct {
    const char *completion, *reference;
    bool truncated;
    Verdict verdict;
  } kCases[] = {
      {"So.\n#### paris.", "Paris", false, CORRECT},
      {"#### London\n#### Paris", "Paris", false, CORRECT},
      {"#### Paris, Texas", "Paris", false, WRONG},
      {"Paris", "Paris", false, UNPARSABLE},
      {"#### Pari", "Paris", true, TRUNCATED},
      {"#### Paris\n", "Paris", true, CORRECT},
      {"#### Paris", " ", false, REFERENCE_UNPARSABLE},
  };
  for (const auto& c : kCases) {
    const RewardValue value = ScoreAnswer(spec, c.completion, c.truncated, c.reference);
    EXPECT_EQ(value.verdict(), c.verdict) << c.completion;
    EXPECT_EQ(value.value(), c.verdict == CORRECT ? 1 : 0);
  }
  EXPECT_EQ(CanonicalAnswer(RewardSpec::ANSWER_TEXT, " The  Seine."), "the seine");
}

}  // namespace
}  // namespace reckon
