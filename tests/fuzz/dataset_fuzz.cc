// Data files in memory and the equations in them: every record is read or refused.
#include "common/task/dataset/equation.h"
#include "common/task/dataset/record_reader.h"
#include "tests/fuzz/fuzz.h"

namespace {

using namespace reckon;

void ReadAll(RecordReader& reader, size_t size) {
  size_t records = 0;
  while (true) {
    const auto record = reader.Next();
    if (!record.ok()) return CheckRefusal(record.status());
    if (!record->has_value()) return;
    if ((*record)->status.ok()) {
      CHECK((*record)->fields.is_object());
    } else {
      CheckRefusal((*record)->status);
    }
    // A page of a Parquet file may say many equal values in few bytes (rust/src/parquet.rs).
    CHECK((*record)->line >= 1 && (*record)->line <= 64 * (size + 1));
    CHECK(++records <= 64 * size);
  }
}

void Check(const absl::StatusOr<WorkedEquation>& worked) {
  if (!worked.ok()) return CheckRefusal(worked.status());
  PlainNumber(worked->value);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(TextOf(data, size));
  for (const FileFormat& format : FileFormats()) ReadAll(*format.read("a", text), size);
  Check(WorkInfix(text));
  Check(WorkPrefix(text));
  return 0;
}
