#ifndef RECKON_COMMON_TASK_BUILTIN_BUILTIN_STORIES_H_
#define RECKON_COMMON_TASK_BUILTIN_BUILTIN_STORIES_H_

#include <cstdint>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace reckon {

// A story is a small graph. A state is the meaning of the current value (apples, dollars, ...), and
// a move is one solution step from a state to the next. A problem is a walk:
//
//   opening -> state 0 -- move "sells {n}" --> state 0 -- move "${n} each" --> state 1 -> question
//
// Placeholders in texts:
//   {N} {M}            the names of two people
//   {she} {him} {her}  pronouns of the first ({her} is the possessive; capitals: {She}, {Her})
//   {o} {s}            the object, in the plural and the singular
//   {x}                an extra that was not used before
//   {a} {b} {n}        the numbers of the opening and of the move; {times}: "twice", "3 times"
//   {m}                the marked calculation, "3*4=<<3*4=12>>12"
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
  // kAdd or kMultiply: "a op b" is the first step. Without `line` the value is `a`, and no step is
  // taken.
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

#endif  // RECKON_COMMON_TASK_BUILTIN_BUILTIN_STORIES_H_
