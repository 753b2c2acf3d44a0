#include "common/task/builtin/builtin.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/task/builtin/builtin_stories.h"

namespace reckon {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

BuiltinProblems Steps(uint32_t least, uint32_t most, uint64_t seed = 0) {
  BuiltinProblems settings;
  settings.set_min_steps(least);
  settings.set_max_steps(most);
  settings.set_seed(seed);
  return settings;
}

std::vector<Problem> Make(const BuiltinProblems& settings, Split split, uint64_t count) {
  auto problems = MakeBuiltinProblems(settings, split, count);
  EXPECT_TRUE(problems.ok()) << problems.status();
  return problems.ok() ? *std::move(problems) : std::vector<Problem>();
}

std::set<std::string> Questions(const std::vector<Problem>& problems) {
  std::set<std::string> questions;
  for (const Problem& problem : problems) questions.insert(problem.question);
  return questions;
}

// The number before `text[end]`.
int64_t NumberBefore(const std::string& text, size_t end) {
  size_t start = end;
  while (start > 0 && isdigit(text[start - 1])) --start;
  int64_t value = -1;
  EXPECT_TRUE(absl::SimpleAtoi(text.substr(start, end - start), &value)) << text;
  return value;
}

// Reads "a*b=<<a*b=c>>c" in a line by itself, and gives c.
int64_t CheckLine(const std::string& line) {
  const size_t open = line.find("<<"), close = line.find(">>");
  if (open == std::string::npos || close == std::string::npos) {
    ADD_FAILURE() << "no mark: " << line;
    return -1;
  }
  const std::string mark = line.substr(open + 2, close - open - 2);
  const size_t op = mark.find_first_of("+-*/"), equals = mark.find('=');
  const int64_t left = NumberBefore(mark, op), right = NumberBefore(mark, equals),
                result = NumberBefore(mark, mark.size());
  switch (mark[op]) {
    case '+':
      EXPECT_EQ(left + right, result) << line;
      break;
    case '-':
      EXPECT_EQ(left - right, result) << line;
      break;
    case '*':
      EXPECT_EQ(left * right, result) << line;
      break;
    default:
      EXPECT_EQ(right * result, left) << line;  // exact
  }
  // The same sum before the mark and the same result after it.
  EXPECT_TRUE(absl::EndsWith(line.substr(0, open), mark.substr(0, equals + 1))) << line;
  EXPECT_TRUE(absl::StartsWith(line.substr(close + 2), absl::StrCat(result))) << line;
  EXPECT_TRUE(isupper(line[0]) || isdigit(line[0])) << line;
  EXPECT_EQ(line.back(), '.') << line;
  return result;
}

TEST(BuiltinTest, SolutionsAreRightLineByLine) {
  for (const Problem& problem : Make(Steps(1, 4), Split::kTrain, 5000)) {
    std::vector<std::string> lines = absl::StrSplit(problem.solution, '\n');
    ASSERT_GE(lines.size(), 2u) << problem.solution;
    EXPECT_EQ(lines.back(), "#### " + problem.answer);
    lines.pop_back();
    int64_t result = -1;
    for (const std::string& line : lines) result = CheckLine(line);
    EXPECT_EQ(absl::StrCat(result), problem.answer) << problem.solution;
    EXPECT_GT(result, 0) << problem.question;
    EXPECT_THAT(problem.question + problem.solution, Not(HasSubstr("{")));
    EXPECT_THAT(problem.question + problem.solution, Not(HasSubstr("  ")));
    EXPECT_EQ(problem.question.back(), '?') << problem.question;
    EXPECT_EQ(std::count(problem.question.begin(), problem.question.end(), '?'), 1);
  }
}

TEST(BuiltinTest, EveryNumberOfTheSolutionIsKnownFromTheQuestionOrAnEarlierLine) {
  auto numbers = [](const std::string& text) {
    std::set<std::string> found;
    for (size_t i = 0; i < text.size();) {
      size_t end = i;
      while (end < text.size() && isdigit(text[end])) ++end;
      if (end > i) found.insert(text.substr(i, end - i));
      i = std::max(end, i + 1);
    }
    return found;
  };
  for (const Problem& problem : Make(Steps(1, 4, 3), Split::kTrain, 5000)) {
    std::set<std::string> known = numbers(problem.question);
    known.insert("2");  // half, twice, double, there and back
    for (const auto& line : absl::StrSplit(problem.solution, '\n')) {
      const std::string text(line);
      for (const std::string& number : numbers(text.substr(0, text.find('=')))) {
        EXPECT_TRUE(known.count(number)) << number << "\n"
                                         << problem.question << "\n"
                                         << problem.solution;
      }
      for (const std::string& number : numbers(text)) known.insert(number);
    }
  }
}

TEST(BuiltinTest, HasAsManyStepsAsAskedFor) {
  for (uint32_t least = 1; least <= 4; ++least) {
    for (uint32_t most = least; most <= 4; ++most) {
      std::set<uint32_t> seen;
      for (const Problem& problem : Make(Steps(least, most), Split::kEval, 200)) {
        seen.insert(std::count(problem.solution.begin(), problem.solution.end(), '\n'));
      }
      EXPECT_EQ(*seen.begin(), least);
      EXPECT_EQ(*seen.rbegin(), most);
      EXPECT_EQ(seen.size(), most - least + 1);
    }
  }
}

TEST(BuiltinTest, SplitsShareNoProblemWhateverTheSeeds) {
  // Not even one that differs in names and objects only: the arithmetic of a story is in one split.
  const auto train = Questions(Make(Steps(1, 4, 1), Split::kTrain, 20000));
  EXPECT_EQ(train.size(), 20000u);
  for (uint64_t seed : {1, 2}) {
    for (const std::string& question : Questions(Make(Steps(1, 4, seed), Split::kEval, 5000))) {
      EXPECT_EQ(train.count(question), 0u) << question;
    }
  }
}

TEST(BuiltinTest, IsAFunctionOfTheSeed) {
  const auto first = Make(Steps(1, 4, 7), Split::kTrain, 300);
  const auto again = Make(Steps(1, 4, 7), Split::kTrain, 100);
  for (size_t i = 0; i < again.size(); ++i) {
    EXPECT_EQ(again[i].question, first[i].question);  // and more only appends
    EXPECT_EQ(again[i].solution, first[i].solution);
  }
  EXPECT_NE(Make(Steps(1, 4, 8), Split::kTrain, 1)[0].question, first[0].question);
  EXPECT_EQ(first[16].source, "builtin:train:17");
  // Written out so that a change of the generator, which changes every run's data, is noticed.
  EXPECT_EQ(
      first[0].question,
      "Mark drives for 7 hours at 34 miles an hour. On the way he takes a rest every 17 miles, "
      "also at the end. Every rest takes 9 minutes. How many minutes does he rest in all?");
  EXPECT_EQ(first[0].solution,
            "Mark drives 7*34=<<7*34=238>>238 miles.\n"
            "He rests 238/17=<<238/17=14>>14 times.\n"
            "He rests 14*9=<<14*9=126>>126 minutes.\n#### 126");
}

// The longest words of an opening that are the same in all its problems.
std::string FixedWords(const Opening& opening) {
  std::string longest;
  for (absl::string_view piece : absl::StrSplit(opening.tell, absl::ByAnyChar("{}"))) {
    if (piece.size() > longest.size()) longest = std::string(piece);
  }
  return longest;
}

TEST(BuiltinTest, EveryStoryHasProblemsOfEveryLength) {
  EXPECT_GE(BuiltinStories().size(), 12u);
  for (Split split : {Split::kTrain, Split::kEval}) {
    for (uint32_t steps = 1; steps <= 4; ++steps) {
      std::set<std::string> told;
      for (const Problem& problem : Make(Steps(steps, steps), split, 1500)) {
        for (const Story& story : BuiltinStories()) {
          for (const Opening& opening : story.openings) {
            if (absl::StrContains(problem.question, FixedWords(opening))) {
              told.insert(std::string(story.name));
            }
          }
        }
      }
      EXPECT_EQ(told.size(), BuiltinStories().size()) << steps << ": " << absl::StrJoin(told, " ");
    }
  }
}

TEST(BuiltinTest, NoNumberIsAboveMaxNumber) {
  BuiltinProblems settings = Steps(2, 2);
  settings.set_max_number(30);
  for (const Problem& problem : Make(settings, Split::kTrain, 400)) {
    std::string text = problem.question + " " + problem.solution;
    for (char& c : text) {
      if (!isdigit(c)) c = ' ';
    }
    for (absl::string_view number : absl::StrSplit(text, ' ', absl::SkipEmpty())) {
      int64_t value = -1;
      ASSERT_TRUE(absl::SimpleAtoi(number, &value));
      EXPECT_LE(value, 30) << problem.question << "\n" << problem.solution;
    }
  }
}

TEST(BuiltinTest, RefusesWhatItCannotDo) {
  EXPECT_EQ(MakeBuiltinProblems(Steps(0, 2), Split::kTrain, 1).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(MakeBuiltinProblems(Steps(3, 2), Split::kTrain, 1).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(MakeBuiltinProblems(Steps(1, 5), Split::kTrain, 1).status().message(),
              HasSubstr("max_steps 5"));
  BuiltinProblems tight = Steps(1, 1);
  tight.set_max_number(9);
  EXPECT_THAT(MakeBuiltinProblems(tight, Split::kTrain, 1).status().message(),
              HasSubstr("max_number: 9 must be at least 10"));
}

}  // namespace
}  // namespace reckon
