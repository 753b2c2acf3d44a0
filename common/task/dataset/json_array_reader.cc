#include "common/task/dataset/json_array_reader.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/base/status_macros.h"
#include "common/text/utf8.h"

namespace reckon {
namespace {

constexpr absl::string_view kSpace = " \t\r\n";

}  // namespace

JsonArrayReader::JsonArrayReader(std::string name, std::string content)
    : name_(std::move(name)), content_(std::move(content)), rest_(WithoutByteOrderMark(content_)) {}

absl::StatusOr<std::optional<Record>> JsonArrayReader::Next() {
  if (done_) return std::nullopt;
  SkipSpace();
  if (!begun_ && !Consume("[")) return Bad("expected an array of objects: no [ at the start");
  SkipSpace();
  if (Consume("]")) {
    if (comma_) return Bad("expected an object after the comma");
    return End();
  }
  if (begun_ && !comma_) return Bad("expected , or ] after an object");
  begun_ = true;
  const uint64_t line = line_;
  auto fields = ParseJson(Element(), kMaxRecordDepth, kMaxRecordBytes);
  SkipSpace();
  comma_ = Consume(",");
  Record record{nullptr, line, fields.status()};
  if (!fields.ok()) return record;
  if (fields->is_object()) {
    record.fields = *std::move(fields);
  } else {
    record.status =
        absl::InvalidArgumentError(absl::StrCat("expected an object, not ", fields->type_name()));
  }
  return record;
}

absl::Status JsonArrayReader::Bad(absl::string_view what) const {
  return absl::InvalidArgumentError(absl::StrCat(name_, ":", line_, ": ", what));
}

absl::StatusOr<std::optional<Record>> JsonArrayReader::End() {
  SkipSpace();
  if (!rest_.empty()) return Bad("text after the array");
  done_ = true;
  return std::nullopt;
}

bool JsonArrayReader::Consume(absl::string_view text) { return absl::ConsumePrefix(&rest_, text); }

void JsonArrayReader::Skip(size_t bytes) {
  line_ += std::count(rest_.begin(), rest_.begin() + bytes, '\n');
  rest_.remove_prefix(bytes);
}

void JsonArrayReader::SkipSpace() { Skip(std::min(rest_.find_first_not_of(kSpace), rest_.size())); }

absl::string_view JsonArrayReader::Element() {
  int depth = 0;
  bool quoted = false;
  size_t end = 0;
  for (; end < rest_.size(); ++end) {
    const char c = rest_[end];
    if (quoted) {
      if (c == '\\') ++end;
      quoted = c != '"';
    } else if (c == '"') {
      quoted = true;
    } else if (c == '{' || c == '[') {
      ++depth;
    } else if (c == '}' || c == ']') {
      if (--depth < 0) break;
    } else if (c == ',' && depth == 0) {
      break;
    }
  }
  absl::string_view element = rest_.substr(0, std::min(end, rest_.size()));
  Skip(element.size());
  return element;
}

}  // namespace reckon
