// A chat template of a tokenizer_config.json renders within bounds or says in one line why not.
#include "common/text/chat_template.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace reckon;
  const auto chat = ChatTemplate::Create(TextOf(data, size));
  if (!chat.ok()) return CheckRefusal(chat.status()), 0;
  const auto text = chat->Render({{"system", "Be brief."}, {"user", "1 + 1?"}}, true);
  if (!text.ok()) CheckRefusal(text.status());
  return 0;
}
