#include "common/task/builtin/builtin.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/rng.h"
#include "common/base/status_macros.h"
#include "common/task/builtin/builtin_stories.h"
#include "common/task/reward/solution_steps.h"

namespace reckon {
namespace {

constexpr uint32_t kLeastMaxNumber = 10;
constexpr uint32_t kMostSteps = 4;
constexpr uint64_t kEvalShare = 4;  // one story in so many goes to the eval split

// One attempt at a problem, with a random stream of its own.
class Teller {
 public:
  // No number of the problem and its solution is above max_number.
  Teller(uint64_t key, int64_t max_number) : rng_(key), max_number_(max_number) {}

  uint64_t Below(uint64_t n) { return rng_.Below(n, position_++); }

  // Returns nullopt when no move fits the current value before `steps` steps are taken.
  std::optional<Problem> Tell(const Story& story, uint32_t steps);

 private:
  int64_t In(Range range) {
    return range.low + static_cast<int64_t>(Below(range.high - range.low + 1));
  }
  std::optional<int64_t> Operand(const Move& move);
  bool IsFresh(const Move& move) const;
  void Take(const Move& move, int64_t n);
  std::string Fill(absl::string_view text, absl::string_view mark, int64_t n);
  void AddLine(absl::string_view text, int64_t left, char op, int64_t right, int64_t result,
               int64_t n);
  absl::string_view FreshExtra();
  std::string Place(absl::string_view name, absl::string_view mark, int64_t n);

  CounterRng rng_;
  const int64_t max_number_;
  uint64_t position_ = 0;
  Person first_, second_;
  Object object_;
  std::vector<absl::string_view> extras_;
  absl::string_view extra_;
  int64_t a_ = 0, b_ = 0, value_ = 0, previous_ = 0;
  std::vector<const Move*> taken_;
  std::vector<std::string> question_, lines_;
};

std::optional<Problem> Teller::Tell(const Story& story, uint32_t steps) {
  const auto people = BuiltinPeople();
  const uint64_t first = Below(people.size());
  first_ = people[first];
  second_ = people[(first + 1 + Below(people.size() - 1)) % people.size()];
  if (!story.objects.empty()) object_ = story.objects[Below(story.objects.size())];
  extras_ = story.extras;

  const Opening& opening = story.openings[Below(story.openings.size())];
  a_ = In(opening.a);
  b_ = In(opening.b);
  if (std::max(a_, b_) > max_number_) return std::nullopt;
  question_.push_back(Fill(opening.tell, "", 0));
  value_ = a_;
  if (!opening.line.empty()) {
    const bool add = opening.op == Op::kAdd;
    value_ = add ? a_ + b_ : a_ * b_;
    if (value_ > max_number_) return std::nullopt;
    AddLine(opening.line, a_, add ? '+' : '*', b_, value_, 0);
  }
  std::string ask = Fill(opening.ask, "", 0);

  int state = opening.to;
  while (lines_.size() < steps) {
    std::vector<std::pair<const Move*, int64_t>> possible;
    for (const Move& move : story.moves) {
      if (move.from != state || !IsFresh(move)) continue;
      if (auto n = Operand(move)) possible.emplace_back(&move, *n);
    }
    if (possible.empty()) return std::nullopt;
    const auto& [move, n] = possible[Below(possible.size())];
    Take(*move, n);
    ask = Fill(move->ask, "", n);
    state = move->to;
  }
  question_.push_back(std::move(ask));

  Problem problem;
  problem.question = absl::StrJoin(question_, " ");
  problem.answer = absl::StrCat(value_);
  problem.solution = absl::StrCat(absl::StrJoin(lines_, "\n"), "\n#### ", value_);
  return problem;
}

// Draws the move's number so that the result is whole, at least 2 (texts are in the plural) and at
// most max_number_. Returns nullopt if there is no such number.
std::optional<int64_t> Teller::Operand(const Move& move) {
  Range range = move.n;
  switch (move.op) {
    case Op::kAddPrevious:
      return value_ + previous_ <= max_number_ ? std::optional<int64_t>(previous_) : std::nullopt;
    case Op::kSubtractFrom:
      range = {value_ + range.low, std::min(value_ + range.high, max_number_)};
      break;
    case Op::kSubtract:
      range.high = std::min(range.high, value_ - 2);
      break;
    case Op::kMultiply:
      range.high = std::min(range.high, max_number_ / value_);
      break;
    case Op::kDivide: {
      std::vector<int64_t> divisors;
      for (int64_t n = range.low; n <= range.high && 2 * n <= value_; ++n) {
        if (value_ % n == 0) divisors.push_back(n);
      }
      if (divisors.empty()) return std::nullopt;
      return divisors[Below(divisors.size())];
    }
    case Op::kAdd:
      range.high = std::min(range.high, max_number_ - value_);
      break;
  }
  if (range.low > range.high) return std::nullopt;
  return In(range);
}

// A move is taken once, except with another extra.
bool Teller::IsFresh(const Move& move) const {
  if (move.tell.find("{x}") != absl::string_view::npos) return !extras_.empty();
  return std::find(taken_.begin(), taken_.end(), &move) == taken_.end();
}

void Teller::Take(const Move& move, int64_t n) {
  taken_.push_back(&move);
  if (move.tell.find("{x}") != absl::string_view::npos) extra_ = FreshExtra();
  if (!move.tell.empty()) question_.push_back(Fill(move.tell, "", n));
  int64_t left = value_, right = n, result = 0;
  char op = '+';
  switch (move.op) {
    case Op::kAdd:
      result = left + right;
      break;
    case Op::kAddPrevious:
      left = previous_;
      right = value_;
      result = left + right;
      break;
    case Op::kSubtractFrom:
      std::swap(left, right);
      [[fallthrough]];
    case Op::kSubtract:
      op = '-';
      result = left - right;
      break;
    case Op::kMultiply:
      op = '*';
      result = left * right;
      break;
    case Op::kDivide:
      op = '/';
      result = left / right;
      break;
  }
  AddLine(move.line, left, op, right, result, n);
  previous_ = value_;
  value_ = result;
}

void Teller::AddLine(absl::string_view text, int64_t left, char op, int64_t right, int64_t result,
                     int64_t n) {
  const std::string sum = absl::StrCat(left, absl::string_view(&op, 1), right, "=");
  lines_.push_back(Fill(text, absl::StrCat(sum, "<<", sum, result, ">>", result), n));
}

absl::string_view Teller::FreshExtra() {
  const uint64_t at = Below(extras_.size());
  absl::string_view extra = extras_[at];
  extras_.erase(extras_.begin() + at);
  return extra;
}

std::string Teller::Fill(absl::string_view text, absl::string_view mark, int64_t n) {
  std::string out;
  while (!text.empty()) {
    const size_t open = std::min(text.find('{'), text.size());
    absl::StrAppend(&out, text.substr(0, open));
    text.remove_prefix(open);
    if (text.empty()) break;
    const size_t close = text.find('}');
    absl::StrAppend(&out, Place(text.substr(1, close - 1), mark, n));
    text.remove_prefix(close + 1);
  }
  return out;
}

std::string Teller::Place(absl::string_view name, absl::string_view mark, int64_t n) {
  if (name == "n") return absl::StrCat(n);
  if (name == "times") return n == 2 ? "twice" : absl::StrCat(n, " times");
  if (name == "m") return std::string(mark);
  if (name == "a") return absl::StrCat(a_);
  if (name == "b") return absl::StrCat(b_);
  if (name == "N") return std::string(first_.name);
  if (name == "M") return std::string(second_.name);
  if (name == "o") return std::string(object_.many);
  if (name == "s") return std::string(object_.one);
  if (name == "x") return std::string(extra_);
  std::string pronoun = absl::AsciiStrToLower(name);
  if (!first_.she) pronoun = pronoun == "she" ? "he" : pronoun == "her" ? "his" : "him";
  if (first_.she && pronoun == "him") pronoun = "her";
  if (absl::ascii_isupper(name[0])) pronoun[0] = absl::ascii_toupper(pronoun[0]);
  return pronoun;
}

// Problems of the same story and arithmetic differ only in names and objects, so they share a
// split.
Split SplitOf(const Story& story, const Problem& problem) {
  const uint64_t hash = StreamKey(0, absl::StrCat(story.name, " ", EquationKey(problem.solution)));
  return hash % kEvalShare == 0 ? Split::kEval : Split::kTrain;
}

}  // namespace

absl::StatusOr<std::vector<Problem>> MakeBuiltinProblems(const BuiltinProblems& settings,
                                                         Split split, uint64_t count) {
  const uint32_t least = settings.min_steps(), most = settings.max_steps();
  if (least < 1 || most > kMostSteps || least > most) {
    return absl::InvalidArgumentError(absl::StrCat("data.builtin: min_steps ", least,
                                                   " and max_steps ", most, " must be in 1..",
                                                   kMostSteps, " and in order"));
  }
  if (settings.max_number() < kLeastMaxNumber) {
    return absl::InvalidArgumentError(absl::StrCat(
        "data.builtin.max_number: ", settings.max_number(), " must be at least ", kLeastMaxNumber));
  }
  const std::vector<Story>& stories = BuiltinStories();
  std::vector<Problem> problems;
  absl::flat_hash_set<uint64_t> seen;  // hashes of questions
  const uint64_t attempts = 10'000 + 100 * count;
  for (uint64_t attempt = 0; problems.size() < count; ++attempt) {
    if (attempt == attempts) {
      return absl::InvalidArgumentError(absl::StrCat(
          "data.builtin: only ", problems.size(), " different problems of ", least, " to ", most,
          " steps with numbers up to ", settings.max_number(), " were found, not ", count));
    }
    Teller teller(StreamKey(settings.seed(), "builtin", attempt), settings.max_number());
    const Story& story = stories[teller.Below(stories.size())];
    const uint32_t steps = least + teller.Below(most - least + 1);
    std::optional<Problem> problem = teller.Tell(story, steps);
    if (!problem.has_value() || SplitOf(story, *problem) != split) continue;
    if (!seen.insert(StreamKey(0, problem->question)).second) continue;
    problem->source = absl::StrCat("builtin:", split == Split::kTrain ? "train" : "eval", ":",
                                   problems.size() + 1);
    problems.push_back(*std::move(problem));
  }
  return problems;
}

}  // namespace reckon
