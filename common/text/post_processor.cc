#include "common/text/post_processor.h"

#include "absl/strings/str_cat.h"
#include "common/base/printable.h"
#include "common/base/status_macros.h"

namespace reckon {
namespace {

using nlohmann::json;

absl::Status UnknownProcessor(absl::string_view what) {
  return absl::UnimplementedError(absl::StrCat(
      what,
      " is not known to Reckon; it knows ByteLevel and a template of one token and the text"));
}

// {"<name>": {"id": ID, ...}}, the one field of a template's piece.
absl::StatusOr<std::string> PieceId(const json& piece, absl::string_view name) {
  ASSIGN_OR_RETURN(const json* fields, GetObject(piece, name));
  return GetString(*fields, "id");
}

absl::StatusOr<std::string> ReadTemplate(const json& spec) {
  ASSIGN_OR_RETURN(const json* single, GetArray(spec, "single"));
  if (single->size() != 2) return UnknownProcessor("a template of other than two pieces");
  auto token = PieceId((*single)[0], "SpecialToken");
  auto text = PieceId((*single)[1], "Sequence");
  if (!token.ok() || !text.ok() || *text != "A") {
    return UnknownProcessor("a template that is not a token and the text");
  }
  ASSIGN_OR_RETURN(const json* tokens, GetObject(spec, "special_tokens"));
  ASSIGN_OR_RETURN(const json* known, GetObject(*tokens, *token));
  ASSIGN_OR_RETURN(const json* ids, GetArray(*known, "ids"));
  if (ids->size() != 1) return UnknownProcessor("a template token of other than one id");
  return *token;
}

}  // namespace

absl::StatusOr<std::optional<std::string>> ReadPostProcessor(const json* spec) {
  std::optional<std::string> token;
  if (spec == nullptr) return token;
  ASSIGN_OR_RETURN(const std::string type, GetString(*spec, "type"));
  if (type == "ByteLevel") return token;
  if (type == "TemplateProcessing") {
    ASSIGN_OR_RETURN(token, ReadTemplate(*spec));
    return token;
  }
  if (type != "Sequence") return UnknownProcessor(absl::StrCat("type \"", Printable(type), "\""));
  ASSIGN_OR_RETURN(const json* parts, GetArray(*spec, "processors"));
  for (const json& part : *parts) {
    if (GetStringOr(part, "type", "").value_or("") == "Sequence") {
      return UnknownProcessor("a Sequence in a Sequence");
    }
    ASSIGN_OR_RETURN(const std::optional<std::string> found, ReadPostProcessor(&part));
    if (found.has_value() && token.has_value()) return UnknownProcessor("more than one template");
    if (found.has_value()) token = found;
  }
  return token;
}

}  // namespace reckon
