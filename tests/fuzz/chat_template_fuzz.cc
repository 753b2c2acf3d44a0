// Templates of a tokenizer_config.json are known or refused, never interpreted.
#include "common/text/chat_template.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace reckon;
  const auto known = ChatTemplate::Create(TextOf(data, size));
  if (!known.ok()) CheckRefusal(known.status());
  return 0;
}
