#include "common/task/answer/latex_tokens.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace reckon {
namespace {

constexpr size_t kMostTokens = 400;
constexpr size_t kMaxVariables = 3;  // letters in a row that are a product, not a word

struct Spelling {
  absl::string_view written;
  LatexToken::Kind kind;
  absl::string_view text;  // empty: has no value
};

// LaTeX's commands, without the backslash.
constexpr Spelling kCommands[] = {
    {"frac", LatexToken::kCommand, "frac"},
    {"dfrac", LatexToken::kCommand, "frac"},
    {"tfrac", LatexToken::kCommand, "frac"},
    {"cfrac", LatexToken::kCommand, "frac"},
    {"sqrt", LatexToken::kCommand, "sqrt"},
    {"binom", LatexToken::kCommand, "binom"},
    {"dbinom", LatexToken::kCommand, "binom"},
    {"tbinom", LatexToken::kCommand, "binom"},
    {"overline", LatexToken::kCommand, "overline"},
    {"cdot", LatexToken::kSign, "*"},
    {"times", LatexToken::kSign, "*"},
    {"ast", LatexToken::kSign, "*"},
    {"div", LatexToken::kSign, "/"},
    {"le", LatexToken::kSign, "<="},
    {"leq", LatexToken::kSign, "<="},
    {"leqslant", LatexToken::kSign, "<="},
    {"ge", LatexToken::kSign, ">="},
    {"geq", LatexToken::kSign, ">="},
    {"geqslant", LatexToken::kSign, ">="},
    {"lt", LatexToken::kSign, "<"},
    {"gt", LatexToken::kSign, ">"},
    {"cup", LatexToken::kSign, "cup"},
    {"pm", LatexToken::kSign, "pm"},
    {"in", LatexToken::kSign, "in"},
    {"lbrace", LatexToken::kSign, "\\{"},
    {"rbrace", LatexToken::kSign, "\\}"},
    {"lbrack", LatexToken::kSign, "["},
    {"rbrack", LatexToken::kSign, "]"},
    {"vert", LatexToken::kSign, "|"},
    {"infty", LatexToken::kLetter, "infinity"},
    {"pi", LatexToken::kLetter, "pi"},
    {"emptyset", LatexToken::kCommand, "emptyset"},
    {"varnothing", LatexToken::kCommand, "emptyset"},
};
constexpr absl::string_view kGreek[] = {"alpha", "beta",   "gamma", "delta", "epsilon",
                                        "theta", "lambda", "mu",    "rho",   "sigma",
                                        "tau",   "phi",    "omega"};
// Commands without a value; sizes and spaces.
constexpr absl::string_view kNothing[] = {
    "left",  "right", "big",    "Big",          "bigl",      "bigr",   "Bigl",
    "Bigr",  "bigg",  "Bigg",   "displaystyle", "textstyle", "limits", "quad",
    "qquad", "circ",  "degree", "thinspace",    "medspace"};
constexpr absl::string_view kTexts[] = {"text",         "textbf", "textit", "textrm",
                                        "mathrm",       "mathbf", "mbox",   "mathit",
                                        "operatorname", "emph",   "textsf"};
constexpr absl::string_view kMatrices[] = {"pmatrix", "bmatrix", "matrix"};
// What is written without LaTeX.
constexpr Spelling kPlain[] = {
    {"\xe2\x88\x92", LatexToken::kSign, "-"},           // minus
    {"\xe2\x80\x93", LatexToken::kSign, "-"},           // en dash
    {"\xc3\x97", LatexToken::kSign, "*"},               // times
    {"\xc2\xb7", LatexToken::kSign, "*"},               // dot
    {"\xc3\xb7", LatexToken::kSign, "/"},               // division
    {"\xe2\x89\xa4", LatexToken::kSign, "<="},          // at most
    {"\xe2\x89\xa5", LatexToken::kSign, ">="},          // at least
    {"\xe2\x88\xaa", LatexToken::kSign, "cup"},         // union
    {"\xcf\x80", LatexToken::kLetter, "pi"},            // pi
    {"\xe2\x88\x9e", LatexToken::kLetter, "infinity"},  // infinity
    {"\xe2\x88\x9a", LatexToken::kCommand, "sqrt"},     // root
    {"\xc2\xb0", LatexToken::kSign, ""},                // degree
    {"\xc2\xa0", LatexToken::kSign, ""},                // no-break space
    {"\xe2\x80\xaf", LatexToken::kSign, ""},            // narrow no-break space
    {"<=", LatexToken::kSign, "<="},
    {">=", LatexToken::kSign, ">="},
    {"**", LatexToken::kSign, "^"},
};
constexpr Spelling kWords[] = {
    {"pi", LatexToken::kLetter, "pi"},        {"sqrt", LatexToken::kCommand, "sqrt"},
    {"inf", LatexToken::kLetter, "infinity"}, {"infinity", LatexToken::kLetter, "infinity"},
    {"oo", LatexToken::kLetter, "infinity"},
};
// Words of up to kMaxVariables letters.
constexpr absl::string_view kShortWords[] = {
    "and", "or",  "no",  "yes", "odd", "one", "two", "six", "ten", "cm",  "mm",  "km",
    "kg",  "ft",  "in",  "lb",  "lbs", "oz",  "mph", "sq",  "am",  "pm",  "sin", "cos",
    "tan", "log", "ln",  "mod", "lcm", "gcd", "min", "max", "arc", "cot", "sec", "csc",
    "deg", "day", "men", "all", "red", "mon", "tue", "wed", "thu", "fri", "sat", "sun"};

template <typename List>
bool Contains(const List& list, absl::string_view text) {
  return std::find(std::begin(list), std::end(list), text) != std::end(list);
}

class Tokenizing {
 public:
  explicit Tokenizing(absl::string_view text) : text_(text) {}

  std::optional<std::vector<LatexToken>> Run() {
    while (at_ < text_.size()) {
      if (!Next() || tokens_.size() > kMostTokens) return std::nullopt;
    }
    return std::move(tokens_);
  }

 private:
  absl::string_view rest() const { return text_.substr(at_); }

  void Add(LatexToken::Kind kind, absl::string_view text) {
    if (text == "(" || text == "[" || text == "\\{") ++depth_;
    if (text == ")" || text == "]" || text == "\\}") --depth_;
    tokens_.push_back({kind, std::string(text), space_});
    space_ = latex_command_ = false;
  }

  bool Next() {
    const char c = text_[at_];
    if (absl::ascii_isspace(c) || c == '~') return Space(1);
    if (c == '$' || c == '%') return Space(1);
    for (const Spelling& plain : kPlain) {
      if (!absl::StartsWith(rest(), plain.written)) continue;
      at_ += plain.written.size();
      if (plain.text.empty()) {
        space_ = true;
      } else {
        Add(plain.kind, plain.text);
      }
      return true;
    }
    if (c == '\\') return Command();
    const bool point = c == '.' && at_ + 1 < text_.size() && absl::ascii_isdigit(text_[at_ + 1]);
    if (absl::ascii_isdigit(c) || point) return Number();
    if (absl::ascii_isalpha(c)) return Letters();
    // A degree sign is a power of \circ.
    if (absl::StartsWith(rest(), "^\\circ") || absl::StartsWith(rest(), "^{\\circ}")) {
      return Space(c == '^' && rest()[1] == '{' ? 8 : 6);
    }
    if (absl::string_view("+-*/^_()[]{},;=<>|!&':").find(c) == absl::string_view::npos) {
      return false;
    }
    Add(LatexToken::kSign, rest().substr(0, 1));
    ++at_;
    return true;
  }

  bool Space(size_t bytes) {
    at_ += bytes;
    space_ = true;
    return true;
  }

  bool Command() {
    size_t end = at_ + 1;
    while (end < text_.size() && absl::ascii_isalpha(text_[end])) ++end;
    const absl::string_view name = text_.substr(at_ + 1, end - at_ - 1);
    if (name.empty()) {
      if (end >= text_.size()) return false;
      const char c = text_[end];
      at_ = end + 1;
      if (absl::string_view(",;:! $%").find(c) != absl::string_view::npos) {
        space_ = space_ || c != '!';
      } else if (c == '{' || c == '}' || c == '\\') {
        Add(LatexToken::kSign, text_.substr(end - 1, 2));
      } else {
        return c == '(' || c == ')' || c == '[' || c == ']';  // \( and \[ begin a formula
      }
      return true;
    }
    at_ = end;
    for (const Spelling& command : kCommands) {
      if (command.written != name) continue;
      Add(command.kind, command.text);
      latex_command_ = true;
      return true;
    }
    if (Contains(kGreek, name)) {
      Add(LatexToken::kLetter, name);
      return true;
    }
    if (Contains(kNothing, name)) {
      space_ = true;
      return true;
    }
    const bool matrix = name == "begin" || name == "end";
    if (!matrix && name != "mathbb" && !Contains(kTexts, name)) return false;
    while (at_ < text_.size() && text_[at_] == ' ') ++at_;
    const auto content = Braced(text_, at_);
    if (!content.has_value()) return false;
    at_ += content->size() + 2;
    if (matrix && !Contains(kMatrices, *content)) return false;
    if (name == "mathbb") {
      if (*content != "R") return false;
      Add(LatexToken::kCommand, "reals");
    } else if (matrix) {
      Add(LatexToken::kCommand, absl::StrCat(name, ":matrix"));
    } else {
      Add(LatexToken::kText, absl::StripAsciiWhitespace(*content));
    }
    return true;
  }

  size_t DigitsAt(size_t at) const {
    size_t end = at;
    while (end < text_.size() && absl::ascii_isdigit(text_[end])) ++end;
    return end - at;
  }

  // The bytes of what separates thousands at `at`; 0: nothing does.
  size_t Separator(size_t at) const {
    const absl::string_view after = text_.substr(at);
    for (absl::string_view separator : {"{,}", "\\,", "\\!", ",\\!", "\xc2\xa0", "\xe2\x80\xaf"}) {
      if (absl::StartsWith(after, separator)) return separator.size();
    }
    return depth_ == 0 && absl::StartsWith(after, ",") ? 1 : 0;
  }

  // How many arguments of one digit \frac and \sqrt take here: 12 is two in \frac12.
  size_t DigitArguments() const {
    if (tokens_.empty() || tokens_.back().kind != LatexToken::kCommand) return 0;
    if (!latex_command_) return 0;
    return tokens_.back().text == "sqrt" ? 1 : 2;
  }

  bool Number() {
    size_t digits = DigitsAt(at_);
    for (size_t taken = std::min(digits, DigitArguments()); taken > 0; --taken) {
      Add(LatexToken::kNumber, rest().substr(0, 1));
      ++at_;
      if (--digits == 0) return true;
    }
    std::string number(text_.substr(at_, digits));
    at_ += digits;
    if (digits > 0 && digits <= 3 && number[0] != '0') {
      while (const size_t bytes = Separator(at_)) {
        if (DigitsAt(at_ + bytes) != 3) break;
        absl::StrAppend(&number, text_.substr(at_ + bytes, 3));
        at_ += bytes + 3;
      }
    }
    if (at_ < text_.size() && text_[at_] == '.') {
      digits = DigitsAt(at_ + 1);
      const bool repeats = absl::StartsWith(text_.substr(at_ + 1 + digits), "\\overline");
      if (digits > 0 || repeats) {
        absl::StrAppend(&number, text_.substr(at_, digits + 1));
        at_ += digits + 1;
      }
    }
    if (at_ < text_.size() && text_[at_] == '.') return false;  // 1.2.3
    Add(LatexToken::kNumber, number);
    return true;
  }

  bool Letters() {
    size_t end = at_;
    while (end < text_.size() && absl::ascii_isalpha(text_[end])) ++end;
    const absl::string_view run = text_.substr(at_, end - at_);
    at_ = end;
    for (const Spelling& word : kWords) {
      if (word.written != run) continue;
      Add(word.kind, word.text);
      return true;
    }
    // "5 ab" is a number with a unit as well as a product.
    const bool after_one = space_ && !tokens_.empty() && tokens_.back().kind != LatexToken::kSign;
    if (run.size() > kMaxVariables || (run.size() > 1 && after_one) ||
        Contains(kShortWords, absl::AsciiStrToLower(run))) {
      Add(LatexToken::kWord, run);
      return true;
    }
    for (size_t i = 0; i < run.size(); ++i) Add(LatexToken::kLetter, run.substr(i, 1));
    return true;
  }

  const absl::string_view text_;
  size_t at_ = 0;
  int depth_ = 0;                               // of brackets
  bool space_ = false, latex_command_ = false;  // before what comes next
  std::vector<LatexToken> tokens_;
};

}  // namespace

std::optional<absl::string_view> Braced(absl::string_view text, size_t begin) {
  if (begin >= text.size() || text[begin] != '{') return std::nullopt;
  int depth = 0;
  for (size_t at = begin; at < text.size(); ++at) {
    if (text[at] == '\\') {
      ++at;
    } else if (text[at] == '{') {
      ++depth;
    } else if (text[at] == '}' && --depth == 0) {
      return text.substr(begin + 1, at - begin - 1);
    }
  }
  return std::nullopt;
}

std::optional<std::vector<LatexToken>> TokenizeLatex(absl::string_view text) {
  return Tokenizing(text).Run();
}

}  // namespace reckon
