#include "common/task/dataset/record_reader.h"

#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/task/dataset/csv_reader.h"
#include "common/task/dataset/json_array_reader.h"
#include "common/task/dataset/line_reader.h"
#include "common/task/dataset/parquet_reader.h"

namespace reckon {
namespace {

constexpr uint64_t kMaxFileBytes = 256 << 20;

class JsonlReader final : public RecordReader {
 public:
  explicit JsonlReader(LineReader lines) : lines_(std::move(lines)) {}

  absl::StatusOr<std::optional<Record>> Next() override {
    while (true) {
      const auto line = lines_.Next();
      if (absl::IsOutOfRange(line.status())) {
        return Bad(absl::StrCat("the line is longer than ", kMaxRecordBytes, " bytes"));
      }
      RETURN_IF_ERROR(line.status());
      if (!line->has_value()) return std::nullopt;
      if (absl::StripAsciiWhitespace(**line).empty()) continue;
      auto fields = ParseJson(**line, kMaxRecordDepth, kMaxRecordBytes);
      if (!fields.ok()) return Bad(fields.status().message());
      if (!fields->is_object()) {
        return Bad(absl::StrCat("expected one JSON object a line, not ", fields->type_name()));
      }
      return Record{*std::move(fields), lines_.line_number(), absl::OkStatus()};
    }
  }

 private:
  Record Bad(absl::string_view what) const {
    return {{}, lines_.line_number(), absl::InvalidArgumentError(what)};
  }

  LineReader lines_;
};

template <typename Reader>
std::unique_ptr<RecordReader> Read(std::string name, std::string content) {
  return std::make_unique<Reader>(std::move(name), std::move(content));
}

std::unique_ptr<RecordReader> ReadParquet(std::string name, std::string content) {
  return std::make_unique<ParquetReader>(std::move(name), ParquetRows::OfContent(content));
}

std::unique_ptr<RecordReader> OpenParquet(const std::string& path) {
  return std::make_unique<ParquetReader>(path, ParquetRows::Open(path));
}

constexpr FileFormat kFormats[] = {{".csv", Read<CsvReader>},
                                   {".json", Read<JsonArrayReader>},
                                   {".parquet", ReadParquet, OpenParquet}};

}  // namespace

absl::Span<const FileFormat> FileFormats() { return kFormats; }

std::vector<absl::string_view> DataExtensions() {
  std::vector<absl::string_view> extensions = {".jsonl"};
  for (const FileFormat& format : kFormats) extensions.push_back(format.extension);
  return extensions;
}

absl::StatusOr<std::unique_ptr<RecordReader>> OpenRecords(const std::string& path) {
  for (const FileFormat& format : kFormats) {
    if (!absl::EndsWithIgnoreCase(path, format.extension)) continue;
    if (format.open != nullptr) {
      if (std::error_code error; !std::filesystem::exists(path, error)) {
        return absl::NotFoundError(absl::StrCat("there is no file ", path));
      }
      return format.open(path);
    }
    ASSIGN_OR_RETURN(std::string content, ReadFile(path, kMaxFileBytes));
    return format.read(path, std::move(content));
  }
  ASSIGN_OR_RETURN(LineReader lines, LineReader::Open(path, kMaxRecordBytes));
  return std::make_unique<JsonlReader>(std::move(lines));
}

}  // namespace reckon
