#ifndef RECKON_COMMON_TASK_DATASET_JSON_ARRAY_READER_H_
#define RECKON_COMMON_TASK_DATASET_JSON_ARRAY_READER_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/task/dataset/record_reader.h"

namespace reckon {

// The objects of a file that is one JSON array. Cuts the array into its elements itself and has the
// parser read each alone, so that an error names the line of its element and the others can be
// read.
class JsonArrayReader final : public RecordReader {
 public:
  // `name` is the file's name in errors.
  JsonArrayReader(std::string name, std::string content);
  absl::StatusOr<std::optional<Record>> Next() override;

 private:
  absl::Status Bad(absl::string_view what) const;
  absl::StatusOr<std::optional<Record>> End();
  bool Consume(absl::string_view text);
  void Skip(size_t bytes);
  void SkipSpace();
  absl::string_view Element();  // the text up to the comma or bracket that ends it

  const std::string name_;
  const std::string content_;
  absl::string_view rest_;  // of content_
  uint64_t line_ = 1;       // where rest_ begins
  bool begun_ = false, comma_ = false, done_ = false;
};

}  // namespace reckon

#endif  // RECKON_COMMON_TASK_DATASET_JSON_ARRAY_READER_H_
