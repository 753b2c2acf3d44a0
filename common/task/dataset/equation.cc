#include "common/task/dataset/equation.h"

#include <cmath>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "common/base/printable.h"
#include "common/base/status_macros.h"

namespace reckon {
namespace {

constexpr int kMaxNesting = 64;
constexpr size_t kMaxTokens = 1000;
constexpr double kMaxValue = 1e15;  // whole numbers below it are exact

absl::Status BadEquation(absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("equation: ", what));
}

// A recursive-descent parser that evaluates as it reads, for both notations.
class Worker {
 public:
  explicit Worker(absl::string_view equation)
      : tokens_(absl::StrSplit(equation, ' ', absl::SkipWhitespace())) {}

  absl::StatusOr<WorkedEquation> Work(bool infix) {
    if (tokens_.size() > kMaxTokens) return BadEquation("too long");
    ASSIGN_OR_RETURN(const double value, infix ? Sum() : Prefix());
    if (at_ < tokens_.size()) return BadEquation(absl::StrCat("unexpected \"", Shown(), "\""));
    return WorkedEquation{value, std::move(steps_)};
  }

 private:
  absl::StatusOr<double> Prefix() {
    const char op = TakeOperator("+-*/");
    if (op == 0) return Number();
    RETURN_IF_ERROR(Deeper());
    ASSIGN_OR_RETURN(const double left, Prefix());
    ASSIGN_OR_RETURN(const double right, Prefix());
    --depth_;
    return Apply(op, left, right);
  }

  absl::StatusOr<double> Sum() {
    ASSIGN_OR_RETURN(double value, Product());
    while (const char op = TakeOperator("+-")) {
      ASSIGN_OR_RETURN(const double right, Product());
      ASSIGN_OR_RETURN(value, Apply(op, value, right));
    }
    return value;
  }

  absl::StatusOr<double> Product() {
    ASSIGN_OR_RETURN(double value, Operand());
    while (const char op = TakeOperator("*/")) {
      ASSIGN_OR_RETURN(const double right, Operand());
      ASSIGN_OR_RETURN(value, Apply(op, value, right));
    }
    return value;
  }

  absl::StatusOr<double> Operand() {
    if (!TakeOperator("(")) return Number();
    RETURN_IF_ERROR(Deeper());
    ASSIGN_OR_RETURN(const double value, Sum());
    if (!TakeOperator(")")) return BadEquation(absl::StrCat("expected ), not \"", Shown(), "\""));
    --depth_;
    return value;
  }

  absl::StatusOr<double> Number() {
    double value;
    if (at_ == tokens_.size()) return BadEquation("ends too early");
    if (!absl::SimpleAtod(tokens_[at_], &value) || !(std::abs(value) < kMaxValue)) {
      return BadEquation(absl::StrCat("\"", Shown(), "\" is not a number below 1e15"));
    }
    ++at_;
    return value;
  }

  absl::StatusOr<double> Apply(char op, double left, double right) {
    if (op == '/' && right == 0) return BadEquation("division by zero");
    const double value = op == '+'   ? left + right
                         : op == '-' ? left - right
                         : op == '*' ? left * right
                                     : left / right;
    if (!(std::abs(value) < kMaxValue)) return BadEquation("a result is 1e15 or more");
    const std::string text =
        absl::StrCat(PlainNumber(left), std::string(1, op), PlainNumber(right));
    absl::StrAppend(&steps_, text, "=<<", text, "=", PlainNumber(value), ">>", PlainNumber(value),
                    "\n");
    return value;
  }

  absl::Status Deeper() {
    return ++depth_ > kMaxNesting ? BadEquation("nested too deep") : absl::OkStatus();
  }

  // The next token if it is one of `operators`, else 0.
  char TakeOperator(absl::string_view operators) {
    if (at_ == tokens_.size() || tokens_[at_].size() != 1) return 0;
    const char c = tokens_[at_][0];
    if (operators.find(c) == absl::string_view::npos) return 0;
    ++at_;
    return c;
  }

  std::string Shown() const {
    return at_ < tokens_.size() ? Printable(tokens_[at_], 40) : "the end";
  }

  const std::vector<absl::string_view> tokens_;
  size_t at_ = 0;
  int depth_ = 0;
  std::string steps_;
};

}  // namespace

absl::StatusOr<WorkedEquation> WorkInfix(absl::string_view equation) {
  return Worker(equation).Work(/*infix=*/true);
}

absl::StatusOr<WorkedEquation> WorkPrefix(absl::string_view equation) {
  return Worker(equation).Work(/*infix=*/false);
}

std::string PlainNumber(double value) {
  if (value == std::floor(value)) return absl::StrFormat("%.0f", value + 0.0);
  std::string text =
      absl::StrFormat("%.*f", std::max(1, 10 - int(std::log10(std::abs(value) + 1))), value);
  while (text.back() == '0') text.pop_back();
  if (text.back() == '.') text.pop_back();
  return text;
}

}  // namespace reckon
