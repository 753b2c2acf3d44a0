#include "common/task/answer/exact_value.h"

#include "gtest/gtest.h"

namespace reckon {
namespace {

ExactValue Number(const char* text) { return ExactValue(mpq_class(text)); }
ExactValue Root(const char* of, int64_t degree = 2) {
  return *ExactArithmetic().Root(Number(of), degree);
}

TEST(ExactValueTest, EqualValuesHaveOneForm) {
  ExactArithmetic of;
  EXPECT_EQ(Root("8").ToString(), "2*2^1/2");
  EXPECT_EQ(Root("1/2").ToString(), "1/2*2^1/2");
  EXPECT_EQ(of.Multiply(Root("6"), Root("10"))->ToString(), "2*3^1/2*5^1/2");
  EXPECT_EQ(of.Power(Root("2", 6), Number("3"))->ToString(), Root("2").ToString());
  EXPECT_EQ(of.Power(Number("4"), Number("-3/2"))->ToString(), "1/8");
  EXPECT_EQ(Root("-8", 3).ToString(), "-2");
  EXPECT_EQ(Root("-4").ToString(), "2*i");
  const ExactValue i = ExactValue::Symbol("i");
  EXPECT_EQ(of.Multiply(i, i)->ToString(), "-1");
  EXPECT_EQ(of.Power(i, Number("-5"))->ToString(), "-1*i");
}

TEST(ExactValueTest, DenominatorsOfRootsBecomeRational) {
  ExactArithmetic of;
  const ExactValue sum = *of.Add(*of.Add(Root("2"), Root("3")), Number("1"));
  const auto inverse = of.Divide(Number("1"), sum);
  ASSERT_TRUE(inverse.has_value());
  EXPECT_EQ(of.Multiply(*inverse, sum)->ToString(), "1");
  const ExactValue x = ExactValue::Symbol("x");
  EXPECT_EQ(of.Divide(Number("1"), x)->ToString(), "1*x^-1");
  EXPECT_FALSE(of.Divide(Number("1"), *of.Add(x, Number("1"))).has_value());
  EXPECT_FALSE(of.Divide(x, Number("0")).has_value());
  EXPECT_FALSE(of.Divide(x, *of.Add(x, of.Negate(x))).has_value());
}

TEST(ExactValueTest, WhatIsTooLargeOrNotDecidedIsNothing) {
  ExactArithmetic of;
  EXPECT_FALSE(of.Power(Number("10"), Number("1000")).has_value());
  EXPECT_FALSE(of.Power(Number("2"), Number("1/25")).has_value());
  EXPECT_FALSE(of.Power(Number("-8"), Number("1/3")).has_value());
  EXPECT_FALSE(of.Root(ExactValue::Symbol("x"), 2).has_value());
  // 10007 x 10009: two primes above the trial divisors. Of 10007 squared the root is known.
  EXPECT_FALSE(of.Root(Number("100160063"), 2).has_value());
  EXPECT_EQ(of.Root(Number("100140049"), 2)->ToString(), "10007");
}

}  // namespace
}  // namespace reckon
