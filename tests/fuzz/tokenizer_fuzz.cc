// A tokenizer.json that is accepted gives ids within its vocabulary, for any text.
#include "common/text/tokenizer.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace reckon;
  const auto tokenizer = Tokenizer::Create(TextOf(data, size));
  if (!tokenizer.ok()) return CheckRefusal(tokenizer.status()), 0;
  const size_t vocab = (*tokenizer)->vocab_size();
  CHECK(vocab > 0);
  // The file's own text is a text too: it holds every token.
  const absl::string_view text = TextOf(data, std::min<size_t>(size, 2000));
  for (bool parse_special : {false, true}) {
    const auto ids = (*tokenizer)->Encode(text, parse_special);
    if (!ids.ok()) return CheckRefusal(ids.status()), 0;
    for (uint32_t id : *ids) CHECK(id < vocab);
    (*tokenizer)->Decode(*ids);
  }
  (*tokenizer)->Decode({0u, static_cast<uint32_t>(vocab - 1), static_cast<uint32_t>(vocab), ~0u});
  CHECK((*tokenizer)->TokenBytes(~0u).empty());
  return 0;
}
