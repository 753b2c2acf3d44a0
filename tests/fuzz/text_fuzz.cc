// Repaired text is UTF-8, stays as it is when repaired again, and keeps what was right.
#include <string>

#include "common/text/utf8.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace reckon;
  const absl::string_view text = TextOf(data, size);
  for (Utf8Repair repair : {Utf8Repair::kMaximalSubparts, Utf8Repair::kEachByte}) {
    const std::string repaired = RepairUtf8(text, repair);
    CHECK(IsUtf8(repaired));
    CHECK(RepairUtf8(repaired, repair) == repaired);
    CHECK(!IsUtf8(text) || repaired == text);
    for (size_t at = 0; at < repaired.size();) {
      const Utf8Char c = Utf8At(repaired, at);
      CHECK(c.code != Utf8Char::kInvalid && c.length >= 1 && c.length <= 4);
      at += c.length;
    }
  }
  return 0;
}
