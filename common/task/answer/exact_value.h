#ifndef RECKON_COMMON_TASK_ANSWER_EXACT_VALUE_H_
#define RECKON_COMMON_TASK_ANSWER_EXACT_VALUE_H_

#include <gmpxx.h>

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

namespace reckon {

// A power of a symbol, in lowest terms.
struct Exponent {
  int64_t above = 1, below = 1;  // below > 0
  auto operator<=>(const Exponent&) const = default;
};

// A number or a polynomial, exactly: a sum of terms, each a rational number times powers of
// symbols. Symbols are
//
//   primes     "2" with an exponent between 0 and 1: roots of whole numbers
//   "i"        the imaginary unit, to the power of 1
//   all else   pi and variables, with whole exponents, negative ones too
//
// Products of different roots of primes are linearly independent over the rationals (Besicovitch
// 1940), i is not real and pi is transcendental. So two sums are equal as numbers, and as functions
// of their variables, exactly if they have the same terms. Variables are taken as positive nowhere:
// x / x is 1 as in polynomials, and a root of a variable is refused.
class ExactValue {
 public:
  ExactValue() = default;  // 0
  explicit ExactValue(const mpq_class& number);
  static ExactValue Symbol(const std::string& name);

  // The number, if there are no symbols.
  std::optional<mpq_class> Rational() const;
  bool HasSymbol(const std::string& name) const;
  bool HasVariables() const;  // symbols that are neither primes nor "i", "pi" or "infinity"
  // Divided by the coefficient of its first term, so that multiples of a sum are equal. 0 stays 0.
  ExactValue Monic() const;
  // Equal exactly for equal values: "3/2*2^1/2*x^2+1".
  std::string ToString() const;

 private:
  friend class ExactArithmetic;
  using Powers = std::map<std::string, Exponent>;
  std::map<Powers, mpq_class> terms_;  // no coefficient is 0
};

// The operations, within a budget that bounds the work of all of them together: about 10 ms. None
// fails otherwise than by nullopt: what cannot be decided exactly, divides by zero, or is too
// large.
class ExactArithmetic {
 public:
  std::optional<ExactValue> Add(const ExactValue& a, const ExactValue& b);
  std::optional<ExactValue> Multiply(const ExactValue& a, const ExactValue& b);
  ExactValue Negate(ExactValue a);
  // By one term, or by a sum of square roots and i without variables, whose denominator is made
  // rational.
  std::optional<ExactValue> Divide(const ExactValue& a, const ExactValue& b);
  // `exponent` must be rational, and whole unless `a` is a positive number of one term.
  std::optional<ExactValue> Power(const ExactValue& a, const ExactValue& exponent);
  // The real root; of a negative number the odd one, or i times the square root.
  std::optional<ExactValue> Root(const ExactValue& a, int64_t degree);

 private:
  bool Spend(int64_t work);
  bool AddTerm(const ExactValue::Powers& powers, const mpq_class& coefficient, ExactValue* sum);
  std::optional<ExactValue> Invert(const ExactValue& a);
  std::optional<ExactValue> WholePower(const ExactValue& a, int64_t exponent);
  std::optional<ExactValue> PositiveRoot(const mpz_class& number, int64_t degree);

  int64_t budget_ = 4000;  // operations on two rational numbers
};

}  // namespace reckon

#endif  // RECKON_COMMON_TASK_ANSWER_EXACT_VALUE_H_
