#ifndef RECKON_COMMON_TASK_ANSWER_LATEX_TOKENS_H_
#define RECKON_COMMON_TASK_ANSWER_LATEX_TOKENS_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace reckon {

// A piece of an answer as MATH writes it, in LaTeX or plain.
struct LatexToken {
  enum Kind {
    kNumber,   // "1234" of "1,234", "0.5"; "0." only before \overline
    kLetter,   // "x", "pi", "alpha", "infinity"
    kWord,     // letters that are no product of variables: "apples"
    kText,     // what \text{} and its like hold
    kCommand,  // "frac", "sqrt", "begin:pmatrix"
    kSign,     // one of + - * / ^ _ ( ) [ ] { } \{ \} , ; = < > <= >= | ! & ' : or one of
               // "\\" (a row's end), "cup", "pm", "in"
  };
  Kind kind;
  std::string text;
  bool space = false;  // before it
};

// The tokens of an answer. Left out is what has no value: spacing, \left and \right, dollar and
// percent signs (units, as number.h has them), degree signs. A comma between groups of three digits
// outside of brackets joins them. nullopt: a character or a command that no answer needs, braces
// that are not closed, or more than 400 tokens.
std::optional<std::vector<LatexToken>> TokenizeLatex(absl::string_view text);

// The text between the brace at `begin` and the one that closes it; nullopt if none does. \{ and \}
// are no braces.
std::optional<absl::string_view> Braced(absl::string_view text, size_t begin);

}  // namespace reckon

#endif  // RECKON_COMMON_TASK_ANSWER_LATEX_TOKENS_H_
