#include "common/task/dataset/csv_reader.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/base/printable.h"
#include "common/base/status_macros.h"
#include "common/text/utf8.h"

namespace reckon {
namespace {

constexpr size_t kMaxColumns = 1000;

absl::Status Unreadable(absl::string_view what) { return absl::InvalidArgumentError(what); }

}  // namespace

CsvReader::CsvReader(std::string name, std::string content)
    : name_(std::move(name)), content_(std::move(content)), rest_(WithoutByteOrderMark(content_)) {}

absl::StatusOr<std::optional<Record>> CsvReader::Next() {
  if (names_.empty()) RETURN_IF_ERROR(ReadNames());
  ASSIGN_OR_RETURN(const bool more, ReadRow());
  if (!more) return std::nullopt;
  if (row_status_.ok() && row_.size() != names_.size()) {
    row_status_ = absl::InvalidArgumentError(
        absl::StrCat(row_.size(), " fields, expected ", names_.size(), " as in the first line"));
  }
  Record record{nlohmann::json::object(), begin_, row_status_};
  if (!row_status_.ok()) return record;
  for (size_t i = 0; i < row_.size(); ++i) record.fields[names_[i]] = std::move(row_[i]);
  return record;
}

absl::Status CsvReader::Bad(absl::string_view what) const {
  return absl::InvalidArgumentError(absl::StrCat(name_, ":", begin_, ": ", what));
}

std::string CsvReader::TooLong() const {
  return absl::StrCat("field ", row_.size() + 1, " is longer than ", kMaxRecordBytes,
                      " bytes; is a quote missing?");
}

absl::Status CsvReader::ReadNames() {
  ASSIGN_OR_RETURN(const bool more, ReadRow());
  if (!more)
    return absl::InvalidArgumentError(
        absl::StrCat(name_, ": the first line must name the columns, but the file is empty"));
  if (!row_status_.ok()) return Bad(row_status_.message());
  for (std::string& field : row_) {
    std::string name(absl::StripAsciiWhitespace(field));
    if (std::find(names_.begin(), names_.end(), name) != names_.end()) {
      return Bad(absl::StrCat("column \"", Printable(name), "\" appears twice"));
    }
    names_.push_back(std::move(name));
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> CsvReader::ReadRow() {
  while (absl::ConsumePrefix(&rest_, "\n") || absl::ConsumePrefix(&rest_, "\r\n")) ++line_;
  row_.clear();
  row_status_ = absl::OkStatus();
  begin_ = line_;
  if (rest_.empty()) return false;
  while (true) {
    if (row_.size() == kMaxColumns) {
      row_status_ = Unreadable(absl::StrCat("more than ", kMaxColumns, " fields"));
      SkipLine();
      return true;
    }
    ASSIGN_OR_RETURN(std::optional<std::string> field, ReadField());
    if (!field.has_value()) {
      SkipLine();
      return true;
    }
    if (row_status_.ok() && RepairUtf8(*field) != *field) {
      row_status_ = Unreadable(absl::StrCat("field ", row_.size() + 1, " is not UTF-8"));
    }
    row_.push_back(*std::move(field));
    if (absl::ConsumePrefix(&rest_, ",")) continue;
    if (!rest_.empty()) ++line_;
    absl::ConsumePrefix(&rest_, "\r");
    absl::ConsumePrefix(&rest_, "\n");
    return true;
  }
}

absl::StatusOr<std::optional<std::string>> CsvReader::ReadField() {
  const auto unreadable = [this](absl::string_view what) {
    row_status_ = Unreadable(what);
    return std::nullopt;
  };
  std::string field;
  if (!absl::ConsumePrefix(&rest_, "\"")) {
    const size_t end = std::min(rest_.find_first_of(",\n"), rest_.size());
    absl::string_view text = rest_.substr(0, end);
    if (end < rest_.size() && rest_[end] == '\n') absl::ConsumeSuffix(&text, "\r");
    if (text.size() > kMaxRecordBytes) return unreadable(TooLong());
    if (absl::StrContains(text, '"')) {
      return unreadable(absl::StrCat("a quote inside field ", row_.size() + 1,
                                     "; quote the field and double the quote"));
    }
    rest_.remove_prefix(text.size());
    return std::string(text);
  }
  while (true) {
    const size_t quote = rest_.find('"');
    // Where the next row begins cannot be known.
    if (quote == absl::string_view::npos) {
      return Bad(absl::StrCat("the quote of field ", row_.size() + 1, " is never closed"));
    }
    absl::StrAppend(&field, rest_.substr(0, quote));
    if (field.size() > kMaxRecordBytes) return Bad(TooLong());
    line_ += std::count(rest_.begin(), rest_.begin() + quote, '\n');
    rest_.remove_prefix(quote + 1);
    if (!absl::ConsumePrefix(&rest_, "\"")) break;
    field.push_back('"');
  }
  if (!rest_.empty() && rest_[0] != ',' && rest_[0] != '\n' && !absl::StartsWith(rest_, "\r\n")) {
    return unreadable(absl::StrCat("text after the closing quote of field ", row_.size() + 1));
  }
  return field;
}

void CsvReader::SkipLine() {
  const size_t end = rest_.find('\n');
  rest_.remove_prefix(end == absl::string_view::npos ? rest_.size() : end + 1);
  ++line_;
}

}  // namespace reckon
