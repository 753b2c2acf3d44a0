#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/base/status_macros.h"
#include "common/task/record_reader.h"

namespace reckon {
namespace {

constexpr absl::string_view kSpace = " \t\r\n";

// Cuts the array into its elements, so that an error has a line, and lets the parser read each.
class JsonArrayReader final : public RecordReader {
 public:
  JsonArrayReader(std::string name, std::string content)
      : name_(std::move(name)), content_(std::move(content)), rest_(content_) {
    absl::ConsumePrefix(&rest_, "\xef\xbb\xbf");
  }

  absl::StatusOr<std::optional<Record>> Next() override {
    if (done_) return std::nullopt;
    SkipSpace();
    if (!begun_ && !Consume("[")) return Bad("expected an array of objects: no [ at the start");
    SkipSpace();
    if (Consume("]")) {
      if (comma_) return Bad("expected an object behind the comma");
      return End();
    }
    if (begun_ && !comma_) return Bad("expected , or ] behind an object");
    begun_ = true;
    const uint64_t line = line_;
    auto fields = ParseJson(Element(), kMaxRecordDepth, kMaxRecordBytes);
    if (!fields.ok()) return Bad(fields.status().message(), line);
    if (!fields->is_object()) {
      return Bad(absl::StrCat("expected an object, not ", fields->type_name()), line);
    }
    SkipSpace();
    comma_ = Consume(",");
    return Record{*std::move(fields), line};
  }

 private:
  absl::Status Bad(absl::string_view what) const { return Bad(what, line_); }
  absl::Status Bad(absl::string_view what, uint64_t line) const {
    return absl::InvalidArgumentError(absl::StrCat(name_, ":", line, ": ", what));
  }

  absl::StatusOr<std::optional<Record>> End() {
    SkipSpace();
    if (!rest_.empty()) return Bad("text behind the array");
    done_ = true;
    return std::nullopt;
  }

  bool Consume(absl::string_view text) { return absl::ConsumePrefix(&rest_, text); }

  void Skip(size_t n) {
    line_ += std::count(rest_.begin(), rest_.begin() + n, '\n');
    rest_.remove_prefix(n);
  }
  void SkipSpace() { Skip(std::min(rest_.find_first_not_of(kSpace), rest_.size())); }

  // What stands before the comma or bracket that ends this element.
  absl::string_view Element() {
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

  const std::string name_;
  const std::string content_;
  absl::string_view rest_;
  uint64_t line_ = 1;  // of what follows
  bool begun_ = false, comma_ = false, done_ = false;
};

}  // namespace

std::unique_ptr<RecordReader> ReadJsonArray(std::string name, std::string content) {
  return std::make_unique<JsonArrayReader>(std::move(name), std::move(content));
}

}  // namespace reckon
