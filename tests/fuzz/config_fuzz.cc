// A config that is accepted, in any of the three forms, is printed and read back as the same
// config.
#include "common/config/config.h"
#include "common/config/resolve.h"
#include "common/config/validate.h"
#include "tests/fuzz/fuzz.h"

namespace {

using namespace reckon;

void CheckForm(const char* path, const std::string& data) {
  auto config = ParseConfig(path, data);
  if (!config.ok()) return CheckRefusal(config.status());
  ResolveConfig(&*config);
  if (absl::Status status = ValidateConfig(*config); !status.ok()) return CheckRefusal(status);
  const std::string text = FormatConfig(*config);
  auto again = ParseConfig("again.textproto", text);
  CHECK(again.ok()) << again.status() << "\n" << text;
  ResolveConfig(&*again);
  CHECK(FormatConfig(*again) == text) << text;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  for (const char* path : {"c.textproto", "c.yaml", "c.json"}) {
    CheckForm(path, std::string(TextOf(data, size)));
  }
  return 0;
}
