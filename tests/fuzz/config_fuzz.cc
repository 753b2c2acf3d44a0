// A config that is accepted is printed and read back as the same config.
#include "common/config/config.h"
#include "common/config/resolve.h"
#include "common/config/validate.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace reckon;
  auto config = ParseConfig("c.textproto", std::string(TextOf(data, size)));
  if (!config.ok()) return CheckRefusal(config.status()), 0;
  ResolveConfig(&*config);
  if (absl::Status status = ValidateConfig(*config); !status.ok()) return CheckRefusal(status), 0;
  const std::string text = FormatConfig(*config);
  auto again = ParseConfig("again.textproto", text);
  CHECK(again.ok()) << again.status() << "\n" << text;
  ResolveConfig(&*again);
  CHECK(FormatConfig(*again) == text) << text;
  return 0;
}
