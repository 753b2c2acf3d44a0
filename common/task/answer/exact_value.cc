#include "common/task/answer/exact_value.h"

#include <numeric>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace reckon {
namespace {

constexpr size_t kMaxBits = 2048;  // of a numerator or a denominator
constexpr size_t kMaxTerms = 64;
constexpr int64_t kMaxPower = 1024;
constexpr int64_t kMaxSumPower = 32;  // of a sum of several terms
constexpr int64_t kMaxDegree = 24;    // of a root
constexpr uint64_t kTrialDivisors = 10000;
constexpr int kMaxConjugates = 6;

bool IsPrimeSymbol(const std::string& name) { return absl::ascii_isdigit(name[0]); }

bool Fits(const mpz_class& number) { return mpz_sizeinbase(number.get_mpz_t(), 2) <= kMaxBits; }
bool Fits(const mpq_class& number) { return Fits(number.get_num()) && Fits(number.get_den()); }

mpz_class WholePowerOf(const mpz_class& base, uint64_t exponent) {
  mpz_class out;
  mpz_pow_ui(out.get_mpz_t(), base.get_mpz_t(), exponent);
  return out;
}

// nullopt: larger than kMaxBits.
std::optional<mpq_class> PowerOf(const mpq_class& base, int64_t exponent) {
  const uint64_t size = exponent < 0 ? -exponent : exponent;
  const size_t bits = std::max(mpz_sizeinbase(base.get_num().get_mpz_t(), 2),
                               mpz_sizeinbase(base.get_den().get_mpz_t(), 2));
  if (bits > 1 && bits * size > kMaxBits + bits) return std::nullopt;
  mpq_class out(WholePowerOf(base.get_num(), size), WholePowerOf(base.get_den(), size));
  if (exponent < 0) {
    if (out == 0) return std::nullopt;
    out = 1 / out;
  }
  out.canonicalize();
  return out;
}

std::optional<Exponent> Reduced(int64_t above, int64_t below) {
  const int64_t common = std::gcd(above, below);
  const Exponent out{above / common, below / common};
  if (out.above > kMaxPower || out.above < -kMaxPower || out.below > kMaxDegree) {
    return std::nullopt;
  }
  return out;
}

std::optional<Exponent> Sum(const Exponent& a, const Exponent& b) {
  return Reduced(a.above * b.below + b.above * a.below, a.below * b.below);
}

}  // namespace

ExactValue::ExactValue(const mpq_class& number) {
  if (number != 0) terms_[{}] = number;
}

ExactValue ExactValue::Symbol(const std::string& name) {
  ExactValue out;
  out.terms_[{{name, Exponent{}}}] = 1;
  return out;
}

std::optional<mpq_class> ExactValue::Rational() const {
  if (terms_.empty()) return mpq_class(0);
  if (terms_.size() > 1 || !terms_.begin()->first.empty()) return std::nullopt;
  return terms_.begin()->second;
}

bool ExactValue::HasSymbol(const std::string& name) const {
  for (const auto& [powers, coefficient] : terms_) {
    if (powers.contains(name)) return true;
  }
  return false;
}

bool ExactValue::HasVariables() const {
  for (const auto& [powers, coefficient] : terms_) {
    for (const auto& [name, exponent] : powers) {
      if (!IsPrimeSymbol(name) && name != "i" && name != "pi" && name != "infinity") return true;
    }
  }
  return false;
}

ExactValue ExactValue::Monic() const {
  ExactValue out = *this;
  if (terms_.empty()) return out;
  const mpq_class lead = terms_.begin()->second;
  for (auto& [powers, coefficient] : out.terms_) coefficient /= lead;
  return out;
}

std::string ExactValue::ToString() const {
  if (terms_.empty()) return "0";
  std::string out;
  for (const auto& [powers, coefficient] : terms_) {
    absl::StrAppend(&out, out.empty() ? "" : "+", coefficient.get_str());
    for (const auto& [name, exponent] : powers) {
      absl::StrAppend(&out, "*", name);
      if (exponent.above != 1 || exponent.below != 1) absl::StrAppend(&out, "^", exponent.above);
      if (exponent.below != 1) absl::StrAppend(&out, "/", exponent.below);
    }
  }
  return out;
}

bool ExactArithmetic::Spend(int64_t work) {
  budget_ -= work;
  return budget_ >= 0;
}

// Adds a term to a sum: whole powers of primes and of i become a part of the coefficient.
bool ExactArithmetic::AddTerm(const ExactValue::Powers& powers, const mpq_class& coefficient,
                              ExactValue* sum) {
  if (!Spend(1 + static_cast<int64_t>(powers.size()))) return false;
  ExactValue::Powers kept;
  mpq_class number = coefficient;
  for (const auto& [name, exponent] : powers) {
    Exponent left = exponent;
    if (name == "i") {
      const int64_t turns = ((exponent.above % 4) + 4) % 4;
      if (turns >= 2) number = -number;
      left.above = turns % 2;
    } else if (IsPrimeSymbol(name)) {
      int64_t whole = exponent.above / exponent.below;
      if (whole * exponent.below > exponent.above) --whole;  // rounded down
      const auto factor = PowerOf(mpq_class(name, 10), whole);
      if (!factor.has_value()) return false;
      number *= *factor;
      left.above -= whole * exponent.below;
    }
    if (left.above != 0) kept[name] = left;
  }
  mpq_class& term = sum->terms_[kept];
  term += number;
  if (!Fits(term)) return false;
  if (term == 0) sum->terms_.erase(kept);
  return sum->terms_.size() <= kMaxTerms;
}

std::optional<ExactValue> ExactArithmetic::Add(const ExactValue& a, const ExactValue& b) {
  ExactValue out = a;
  for (const auto& [powers, coefficient] : b.terms_) {
    if (!AddTerm(powers, coefficient, &out)) return std::nullopt;
  }
  return out;
}

ExactValue ExactArithmetic::Negate(ExactValue a) {
  for (auto& [powers, coefficient] : a.terms_) coefficient = -coefficient;
  return a;
}

std::optional<ExactValue> ExactArithmetic::Multiply(const ExactValue& a, const ExactValue& b) {
  ExactValue out;
  for (const auto& [a_powers, a_number] : a.terms_) {
    for (const auto& [b_powers, b_number] : b.terms_) {
      ExactValue::Powers powers = a_powers;
      for (const auto& [name, exponent] : b_powers) {
        auto [at, added] = powers.try_emplace(name, exponent);
        if (added) continue;
        const auto sum = Sum(at->second, exponent);
        if (!sum.has_value()) return std::nullopt;
        if (sum->above == 0) {
          powers.erase(at);
        } else {
          at->second = *sum;
        }
      }
      if (!AddTerm(powers, a_number * b_number, &out)) return std::nullopt;
    }
  }
  return out;
}

std::optional<ExactValue> ExactArithmetic::Invert(const ExactValue& a) {
  if (a.terms_.empty() || a.HasSymbol("infinity")) return std::nullopt;
  if (a.terms_.size() == 1) {
    const auto& [powers, coefficient] = *a.terms_.begin();
    ExactValue::Powers inverse = powers;
    for (auto& [name, exponent] : inverse) exponent.above = -exponent.above;
    ExactValue out;
    if (!AddTerm(inverse, 1 / coefficient, &out)) return std::nullopt;
    return out;
  }
  // 1 / (p + q s) = (p - q s) / (p^2 - q^2 s^2), for a square root or i as s, one after the other.
  ExactValue above(mpq_class(1)), below = a;
  for (int step = 0; step < kMaxConjugates && below.terms_.size() > 1; ++step) {
    std::string root;
    for (const auto& [powers, coefficient] : below.terms_) {
      for (const auto& [name, exponent] : powers) {
        const bool square = exponent == Exponent{1, 2} && IsPrimeSymbol(name);
        if (!square && name != "i") return std::nullopt;
        root = name;
      }
    }
    ExactValue conjugate = below;
    for (auto& [powers, coefficient] : conjugate.terms_) {
      if (powers.contains(root)) coefficient = -coefficient;
    }
    const auto product = Multiply(below, conjugate), numerator = Multiply(above, conjugate);
    if (!product.has_value() || !numerator.has_value()) return std::nullopt;
    below = *product;
    above = *numerator;
  }
  if (below.terms_.size() != 1) return std::nullopt;
  const auto inverse = Invert(below);
  return inverse.has_value() ? Multiply(above, *inverse) : std::nullopt;
}

std::optional<ExactValue> ExactArithmetic::Divide(const ExactValue& a, const ExactValue& b) {
  const auto inverse = Invert(b);
  return inverse.has_value() ? Multiply(a, *inverse) : std::nullopt;
}

std::optional<ExactValue> ExactArithmetic::WholePower(const ExactValue& a, int64_t exponent) {
  if (exponent > kMaxPower || exponent < -kMaxPower) return std::nullopt;
  if (exponent < 0) {
    const auto inverse = Invert(a);
    return inverse.has_value() ? WholePower(*inverse, -exponent) : std::nullopt;
  }
  if (a.terms_.size() <= 1 && exponent > 0) {
    ExactValue out;
    if (a.terms_.empty()) return out;
    const auto& [powers, coefficient] = *a.terms_.begin();
    ExactValue::Powers raised;
    for (const auto& [name, power] : powers) {
      const auto product = Reduced(power.above * exponent, power.below);
      if (!product.has_value()) return std::nullopt;
      raised[name] = *product;
    }
    const auto number = PowerOf(coefficient, exponent);
    if (!number.has_value() || !AddTerm(raised, *number, &out)) return std::nullopt;
    return out;
  }
  if (exponent == 0 && a.terms_.empty()) return std::nullopt;  // 0^0
  if (exponent > kMaxSumPower) return std::nullopt;
  std::optional<ExactValue> out = ExactValue(mpq_class(1));
  for (int64_t i = 0; i < exponent && out.has_value(); ++i) out = Multiply(*out, a);
  return out;
}

// The root as a whole number times powers of primes.
std::optional<ExactValue> ExactArithmetic::PositiveRoot(const mpz_class& number, int64_t degree) {
  mpz_class whole;
  if (mpz_root(whole.get_mpz_t(), number.get_mpz_t(), degree) != 0) {
    return ExactValue(mpq_class(whole));
  }
  if (!Spend(250)) return std::nullopt;
  mpz_class rest = number;
  ExactValue::Powers powers;
  const auto take = [&](const mpz_class& prime, int64_t times) {
    const auto exponent = Reduced(times, degree);
    if (exponent.has_value()) powers[prime.get_str()] = *exponent;
    return exponent.has_value();
  };
  for (uint64_t d = 2; d < kTrialDivisors && rest > 1; d += d == 2 ? 1 : 2) {
    int64_t times = 0;
    while (mpz_divisible_ui_p(rest.get_mpz_t(), d) != 0) {
      mpz_divexact_ui(rest.get_mpz_t(), rest.get_mpz_t(), d);
      ++times;
    }
    if (times > 0 && !take(mpz_class(d), times)) return std::nullopt;
  }
  if (rest > 1) {
    // Without divisors below the bound it is a prime, or not known to be one.
    if (rest >= mpz_class(kTrialDivisors) * kTrialDivisors) return std::nullopt;
    if (!take(rest, 1)) return std::nullopt;
  }
  ExactValue out;
  if (!AddTerm(powers, 1, &out)) return std::nullopt;
  return out;
}

std::optional<ExactValue> ExactArithmetic::Root(const ExactValue& a, int64_t degree) {
  if (degree < 2 || degree > kMaxDegree || a.terms_.size() > 1) return std::nullopt;
  if (a.terms_.empty()) return ExactValue();
  const auto& [powers, coefficient] = *a.terms_.begin();
  ExactValue::Powers parts;
  for (const auto& [name, exponent] : powers) {  // a root of a root of a number
    const auto part = Reduced(exponent.above, exponent.below * degree);
    if (!IsPrimeSymbol(name) || !part.has_value()) return std::nullopt;
    parts[name] = *part;
  }
  const bool negative = coefficient < 0;
  if (negative && degree != 2 && degree % 2 == 0) return std::nullopt;
  const auto above = PositiveRoot(abs(coefficient.get_num()), degree);
  const auto below = PositiveRoot(coefficient.get_den(), degree);
  ExactValue factor;
  if (!above.has_value() || !below.has_value() || !AddTerm(parts, 1, &factor)) return std::nullopt;
  auto out = Divide(*above, *below);
  if (out.has_value()) out = Multiply(*out, factor);
  if (!out.has_value() || !negative) return out;
  return degree == 2 ? Multiply(*out, ExactValue::Symbol("i")) : Negate(*std::move(out));
}

std::optional<ExactValue> ExactArithmetic::Power(const ExactValue& a, const ExactValue& exponent) {
  const auto power = exponent.Rational();
  if (!power.has_value() || !power->get_num().fits_sint_p() || !power->get_den().fits_sint_p()) {
    return std::nullopt;
  }
  const int64_t above = power->get_num().get_si(), below = power->get_den().get_si();
  if (below == 1) return WholePower(a, above);
  // (-8)^(1/3) is -2 or a complex number, as one takes it.
  if (a.terms_.size() != 1 || a.terms_.begin()->second < 0) return std::nullopt;
  const auto root = Root(a, below);
  return root.has_value() ? WholePower(*root, above) : std::nullopt;
}

}  // namespace reckon
