#include "common/task/answer/math_answer.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/types/span.h"
#include "common/task/answer/latex_tokens.h"
#include "common/task/answer/latex_value.h"

namespace reckon {
namespace {

using Tokens = absl::Span<const LatexToken>;

constexpr size_t kMaxAnswerBytes = 1000;
constexpr int kMaxAnswerNesting = 8;
// Units after a number that are not in \text{}.
constexpr absl::string_view kShortUnits[] = {"cm",  "mm", "km",  "kg", "ft", "in", "lb",
                                             "lbs", "oz", "mph", "sq", "am", "pm", "deg"};

bool IsSign(const LatexToken& token, absl::string_view sign) {
  return token.kind == LatexToken::kSign && token.text == sign;
}

bool Opens(const LatexToken& token) {
  return IsSign(token, "(") || IsSign(token, "[") || IsSign(token, "{") || IsSign(token, "\\{") ||
         (token.kind == LatexToken::kCommand && absl::StartsWith(token.text, "begin"));
}

bool Closes(const LatexToken& token) {
  return IsSign(token, ")") || IsSign(token, "]") || IsSign(token, "}") || IsSign(token, "\\}") ||
         (token.kind == LatexToken::kCommand && absl::StartsWith(token.text, "end"));
}

// The parts between the tokens outside of brackets that `separates`; one if there is none.
template <typename Separates>
std::vector<Tokens> SplitWhere(Tokens tokens, Separates separates) {
  std::vector<Tokens> parts;
  int depth = 0;
  size_t begin = 0;
  for (size_t i = 0; i < tokens.size(); ++i) {
    depth += Opens(tokens[i]) ? 1 : Closes(tokens[i]) ? -1 : 0;
    if (depth != 0 || !separates(tokens[i])) continue;
    parts.push_back(tokens.subspan(begin, i - begin));
    begin = i + 1;
  }
  parts.push_back(tokens.subspan(begin));
  return parts;
}

std::vector<Tokens> SplitAt(Tokens tokens, absl::string_view sign) {
  return SplitWhere(tokens, [&](const LatexToken& token) { return IsSign(token, sign); });
}

bool SeparatesItems(const LatexToken& token) {
  if (IsSign(token, ",") || IsSign(token, ";")) return true;
  const bool words = token.kind == LatexToken::kText || token.kind == LatexToken::kWord;
  return words && (token.text == "and" || token.text == "or" || token.text == ",");
}

// The offset of the bracket that closes the one at 0; the size if none does.
size_t Closing(Tokens tokens) {
  int depth = 0;
  for (size_t i = 0; i < tokens.size(); ++i) {
    depth += Opens(tokens[i]) ? 1 : Closes(tokens[i]) ? -1 : 0;
    if (depth == 0) return i;
  }
  return tokens.size();
}

std::string Flat(absl::string_view text) {
  std::string out = absl::AsciiStrToLower(
      absl::StrJoin(absl::StrSplit(text, absl::ByAnyChar(" \t\r\n\v\f"), absl::SkipEmpty()), " "));
  while (!out.empty() && (out.back() == '.' || out.back() == ' ')) out.pop_back();
  return out;
}

// "x", "x_1", "f(x)", "AB": what an answer is given a name by.
bool IsName(Tokens tokens) {
  size_t at = 0;
  if (tokens.empty() || tokens[0].kind != LatexToken::kLetter) return false;
  const auto upper = [](const LatexToken& token) {
    return token.kind == LatexToken::kLetter && token.text.size() == 1 &&
           absl::ascii_isupper(token.text[0]);
  };
  while (at < tokens.size() && upper(tokens[at])) ++at;
  at = std::max<size_t>(at, 1);
  if (at < tokens.size() && IsSign(tokens[at], "_")) {
    at += at + 1 < tokens.size() && IsSign(tokens[at + 1], "{") ? 4 : 2;
  }
  if (at + 2 < tokens.size() && IsSign(tokens[at], "(") &&
      tokens[at + 1].kind == LatexToken::kLetter && IsSign(tokens[at + 2], ")")) {
    at += 3;
  }
  return at == tokens.size();
}

class AnswerReader {
 public:
  // An answer of several items is the set of them.
  std::optional<MathAnswer> List(Tokens tokens) {
    std::vector<MathAnswer> items;
    for (Tokens part : SplitWhere(tokens, SeparatesItems)) {
      // ", and" has an empty part in the middle.
      if (part.empty() && !items.empty()) continue;
      auto item = Item(part);
      if (!item.has_value()) return std::nullopt;
      items.push_back(*std::move(item));
    }
    return Set(std::move(items));
  }

 private:
  static MathAnswer Exact(std::string form) { return {MathAnswer::kExact, std::move(form)}; }

  // The set of items without order and repetition; one item is itself.
  static MathAnswer Set(std::vector<MathAnswer> items) {
    std::vector<std::string> forms;
    bool opaque = false;
    for (const MathAnswer& item : items) {
      forms.push_back(item.form);
      opaque = opaque || item.kind == MathAnswer::kOpaque;
    }
    std::sort(forms.begin(), forms.end());
    forms.erase(std::unique(forms.begin(), forms.end()), forms.end());
    if (forms.size() == 1) return {items[0].kind, forms[0]};
    return {opaque ? MathAnswer::kOpaque : MathAnswer::kExact,
            absl::StrCat("{", absl::StrJoin(forms, "; "), "}")};
  }

  std::optional<MathAnswer> Item(Tokens tokens) {
    if (++nesting_ > kMaxAnswerNesting) return std::nullopt;
    auto out = PlusMinus(WithoutUnit(tokens));
    --nesting_;
    return out;
  }

  static Tokens WithoutUnit(Tokens tokens) {
    size_t end = tokens.size();
    // \text{ cm}^2, \text{ cm}^{2}
    if (end > 2 && IsSign(tokens[end - 2], "^") && tokens[end - 3].kind == LatexToken::kText) {
      end -= 2;
    } else if (end > 4 && IsSign(tokens[end - 1], "}") && IsSign(tokens[end - 3], "{") &&
               IsSign(tokens[end - 4], "^") && tokens[end - 5].kind == LatexToken::kText) {
      end -= 4;
    }
    while (end > 1) {
      const LatexToken& last = tokens[end - 1];
      const bool word =
          last.kind == LatexToken::kWord && last.space &&
          (last.text.size() > 3 || std::find(std::begin(kShortUnits), std::end(kShortUnits),
                                             last.text) != std::end(kShortUnits));
      if (last.kind != LatexToken::kText && !word) break;
      --end;
    }
    // Words alone are no number with a unit.
    const LatexToken::Kind first = tokens.empty() ? LatexToken::kText : tokens[0].kind;
    const bool words = first == LatexToken::kText || first == LatexToken::kWord;
    return words ? tokens : tokens.subspan(0, end);
  }

  // With one plus-minus sign: the set of both.
  std::optional<MathAnswer> PlusMinus(Tokens tokens) {
    std::vector<LatexToken> plus(tokens.begin(), tokens.end());
    size_t signs = 0, at = 0;
    for (size_t i = 0; i < tokens.size(); ++i) {
      if (!IsSign(tokens[i], "pm")) continue;
      ++signs;
      at = i;
    }
    if (signs == 0) return Relation(tokens);
    if (signs > 1) return std::nullopt;
    std::vector<LatexToken> minus = plus;
    plus[at].text = "+";
    minus[at].text = "-";
    auto a = Relation(plus), b = Relation(minus);
    if (!a.has_value() || !b.has_value()) return std::nullopt;
    return Set({*std::move(a), *std::move(b)});
  }

  std::optional<MathAnswer> Relation(Tokens tokens) {
    if (const auto parts = SplitAt(tokens, "in"); parts.size() == 2 && IsName(parts[0])) {
      return Union(parts[1]);
    }
    const std::vector<Tokens> sides = SplitAt(tokens, "=");
    if (sides.size() == 2) return Equation(sides[0], sides[1]);
    if (sides.size() > 2) return std::nullopt;
    const std::vector<Tokens> parts = SplitWhere(tokens, [](const LatexToken& token) {
      return IsSign(token, "<") || IsSign(token, ">") || IsSign(token, "<=") || IsSign(token, ">=");
    });
    return parts.size() == 1 ? Union(tokens) : Inequality(tokens, parts);
  }

  bool Mentions(Tokens tokens, Tokens name) {
    return std::any_of(tokens.begin(), tokens.end(), [&](const LatexToken& token) {
      return token.kind == LatexToken::kLetter && token.text == name[0].text;
    });
  }

  std::optional<MathAnswer> Equation(Tokens left, Tokens right) {
    if (IsName(left) && !Mentions(right, left)) return Union(right);
    if (IsName(right) && !Mentions(left, right)) return Union(left);
    const auto a = ReadValue(left, &arithmetic_), b = ReadValue(right, &arithmetic_);
    if (!a.has_value() || !b.has_value()) return std::nullopt;
    const auto difference = arithmetic_.Add(*a, arithmetic_.Negate(*b));
    if (!difference.has_value()) return std::nullopt;
    // Other forms may have the same solutions.
    return MathAnswer{MathAnswer::kOpaque, absl::StrCat(difference->Monic().ToString(), "=0")};
  }

  // Of one variable and numbers: "x > 3", "3 < x", "0 <= x < 1".
  std::optional<MathAnswer> Inequality(Tokens tokens, const std::vector<Tokens>& parts) {
    std::vector<std::string> signs;
    size_t at = 0;
    for (size_t i = 0; i + 1 < parts.size(); ++i) {
      at += parts[i].size();
      signs.push_back(tokens[at++].text);
    }
    const size_t variable = IsName(parts[0]) ? 0 : 1;
    if (parts.size() > 3 || (parts.size() == 3 && variable == 0) || !IsName(parts[variable])) {
      return std::nullopt;
    }
    std::string low = "(-1*infinity", high = "1*infinity)";
    for (size_t i = 0; i < parts.size(); ++i) {
      if (i == variable) continue;
      const auto bound = ReadValue(parts[i], &arithmetic_);
      if (!bound.has_value() || bound->HasVariables()) return std::nullopt;
      const std::string& sign = signs[std::min(i, variable)];
      // "x > 3" and "3 < x" bound from below.
      const bool below = (sign[0] == '>') == (variable < i);
      const bool closed = sign.size() == 2;
      if (below) {
        low = absl::StrCat(closed ? "[" : "(", bound->ToString());
      } else {
        high = absl::StrCat(bound->ToString(), closed ? "]" : ")");
      }
    }
    if (parts.size() == 3 && signs[0][0] != signs[1][0]) return std::nullopt;
    return Exact(absl::StrCat(low, ", ", high));
  }

  std::optional<MathAnswer> Union(Tokens tokens) {
    std::vector<MathAnswer> parts;
    for (Tokens part : SplitAt(tokens, "cup")) {
      auto one = Group(part);
      if (!one.has_value()) return std::nullopt;
      parts.push_back(*std::move(one));
    }
    if (parts.size() == 1) return parts[0];
    std::vector<std::string> forms;
    for (const MathAnswer& part : parts) {
      if (part.kind != MathAnswer::kExact) return std::nullopt;
      forms.push_back(part.form);
    }
    std::sort(forms.begin(), forms.end());
    return Exact(absl::StrJoin(forms, " u "));
  }

  // A tuple, an interval, a set, a matrix, a value, or words.
  std::optional<MathAnswer> Group(Tokens tokens) {
    if (tokens.empty()) return std::nullopt;
    if (auto words = Words(tokens); words.has_value()) return words;
    if (tokens.size() == 1 && tokens[0].kind == LatexToken::kCommand) {
      if (tokens[0].text == "emptyset") return Exact("{}");
      if (tokens[0].text == "reals") return Exact("(-1*infinity, 1*infinity)");
    }
    if (Opens(tokens[0]) && Closing(tokens) == tokens.size() - 1) {
      const Tokens inner = tokens.subspan(1, tokens.size() - 2);
      if (tokens[0].kind == LatexToken::kCommand) return Matrix(inner);
      if (IsSign(tokens[0], "{")) return Item(inner);
      if (IsSign(tokens[0], "\\{")) return inner.empty() ? Exact("{}") : Braces(inner);
      const std::vector<Tokens> parts = SplitAt(inner, ",");
      if (parts.size() > 1) {
        return Tuple(parts, tokens[0].text, tokens.back().text);
      }
      if (!IsSign(tokens[0], "(") || !IsSign(tokens.back(), ")")) return std::nullopt;
    }
    const auto value = ReadValue(tokens, &arithmetic_);
    if (!value.has_value()) return std::nullopt;
    return Exact(value->ToString());
  }

  std::optional<MathAnswer> Braces(Tokens inner) {
    std::vector<MathAnswer> items;
    for (Tokens part : SplitAt(inner, ",")) {
      auto item = Item(part);
      if (!item.has_value()) return std::nullopt;
      items.push_back(*std::move(item));
    }
    return Set(std::move(items));
  }

  std::optional<MathAnswer> Tuple(const std::vector<Tokens>& parts, absl::string_view open,
                                  absl::string_view close) {
    std::vector<std::string> forms;
    MathAnswer out = Exact("");
    for (Tokens part : parts) {
      auto item = Item(part);
      if (!item.has_value()) return std::nullopt;
      if (item->kind != MathAnswer::kExact) out.kind = MathAnswer::kOpaque;
      forms.push_back(std::move(item->form));
    }
    out.form = absl::StrCat(open, absl::StrJoin(forms, ", "), close);
    return out;
  }

  std::optional<MathAnswer> Matrix(Tokens inner) {
    std::vector<std::string> rows;
    for (Tokens row : SplitAt(inner, "\\\\")) {
      if (row.empty()) continue;  // after the last row's end
      const auto cells = Tuple(SplitAt(row, "&"), "", "");
      if (!cells.has_value() || cells->kind != MathAnswer::kExact) return std::nullopt;
      rows.push_back(cells->form);
    }
    return Exact(absl::StrCat("matrix(", absl::StrJoin(rows, " / "), ")"));
  }

  // Words alone, at least one of which is no product of letters. "(B)" is the letter.
  static std::optional<MathAnswer> Words(Tokens tokens) {
    std::string text;
    bool words = false;
    for (const LatexToken& token : tokens) {
      const bool word = token.kind == LatexToken::kText || token.kind == LatexToken::kWord;
      if (!word && token.kind != LatexToken::kLetter) return std::nullopt;
      absl::StrAppend(&text, token.space && !text.empty() ? " " : "", token.text);
      words = words || word;
    }
    if (!words) return std::nullopt;
    text = Flat(text);
    absl::string_view letter = text;
    absl::ConsumePrefix(&letter, "(");
    absl::ConsumeSuffix(&letter, ")");
    if (letter.size() == 1 && absl::ascii_isalpha(letter[0])) {
      return Exact(ExactValue::Symbol(absl::AsciiStrToUpper(letter)).ToString());
    }
    return MathAnswer{MathAnswer::kText, std::move(text)};
  }

  ExactArithmetic arithmetic_;
  int nesting_ = 0;
};

// The same in all spellings that differ in spaces alone.
MathAnswer Opaque(absl::string_view text) {
  MathAnswer out;
  for (char c : text) {
    if (!absl::ascii_isspace(c)) out.form.push_back(c);
  }
  return out;
}

bool PlainWords(absl::string_view text) {
  bool letters = false;
  for (char c : text) {
    letters = letters || absl::ascii_isalpha(c);
    if (!absl::ascii_isalpha(c) && absl::string_view(" -'.,").find(c) == absl::string_view::npos &&
        absl::ascii_isascii(c)) {
      return false;
    }
  }
  return letters;
}

}  // namespace

MathAnswer ReadMathAnswer(absl::string_view text) {
  text = absl::StripAsciiWhitespace(text);
  while (absl::ConsumeSuffix(&text, ".") || absl::ConsumeSuffix(&text, " ")) {
  }
  if (text.size() > kMaxAnswerBytes) return Opaque(text);
  // \text{...} around all of it may hold a number as well.
  for (absl::string_view command : {"\\text", "\\textbf", "\\textit", "\\mathrm", "\\mathbf"}) {
    if (!absl::StartsWith(text, absl::StrCat(command, "{"))) continue;
    const auto content = Braced(text, command.size());
    if (content.has_value() && command.size() + content->size() + 2 == text.size()) {
      return ReadMathAnswer(*content);
    }
  }
  if (const auto tokens = TokenizeLatex(text); tokens.has_value()) {
    if (auto answer = AnswerReader().List(*tokens); answer.has_value()) return *std::move(answer);
  }
  if (PlainWords(text)) return {MathAnswer::kText, Flat(text)};
  return Opaque(text);
}

std::optional<bool> SameAnswer(const MathAnswer& a, const MathAnswer& b) {
  if (a.kind == b.kind && a.form == b.form) return true;
  if (a.kind == MathAnswer::kOpaque || a.kind != b.kind) return std::nullopt;
  return false;
}

}  // namespace reckon
