#include "common/task/dataset/word_problem.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/base/printable.h"
#include "common/base/status_macros.h"
#include "common/task/dataset/equation.h"

namespace reckon {
namespace {

using nlohmann::json;

constexpr absl::string_view kPlaceholder = "number";

absl::Status BadField(absl::string_view what) { return absl::InvalidArgumentError(what); }

bool HasFields(const json& record, std::initializer_list<absl::string_view> names) {
  return std::all_of(names.begin(), names.end(),
                     [&](absl::string_view name) { return FindField(record, name) != nullptr; });
}

// "25", "25.0" and 25.0 alike.
absl::StatusOr<double> ReadNumber(const json& value, absl::string_view field) {
  double number;
  if (value.is_number()) return value.get<double>();
  if (value.is_string() && absl::SimpleAtod(value.get_ref<const std::string&>(), &number) &&
      std::isfinite(number)) {
    return number;
  }
  return BadField(absl::StrCat("field \"", field, "\" is not a number"));
}

// Equal up to rounding: thirds are written as floats, money in cents.
bool GivesAnswer(double value, double answer) {
  if (std::abs(value - answer) <= 1e-6 * std::max(1.0, std::abs(answer))) return true;
  const std::string text = PlainNumber(answer);
  const size_t dot = text.find('.');
  if (dot == std::string::npos) return false;
  return std::abs(value - answer) <= 0.5 * std::pow(10.0, -double(text.size() - dot - 1));
}

absl::StatusOr<Problem> WithAnswer(std::string question, const WorkedEquation& worked,
                                   const json& record) {
  ASSIGN_OR_RETURN(const double answer, ReadNumber(record["Answer"], "Answer"));
  Problem problem;
  problem.question = std::move(question);
  problem.answer = PlainNumber(answer);
  if (GivesAnswer(worked.value, answer)) {
    problem.solution = absl::StrCat(worked.steps, "#### ", problem.answer);
  }
  return problem;
}

// Replaces each word "number<i>" by numbers[i].
absl::StatusOr<std::string> Fill(absl::string_view text, const std::vector<std::string>& numbers,
                                 absl::string_view field) {
  std::vector<std::string> words;
  for (absl::string_view word : absl::StrSplit(text, ' ', absl::SkipWhitespace())) {
    absl::string_view digits = word;
    uint32_t index;
    if (!absl::ConsumePrefix(&digits, kPlaceholder) || digits.empty() ||
        !absl::SimpleAtoi(digits, &index)) {
      words.emplace_back(word);
      continue;
    }
    if (index >= numbers.size()) {
      return BadField(absl::StrCat("field \"", field, "\": ", Printable(word),
                                   " but field \"Numbers\" has ", numbers.size()));
    }
    words.push_back(numbers[index]);
  }
  return absl::StrJoin(words, " ");
}

// Removes the spaces that tokenisation put before punctuation, and capitalises sentences and "i".
std::string RepairSpacing(absl::string_view text) {
  std::string out = absl::StrReplaceAll(text, {{" ’ s ", "’s "}, {" ’ ", "’"}});
  out = absl::StrReplaceAll(out, {{" .", "."},
                                  {" ,", ","},
                                  {" ?", "?"},
                                  {" !", "!"},
                                  {" ;", ";"},
                                  {" :", ":"},
                                  {" %", "%"},
                                  {" 's", "'s"},
                                  {" n't", "n't"},
                                  {" 've", "'ve"},
                                  {" 're", "'re"},
                                  {" 'll", "'ll"},
                                  {"$ ", "$"},
                                  {"( ", "("},
                                  {" )", ")"},
                                  {"`` ", "\""},
                                  {" ''", "\""},
                                  {" i ", " I "}});
  bool begins = true;
  for (char& c : out) {
    if (begins && absl::ascii_isalpha(c)) c = absl::ascii_toupper(c);
    if (!absl::ascii_isspace(c)) begins = absl::StrContains(".?!", c) || (c == '"' && begins);
  }
  return out;
}

bool IsQuestionWord(absl::string_view word) {
  for (absl::string_view known : {"How", "What", "Which", "Who", "When", "Where", "Find", "Did"}) {
    if (word == known) return true;
  }
  return false;
}

}  // namespace

bool IsSvamp(const json& record) {
  return HasFields(record, {"Body", "Question", "Equation", "Answer", "Type"});
}

bool IsMawps(const json& record) {
  return HasFields(record, {"Question", "Numbers", "Equation", "Answer"});
}

std::string JoinBody(absl::string_view body, absl::string_view question) {
  body = absl::StripAsciiWhitespace(body);
  question = absl::StripAsciiWhitespace(question);
  if (body.empty()) return std::string(question);
  if (absl::StrContains(".?!,\"", body.back())) return absl::StrCat(body, " ", question);
  const size_t stop = body.rfind(". ");
  absl::string_view last = stop == absl::string_view::npos ? body : body.substr(stop + 2);
  if (!absl::StartsWithIgnoreCase(last, "if ")) return absl::StrCat(body, ". ", question);
  std::string tail(question);
  if (IsQuestionWord(question.substr(0, question.find(' ')))) {
    tail[0] = absl::ascii_tolower(tail[0]);
  }
  return absl::StrCat(body, ", ", tail);
}

absl::StatusOr<Problem> ReadSvamp(const json& record) {
  ASSIGN_OR_RETURN(const std::string body, GetString(record, "Body"));
  ASSIGN_OR_RETURN(const std::string question, GetString(record, "Question"));
  ASSIGN_OR_RETURN(const std::string equation, GetString(record, "Equation"));
  ASSIGN_OR_RETURN(const WorkedEquation worked, WorkInfix(equation));
  return WithAnswer(absl::StrReplaceAll(JoinBody(body, question), {{"$ ", "$"}}), worked, record);
}

absl::StatusOr<Problem> ReadMawps(const json& record) {
  ASSIGN_OR_RETURN(const std::string question, GetString(record, "Question"));
  ASSIGN_OR_RETURN(const std::string list, GetString(record, "Numbers"));
  ASSIGN_OR_RETURN(const std::string equation, GetString(record, "Equation"));
  std::vector<std::string> numbers;
  for (absl::string_view text : absl::StrSplit(list, ' ', absl::SkipWhitespace())) {
    ASSIGN_OR_RETURN(const double number, ReadNumber(json(std::string(text)), "Numbers"));
    numbers.push_back(PlainNumber(number));
  }
  ASSIGN_OR_RETURN(const std::string text, Fill(question, numbers, "Question"));
  ASSIGN_OR_RETURN(const std::string filled, Fill(equation, numbers, "Equation"));
  ASSIGN_OR_RETURN(const WorkedEquation worked, WorkPrefix(filled));
  return WithAnswer(RepairSpacing(text), worked, record);
}

}  // namespace reckon
