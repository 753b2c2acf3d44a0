#include <gtest/gtest.h>
#include <pthread.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/rng.h"
#include "common/task/reward/exact_match.h"
#include "common/task/reward/solution_steps.h"
#include "common/testing/cpu_time.h"

namespace reckon {
namespace {

struct Attempt {
  std::string completion;
  bool strict = false;    // right by GSM8K's rule: its first "#### N" is 42
  bool flexible = false;  // right by lm-evaluation-harness's: its last number is 42
};

std::string Times(int n, const std::string& piece) {
  std::string out;
  out.reserve(n * piece.size());
  for (int i = 0; i < n; ++i) out += piece;
  return out;
}

// Completions that try to stall the reward, or to be correct without the answer 42.
std::vector<Attempt> Attempts() {
  std::vector<Attempt> all;
  // A million copies of one piece, alone and before what looks like an answer.
  for (const char* piece : {"(",
                            "{",
                            ",",
                            "-",
                            "#",
                            "$",
                            ".",
                            "0",
                            "9",
                            " ",
                            "\n",
                            "<",
                            ">",
                            "%",
                            "/",
                            "<<",
                            "####",
                            "#### ",
                            "#### -",
                            "-$",
                            "1,",
                            "1.",
                            "\\boxed{",
                            "\xff",
                            "\xe2\x80\x8f",
                            "４２ ",
                            "\xd9\xa4\xd9\xa2 "}) {
    const std::string many = Times(1000000 / std::char_traits<char>::length(piece), piece);
    all.push_back({many});
    all.push_back({many + "41"});
    all.push_back({"#### 41" + many});
    all.push_back({many + "\n#### x"});
  }
  // Numbers that are no 42, whatever arithmetic is done on them.
  for (const char* number : {"1e999999999",
                             "9^9^9^9",
                             "0/0",
                             "84/2",
                             "4 2",
                             "4,2.",
                             "0x2a",
                             "42e0",
                             "4.2e1",
                             "42.0000001",
                             "41.99999999999999999999",
                             "-42",
                             "042.1",
                             "1,042",
                             "42,000",
                             "4242",
                             "42%43",
                             "NaN",
                             "inf",
                             "forty-two",
                             "４２",
                             "\xd9\xa4\xd9\xa2",
                             "XLII",
                             "42\xcc\xb6"
                             "1",
                             "--42",
                             "42-",
                             "..42",
                             "42..",
                             "$-42",
                             "- 42",
                             "42 or 43",
                             "1/3",
                             "0.333"}) {
    all.push_back({absl::StrCat("#### 41\nso it is ", number, " is it not 41")});
    all.push_back({absl::StrCat("#### ", "41 ", number, " 41")});
    all.push_back({absl::StrCat("#### x", number, "x 41")});
  }
  // Hedging and decoys.
  std::string every;
  for (int i = 0; i < 100; ++i) absl::StrAppend(&every, i, " ");
  all.push_back({every});
  all.push_back({"#### " + every});
  all.push_back({"#### 41 #### 42 or 41"});
  all.push_back({Times(1000, "#### 41\n")});
  all.push_back({Times(1000, "42 ") + "43"});
  all.push_back(
      {"<<6*7=42>>"
       "43"});
  all.push_back({"The question says 42 apples and 7 pears."});
  all.push_back({std::string("4\0002", 3)});
  all.push_back({"#### " + Times(100000, "1")});
  all.push_back({"#### 42" + Times(100000, "0")});
  all.push_back({"#### 0." + Times(100000, "0") + "42"});
  // What does win, by the published rules.
  all.push_back({"#### 42", true, true});
  all.push_back({"so #### 42 and not 43", true, false});
  all.push_back({"#### 43, no, 42", false, true});
  all.push_back({"#### 42." + Times(100000, "0"), true, true});
  all.push_back({"#### " + Times(100000, "0") + "42", true, true});
  all.push_back({Times(1000000, "(") + "#### 42", true, true});
  return all;
}

Verdict VerdictOf(RewardSpec::Kind kind, const std::string& completion,
                  const std::string& reference) {
  RewardSpec spec;
  spec.set_kind(kind);
  return ScoreAnswer(spec, completion, false, reference).verdict();
}

// On a stack that recursion over a million characters would overrun.
void* ScoreAll(void*) {
  const std::vector<Attempt> attempts = Attempts();
  EXPECT_GE(attempts.size(), 200u);
  for (const Attempt& attempt : attempts) {
    const std::string shown = attempt.completion.substr(0, 60);
    const absl::Duration begin = ThreadCpuTime();
    EXPECT_EQ(VerdictOf(RewardSpec::EXACT_MATCH_STRICT, attempt.completion, "42") == CORRECT,
              attempt.strict)
        << shown;
    EXPECT_EQ(VerdictOf(RewardSpec::EXACT_MATCH_FLEXIBLE, attempt.completion, "42") == CORRECT,
              attempt.flexible)
        << shown;
    EquationKey(attempt.completion);
    const absl::Duration took = ThreadCpuTime() - begin;
    // 5 ms for each 100 KiB and each of the three, and ten times that for a slow machine.
    EXPECT_LT(took, absl::Milliseconds(150) * (1 + attempt.completion.size() / 102400)) << shown;
  }
  return nullptr;
}

TEST(HostileCompletionTest, NeitherStallsNorFoolsTheReward) {
  pthread_attr_t attributes;
  ASSERT_EQ(pthread_attr_init(&attributes), 0);
  ASSERT_EQ(pthread_attr_setstacksize(&attributes, 256 << 10), 0);
  pthread_t thread;
  ASSERT_EQ(pthread_create(&thread, &attributes, ScoreAll, nullptr), 0);
  ASSERT_EQ(pthread_join(thread, nullptr), 0);
  pthread_attr_destroy(&attributes);
}

TEST(HostileCompletionTest, SpellingsOfOneNumberCountTheSame) {
  CounterRng rng(StreamKey(1, "spellings"));
  for (int i = 0; i < 1000; ++i) {
    const uint64_t number = rng.Below(10000000, i);
    const std::string plain = absl::StrCat(number);
    std::string commas = plain;
    for (int at = static_cast<int>(plain.size()) - 3; at > 0; at -= 3) commas.insert(at, ",");
    for (const std::string& spelling : {plain, commas, plain + ".0", plain + ".", "0" + plain}) {
      for (const char* after : {"", "\n", "  "}) {
        const std::string completion = absl::StrCat("so\n#### ", spelling, after);
        EXPECT_EQ(VerdictOf(RewardSpec::EXACT_MATCH_STRICT, completion, plain), CORRECT)
            << completion;
      }
    }
    const std::string other = absl::StrCat("#### ", number + 1 + rng.Below(9, i, 1));
    EXPECT_EQ(VerdictOf(RewardSpec::EXACT_MATCH_STRICT, other, plain), WRONG) << other;
  }
}

}  // namespace
}  // namespace reckon
