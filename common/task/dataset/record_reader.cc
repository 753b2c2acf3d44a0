#include "common/task/dataset/record_reader.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/task/dataset/csv_reader.h"
#include "common/task/dataset/json_array_reader.h"
#include "common/task/dataset/line_reader.h"

namespace reckon {
namespace {

constexpr uint64_t kMaxFileBytes = 256 << 20;

class JsonlReader final : public RecordReader {
 public:
  JsonlReader(std::string path, LineReader lines)
      : path_(std::move(path)), lines_(std::move(lines)) {}

  absl::StatusOr<std::optional<Record>> Next() override {
    while (true) {
      ASSIGN_OR_RETURN(const auto line, lines_.Next());
      if (!line.has_value()) return std::nullopt;
      if (absl::StripAsciiWhitespace(*line).empty()) continue;
      auto fields = ParseJson(*line, kMaxRecordDepth, kMaxRecordBytes);
      if (!fields.ok()) return Bad(fields.status().message());
      if (!fields->is_object()) {
        return Bad(absl::StrCat("expected one JSON object a line, not ", fields->type_name()));
      }
      return Record{*std::move(fields), lines_.line_number()};
    }
  }

 private:
  absl::Status Bad(absl::string_view what) const {
    return absl::InvalidArgumentError(absl::StrCat(path_, ":", lines_.line_number(), ": ", what));
  }

  const std::string path_;
  LineReader lines_;
};

template <typename Reader>
std::unique_ptr<RecordReader> Read(std::string name, std::string content) {
  return std::make_unique<Reader>(std::move(name), std::move(content));
}

constexpr FileFormat kFormats[] = {{".csv", Read<CsvReader>}, {".json", Read<JsonArrayReader>}};

}  // namespace

absl::Span<const FileFormat> FileFormats() { return kFormats; }

absl::StatusOr<std::unique_ptr<RecordReader>> OpenRecords(const std::string& path) {
  for (const FileFormat& format : kFormats) {
    if (!absl::EndsWithIgnoreCase(path, format.extension)) continue;
    ASSIGN_OR_RETURN(std::string content, ReadFile(path, kMaxFileBytes));
    return format.read(path, std::move(content));
  }
  ASSIGN_OR_RETURN(LineReader lines, LineReader::Open(path, kMaxRecordBytes));
  return std::make_unique<JsonlReader>(path, std::move(lines));
}

}  // namespace reckon
