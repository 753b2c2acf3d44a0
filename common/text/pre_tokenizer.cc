#include "common/text/pre_tokenizer.h"

#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/printable.h"
#include "common/base/status_macros.h"
#include "common/text/char_class.h"
#include "common/text/utf8.h"

namespace reckon {
namespace {

using nlohmann::json;
using WordSink = absl::FunctionRef<void(absl::string_view)>;

absl::Status Unknown(absl::string_view what) {
  return absl::UnimplementedError(
      absl::StrCat("pre_tokenizer: ", what,
                   " is not known; known are ByteLevel (GPT-2), Sequence[Digits, ByteLevel] "
                   "(SmolLM2) and Sequence[Split, ByteLevel] with the patterns of Llama 3 and "
                   "Qwen2"));
}

// Patterns are recognised by their exact text.
constexpr char kLlama3Pattern[] =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr char kQwen2Pattern[] =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

// Split by a known pattern.
absl::StatusOr<PreTokenizer> ReadSplit(const json& spec) {
  ASSIGN_OR_RETURN(std::string behavior, GetString(spec, "behavior"));
  if (behavior != "Isolated")
    return Unknown(absl::StrCat("Split with behavior ", Printable(behavior)));
  ASSIGN_OR_RETURN(bool invert, GetBoolOr(spec, "invert", false));
  if (invert) return Unknown("Split with invert");
  ASSIGN_OR_RETURN(const json* pattern, GetObject(spec, "pattern"));
  ASSIGN_OR_RETURN(std::string regex, GetString(*pattern, "Regex"));
  if (regex == kLlama3Pattern) return PreTokenizer::kLlama3;
  if (regex == kQwen2Pattern) return PreTokenizer::kQwen2;
  return Unknown("Split by this pattern");
}

// `wanted_regex`: whether this component must apply GPT-2's pattern.
absl::Status CheckByteLevel(const json& spec, bool wanted_regex = true) {
  ASSIGN_OR_RETURN(std::string type, GetString(spec, "type"));
  if (type != "ByteLevel") return Unknown(absl::StrCat("type \"", Printable(type), "\" here"));
  ASSIGN_OR_RETURN(bool prefix_space, GetBool(spec, "add_prefix_space"));
  if (prefix_space) return Unknown("ByteLevel with add_prefix_space");
  ASSIGN_OR_RETURN(bool use_regex, GetBoolOr(spec, "use_regex", true));
  if (use_regex != wanted_regex) {
    return Unknown(
        absl::StrCat("ByteLevel with use_regex: ", use_regex ? "true" : "false", " here"));
  }
  return absl::OkStatus();
}

absl::Status CheckDigits(const json& spec) {
  ASSIGN_OR_RETURN(std::string type, GetString(spec, "type"));
  if (type != "Digits")
    return Unknown(absl::StrCat("type \"", Printable(type), "\" in a Sequence"));
  ASSIGN_OR_RETURN(bool individual, GetBool(spec, "individual_digits"));
  if (!individual) return Unknown("Digits with individual_digits: false");
  return absl::OkStatus();
}

// Length of the contraction ('s 't 're 've 'm 'll 'd) that `text` starts with, or 0.
size_t ContractionLength(absl::string_view text) {
  if (text.size() < 2 || text[0] != '\'') return 0;
  switch (text[1]) {
    case 's':
    case 't':
    case 'm':
    case 'd':
      return 2;
    default:
      text.remove_prefix(1);
      return absl::StartsWith(text, "re") || absl::StartsWith(text, "ve") ||
                     absl::StartsWith(text, "ll")
                 ? 3
                 : 0;
  }
}

struct Run {
  CharClass kind;
  size_t end;
  size_t last;  // where its last character starts
};

// The longest run of one class from `at`, which must be inside `text`.
Run RunAt(absl::string_view text, size_t at) {
  Utf8Char c = Utf8At(text, at);
  Run run{ClassOf(c.code), at + c.length, at};
  while (run.end < text.size()) {
    c = Utf8At(text, run.end);
    if (ClassOf(c.code) != run.kind) break;
    run.last = run.end;
    run.end += c.length;
  }
  return run;
}

// 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
void SplitGpt2(absl::string_view text, WordSink word) {
  for (size_t at = 0; at < text.size();) {
    size_t end;
    if (size_t length = ContractionLength(text.substr(at)); length > 0) {
      end = at + length;
    } else if (Run run = RunAt(text, at); run.kind != CharClass::kSpace || run.end == text.size()) {
      end = run.end;
    } else if (run.last > at) {
      end = run.last;  // \s+(?!\S): all white space but the last, which the next word may take
    } else if (text[at] == ' ') {
      end = RunAt(text, run.end).end;
    } else {
      end = run.end;
    }
    word(text.substr(at, end - at));
    at = end;
  }
}

// Length of the contraction of either case, or 0. 's also has its long form (U+017F), as Unicode's
// case folding wants it.
size_t AnyCaseContractionLength(absl::string_view text) {
  if (text.size() < 2 || text[0] != '\'') return 0;
  if (absl::StartsWith(text.substr(1), "\xc5\xbf")) return 3;
  const std::string lower = absl::AsciiStrToLower(text.substr(0, 3));
  return ContractionLength(lower);
}

// The end of at most `most` numeric characters from `at`.
size_t EndOfNumber(absl::string_view text, size_t at, int most) {
  for (int i = 0; i < most && at < text.size(); ++i) {
    const Utf8Char c = Utf8At(text, at);
    if (ClassOf(c.code) != CharClass::kNumber) break;
    at += c.length;
  }
  return at;
}

bool IsLineEnd(char c) { return c == '\r' || c == '\n'; }

// The patterns above, alternative by alternative.
void SplitLlama3(absl::string_view text, int digits, WordSink word) {
  auto class_at = [&](size_t at) {
    return at < text.size() ? ClassOf(Utf8At(text, at).code) : CharClass::kSpace;
  };
  for (size_t at = 0; at < text.size();) {
    const CharClass kind = class_at(at);
    const size_t second = at + Utf8At(text, at).length;
    size_t end;
    if (size_t length = AnyCaseContractionLength(text.substr(at, 3)); length > 0) {
      end = at + length;
    } else if (kind == CharClass::kLetter) {
      end = RunAt(text, at).end;
    } else if (kind == CharClass::kNumber) {
      end = EndOfNumber(text, at, digits);
    } else if (!IsLineEnd(text[at]) && class_at(second) == CharClass::kLetter) {
      end = RunAt(text, second).end;  // one character before a word goes with it
    } else if (kind == CharClass::kOther ||
               (text[at] == ' ' && class_at(second) == CharClass::kOther)) {
      end = RunAt(text, kind == CharClass::kOther ? at : second).end;
      while (end < text.size() && IsLineEnd(text[end])) ++end;
    } else {
      const Run space = RunAt(text, at);
      const size_t last_line_end = text.substr(at, space.end - at).find_last_of("\r\n");
      if (last_line_end != absl::string_view::npos) {
        end = at + last_line_end + 1;
      } else if (space.end == text.size() || space.last == at) {
        end = space.end;
      } else {
        end = space.last;  // as GPT-2
      }
    }
    word(text.substr(at, end - at));
    at = end;
  }
}

void SplitDigitsThenGpt2(absl::string_view text, WordSink word) {
  size_t start = 0;
  for (size_t at = 0; at < text.size();) {
    const Utf8Char c = Utf8At(text, at);
    if (IsNumeric(c.code)) {
      SplitGpt2(text.substr(start, at - start), word);
      word(text.substr(at, c.length));
      start = at + c.length;
    }
    at += c.length;
  }
  SplitGpt2(text.substr(start), word);
}

}  // namespace

absl::StatusOr<PreTokenizer> ReadPreTokenizer(const json& spec) {
  if (!spec.is_object()) return Unknown(spec.type_name());
  ASSIGN_OR_RETURN(std::string type, GetString(spec, "type"));
  if (type == "ByteLevel") {
    RETURN_IF_ERROR(CheckByteLevel(spec));
    return PreTokenizer::kGpt2;
  }
  if (type != "Sequence") return Unknown(absl::StrCat("type \"", Printable(type), "\""));
  ASSIGN_OR_RETURN(const json* parts, GetArray(spec, "pretokenizers"));
  if (parts->size() != 2) return Unknown(absl::StrCat("a Sequence of ", parts->size()));
  ASSIGN_OR_RETURN(std::string first, GetString((*parts)[0], "type"));
  if (first == "Split") {
    RETURN_IF_ERROR(CheckByteLevel((*parts)[1], /*wanted_regex=*/false));
    return ReadSplit((*parts)[0]);
  }
  RETURN_IF_ERROR(CheckDigits((*parts)[0]));
  RETURN_IF_ERROR(CheckByteLevel((*parts)[1]));
  return PreTokenizer::kDigitsThenGpt2;
}

void SplitWords(PreTokenizer pre_tokenizer, absl::string_view text, WordSink word) {
  switch (pre_tokenizer) {
    case PreTokenizer::kGpt2:
      return SplitGpt2(text, word);
    case PreTokenizer::kDigitsThenGpt2:
      return SplitDigitsThenGpt2(text, word);
    case PreTokenizer::kLlama3:
      return SplitLlama3(text, 3, word);
    case PreTokenizer::kQwen2:
      return SplitLlama3(text, 1, word);
  }
}

}  // namespace reckon
