#include "common/task/answer/latex_value.h"

#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace reckon {
namespace {

using MaybeValue = std::optional<ExactValue>;

constexpr int kMaxValueNesting = 24;
constexpr uint64_t kMaxFactorial = 170;
constexpr size_t kMaxValueDigits = 300;

mpz_class PowerOfTen(size_t exponent) {
  mpz_class out;
  mpz_ui_pow_ui(out.get_mpz_t(), 10, exponent);
  return out;
}

// Digits are decimal after a leading 0 too: without a base GMP reads octal and throws at "08".
mpz_class DecimalDigits(const std::string& digits) { return mpz_class(digits, 10); }

// "12", "0.5", ".5", "0.".
std::optional<mpq_class> Decimal(absl::string_view text) {
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(text, absl::MaxSplits('.', 1));
  const std::string digits = absl::StrCat(parts.first, parts.second);
  if (digits.empty() || digits.size() > kMaxValueDigits) return std::nullopt;
  mpq_class out(DecimalDigits(digits), PowerOfTen(parts.second.size()));
  out.canonicalize();
  return out;
}

class ValueReader {
 public:
  ValueReader(absl::Span<const LatexToken> tokens, ExactArithmetic* arithmetic)
      : tokens_(tokens), arithmetic_(*arithmetic) {}

  MaybeValue ReadAll() {
    const MaybeValue out = Sum();
    return at_ == tokens_.size() ? out : std::nullopt;
  }

 private:
  const LatexToken* Peek(size_t ahead = 0) const {
    return at_ + ahead < tokens_.size() ? &tokens_[at_ + ahead] : nullptr;
  }
  bool Is(LatexToken::Kind kind, size_t ahead = 0) const {
    return Peek(ahead) != nullptr && Peek(ahead)->kind == kind;
  }
  bool IsSign(absl::string_view sign, size_t ahead = 0) const {
    return Is(LatexToken::kSign, ahead) && Peek(ahead)->text == sign;
  }
  bool ConsumeSign(absl::string_view sign) {
    if (!IsSign(sign)) return false;
    ++at_;
    return true;
  }

  MaybeValue Negated(const MaybeValue& value) {
    return value.has_value() ? MaybeValue(arithmetic_.Negate(*value)) : std::nullopt;
  }

  MaybeValue Sum() {
    if (++nesting_ > kMaxValueNesting) return std::nullopt;
    const bool negative = ConsumeSign("-");
    if (!negative) ConsumeSign("+");
    MaybeValue sum = Product();
    if (negative) sum = Negated(sum);
    while (sum.has_value() && (IsSign("+") || IsSign("-"))) {
      const bool minus = ConsumeSign("-");
      if (!minus) ++at_;
      const MaybeValue term = minus ? Negated(Product()) : Product();
      sum = term.has_value() ? arithmetic_.Add(*sum, *term) : std::nullopt;
    }
    --nesting_;
    return sum;
  }

  // A factor after a sign of multiplication or division may be negative.
  MaybeValue SignedPower() {
    const bool negative = ConsumeSign("-");
    if (!negative) ConsumeSign("+");
    return negative ? Negated(Power()) : Power();
  }

  MaybeValue Product() {
    if (const MaybeValue mixed = MixedNumber(); mixed.has_value()) return mixed;
    MaybeValue product = Power();
    bool divided = false;  // by what is not in a \frac
    while (product.has_value() && Peek() != nullptr) {
      if (ConsumeSign("*")) {
        const MaybeValue factor = SignedPower();
        product = factor.has_value() ? arithmetic_.Multiply(*product, *factor) : std::nullopt;
      } else if (ConsumeSign("/")) {
        const MaybeValue divisor = SignedPower();
        product = divisor.has_value() ? arithmetic_.Divide(*product, *divisor) : std::nullopt;
        divided = true;
      } else if (BeginsFactor()) {
        if (divided) return std::nullopt;  // 1/2x
        const MaybeValue factor = Power();
        product = factor.has_value() ? arithmetic_.Multiply(*product, *factor) : std::nullopt;
      } else {
        break;
      }
    }
    return product;
  }

  // What may follow a factor without a sign: no number ("2 3").
  bool BeginsFactor() const {
    if (Is(LatexToken::kLetter)) return true;
    if (Is(LatexToken::kCommand)) return Peek()->text != "overline";
    return IsSign("(") || IsSign("{") || IsSign("[");
  }

  static bool IsWhole(const LatexToken* token) {
    return token != nullptr && token->kind == LatexToken::kNumber && token->text.size() <= 9 &&
           token->text.find('.') == std::string::npos;
  }

  // "3 1/2", 3\frac{1}{2}, 3\frac12: a whole number and a proper fraction of two whole numbers.
  MaybeValue MixedNumber() {
    if (!IsWhole(Peek())) return std::nullopt;
    const size_t begin = at_;
    MaybeValue fraction;
    const mpq_class whole(DecimalDigits(Peek()->text));
    ++at_;
    if (IsWhole(Peek()) && Peek()->space && IsSign("/", 1) && IsWhole(Peek(2))) {
      const mpz_class below = DecimalDigits(Peek(2)->text);
      if (below != 0) {
        fraction = ExactValue(mpq_class(DecimalDigits(Peek()->text)) / mpq_class(below));
      }
      at_ += 3;
    } else if (Is(LatexToken::kCommand) && Peek()->text == "frac") {
      ++at_;
      if (WholeArgument() && WholeArgument()) {
        at_ = begin + 1;
        fraction = Atom();
      }
    }
    const auto value = fraction.has_value() ? fraction->Rational() : std::nullopt;
    if (value.has_value() && *value > 0 && *value < 1 && !IsSign("^")) {
      return arithmetic_.Add(ExactValue(whole), *fraction);
    }
    at_ = begin;
    return std::nullopt;
  }

  // Moves over {12} or 1.
  bool WholeArgument() {
    const bool braced = ConsumeSign("{");
    if (!IsWhole(Peek())) return false;
    ++at_;
    return !braced || ConsumeSign("}");
  }

  MaybeValue Power() {
    MaybeValue base = Atom();
    if (base.has_value() && ConsumeSign("!")) base = Factorial(*base);
    if (!base.has_value() || !ConsumeSign("^")) return base;
    const MaybeValue exponent = Argument();
    if (!exponent.has_value() || IsSign("^")) return std::nullopt;
    return arithmetic_.Power(*base, *exponent);
  }

  MaybeValue Factorial(const ExactValue& value) {
    const auto number = value.Rational();
    if (!number.has_value() || number->get_den() != 1 || *number < 0 || *number > kMaxFactorial) {
      return std::nullopt;
    }
    mpz_class out;
    mpz_fac_ui(out.get_mpz_t(), number->get_num().get_ui());
    return ExactValue(mpq_class(out));
  }

  // What \frac, \sqrt and ^ apply to: {sum}, a number, a letter, a command. Of digits in a row the
  // tokens have one for each argument of \frac and \sqrt.
  MaybeValue Argument() {
    if (ConsumeSign("{")) return Closed("}");
    if (ConsumeSign("-")) return Negated(Atom());  // plain "2^-3"
    return Atom();
  }

  MaybeValue Closed(absl::string_view close) {
    const MaybeValue out = Sum();
    return out.has_value() && ConsumeSign(close) ? out : std::nullopt;
  }

  MaybeValue Number() {
    const std::string& text = tokens_[at_++].text;
    std::optional<mpq_class> number = Decimal(text);
    if (Is(LatexToken::kCommand) && Peek()->text == "overline" && number.has_value()) {
      // 0.1\overline{6} = 0.1 + 6/9 * 10^-1
      const size_t point = text.find('.');
      ++at_;
      if (point == std::string::npos || !IsSign("{") || !IsWhole(Peek(1)) || !IsSign("}", 2)) {
        return std::nullopt;
      }
      const std::string& digits = Peek(1)->text;
      at_ += 3;
      *number += mpq_class(DecimalDigits(digits)) / mpq_class(PowerOfTen(digits.size()) - 1) /
                 mpq_class(PowerOfTen(text.size() - point - 1));
    }
    if (!number.has_value() || IsSign("_")) return std::nullopt;  // 1010_2
    return ExactValue(*number);
  }

  MaybeValue Letter() {
    std::string name = tokens_[at_++].text;
    if (ConsumeSign("_")) {
      const bool braced = ConsumeSign("{");
      if (!Is(LatexToken::kLetter) && !Is(LatexToken::kNumber)) return std::nullopt;
      absl::StrAppend(&name, "_", tokens_[at_++].text);
      if (braced && !ConsumeSign("}")) return std::nullopt;
    }
    if (IsSign("'")) return std::nullopt;
    return ExactValue::Symbol(name);
  }

  MaybeValue Command() {
    const std::string name = tokens_[at_++].text;
    if (name == "frac" || name == "binom") {
      const MaybeValue above = Argument();
      const MaybeValue below = above.has_value() ? Argument() : std::nullopt;
      if (!below.has_value()) return std::nullopt;
      return name == "frac" ? arithmetic_.Divide(*above, *below) : Binomial(*above, *below);
    }
    if (name != "sqrt") return std::nullopt;
    MaybeValue degree = ExactValue(mpq_class(2));
    if (ConsumeSign("[")) degree = Closed("]");
    const auto number = degree.has_value() ? degree->Rational() : std::nullopt;
    if (!number.has_value() || number->get_den() != 1 || abs(*number) > 1000) return std::nullopt;
    const MaybeValue of = Argument();
    if (!of.has_value()) return std::nullopt;
    return arithmetic_.Root(*of, number->get_num().get_si());
  }

  MaybeValue Binomial(const ExactValue& n, const ExactValue& k) {
    const auto above = n.Rational(), below = k.Rational();
    if (!above.has_value() || !below.has_value() || above->get_den() != 1 ||
        below->get_den() != 1 || *above < 0 || *below < 0 || *above > 500 || *below > 500) {
      return std::nullopt;
    }
    mpz_class out;
    mpz_bin_ui(out.get_mpz_t(), above->get_num().get_mpz_t(), below->get_num().get_ui());
    return ExactValue(mpq_class(out));
  }

  MaybeValue Atom() {
    if (Is(LatexToken::kNumber)) return Number();
    if (Is(LatexToken::kLetter)) return Letter();
    if (Is(LatexToken::kCommand)) return Command();
    if (ConsumeSign("(")) return Closed(")");
    if (ConsumeSign("{")) return Closed("}");
    if (ConsumeSign("[")) return Closed("]");
    if (!ConsumeSign("|")) return std::nullopt;
    const MaybeValue inner = Closed("|");
    const auto number = inner.has_value() ? inner->Rational() : std::nullopt;
    if (!number.has_value()) return std::nullopt;
    return ExactValue(mpq_class(abs(*number)));
  }

  const absl::Span<const LatexToken> tokens_;
  ExactArithmetic& arithmetic_;
  size_t at_ = 0;
  int nesting_ = 0;
};

}  // namespace

std::optional<ExactValue> ReadValue(absl::Span<const LatexToken> tokens,
                                    ExactArithmetic* arithmetic) {
  return ValueReader(tokens, arithmetic).ReadAll();
}

}  // namespace reckon
