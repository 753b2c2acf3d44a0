// JSON that is accepted is written and read back as the same value.
#include "common/text/json.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace reckon;
  const auto json = ParseJson(TextOf(data, size));
  if (!json.ok()) return CheckRefusal(json.status()), 0;
  const auto again = ParseJson(json->dump());
  CHECK(again.ok()) << again.status();
  CHECK(*again == *json) << json->dump();
  for (const char* name : {"a", ""}) {
    const auto field = GetInt(*json, name);
    if (!field.ok()) CheckRefusal(field.status());
  }
  return 0;
}
