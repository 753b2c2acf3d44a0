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
      {"18", "18"},    {"18.", "18"},          {"18.0", "18"},   {"18.00", "18"},  {"+18", "18"},
      {"018", "18"},   {" 18\n", "18"},        {"$18", "18"},    {"18$", "18"},    {"-$18", "-18"},
      {"$-18", "-18"}, {"1,000.50", "1000.5"}, {"1,0", "10"},    {"0", "0"},       {"-0", "0"},
      {"-0.00", "0"},  {".5", "0.5"},          {"-.50", "-0.5"}, {"0.05", "0.05"}, {"100", "100"},
      {"", kNone},     {" ", kNone},           {".", kNone},     {"-", kNone},     {"-.", kNone},
      {",", kNone},    {"$", kNone},           {"18..", kNone},  {"1.2.3", kNone}, {"1-2", kNone},
      {"--1", kNone},  {"+-1", kNone},         {"1e5", kNone},   {"0x10", kNone},  {"1 000", kNone},
      {"inf", kNone},  {"nan", kNone},         {"1/2", kNone},
  };
  for (const auto& [text, number] : kNumbers) {
    EXPECT_EQ(Or(CanonicalNumber(text)), number) << '"' << text << '"';
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
      {"#### 18", true, "18", CORRECT},
      {"#### 1,000.0", false, "1000", CORRECT},
      {"#### 1000", false, "1,000", CORRECT},
      {"#### -0", false, "0", CORRECT},
      {"#### 19", false, "18", WRONG},
      {"#### 19", true, "18", WRONG},
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
  for (const char* part : {"7", ",", "#", "#### ", "#### -", "<<", ">>", "<<1", "<<\n", "$", "-",
                           ".", "<", "-$", "<< ", ">>\n<<", "0", " "}) {
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

}  // namespace
}  // namespace reckon
