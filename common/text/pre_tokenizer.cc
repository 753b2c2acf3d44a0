#include "common/text/pre_tokenizer.h"

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
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
                   " is not known; known are ByteLevel (GPT-2) and Sequence[Digits, ByteLevel] "
                   "(SmolLM2)"));
}

absl::Status CheckByteLevel(const json& spec) {
  ASSIGN_OR_RETURN(std::string type, GetString(spec, "type"));
  if (type != "ByteLevel") return Unknown(absl::StrCat("type \"", type, "\" here"));
  ASSIGN_OR_RETURN(bool prefix_space, GetBool(spec, "add_prefix_space"));
  if (prefix_space) return Unknown("ByteLevel with add_prefix_space");
  ASSIGN_OR_RETURN(bool use_regex, GetBoolOr(spec, "use_regex", true));
  if (!use_regex) return Unknown("ByteLevel with use_regex: false");
  return absl::OkStatus();
}

absl::Status CheckDigits(const json& spec) {
  ASSIGN_OR_RETURN(std::string type, GetString(spec, "type"));
  if (type != "Digits") return Unknown(absl::StrCat("type \"", type, "\" in a Sequence"));
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
  if (type != "Sequence") return Unknown(absl::StrCat("type \"", type, "\""));
  ASSIGN_OR_RETURN(const json* parts, GetArray(spec, "pretokenizers"));
  if (parts->size() != 2) return Unknown(absl::StrCat("a Sequence of ", parts->size()));
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
  }
}

}  // namespace reckon
