#ifndef RECKON_COMMON_TASK_BUILTIN_STORIES_H_
#define RECKON_COMMON_TASK_BUILTIN_STORIES_H_

#include <cstdint>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace reckon {

// A story is a small graph. Its states say what the number so far is (apples, dollars, ...); a move
// is one step of the solution from a state to the next.
//
// Texts hold places: {N} {M} the two people; {she} {him} {her} the first one's pronouns ({her} is
// the possessive; capital {She}, {Her}); {o} {s} the object, many and one; {x} a fresh extra; {a}
// {b} the opening's numbers, {n} the move's, {times} "twice", "3 times"; {m} "3*4=<<3*4=12>>12".
enum class Op {
  kAdd,
  kSubtract,      // value - n
  kSubtractFrom,  // n - value
  kMultiply,
  kDivide,       // exact
  kAddPrevious,  // value + the one before
};

struct Range {
  int64_t low, high;
};

struct Opening {
  // kAdd, kMultiply: "a op b" is the first step. Without `line`, `a` is given and no step is taken.
  int to;
  Op op;
  Range a, b;
  absl::string_view tell;  // for the question
  absl::string_view line;  // for the solution
  absl::string_view ask;   // ends the question when the story stops here
};

struct Move {
  int from, to;
  Op op;
  Range n;  // for kSubtractFrom, how much more than the value
  absl::string_view tell, line, ask;
};

struct Object {
  absl::string_view many, one;
};

struct Story {
  absl::string_view name;
  std::vector<Object> objects;
  std::vector<absl::string_view> extras;
  std::vector<Opening> openings;
  std::vector<Move> moves;
};

const std::vector<Story>& BuiltinStories();

struct Person {
  absl::string_view name;
  bool she;
};
absl::Span<const Person> BuiltinPeople();

}  // namespace reckon

#endif  // RECKON_COMMON_TASK_BUILTIN_STORIES_H_
