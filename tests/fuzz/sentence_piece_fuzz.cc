// A tokenizer.model that is accepted gives ids within its vocabulary, for any text.
#include "common/text/tokenizer.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace reckon;
  if (size == 0) return 0;
  const auto tokenizer = Tokenizer::Create("", TextOf(data, size));
  if (!tokenizer.ok()) return CheckRefusal(tokenizer.status()), 0;
  const size_t vocab = (*tokenizer)->vocab_size();
  CHECK(vocab > 0);
  const absl::string_view text = TextOf(data, std::min<size_t>(size, 2000));
  for (bool parse_special : {false, true}) {
    const auto ids = (*tokenizer)->Encode(text, parse_special);
    CHECK(ids.ok());
    for (uint32_t id : *ids) CHECK(id < vocab);
    (*tokenizer)->Decode(*ids);
  }
  const auto ids = (*tokenizer)->EncodeBeginning(text);
  CHECK(ids.ok());
  for (uint32_t id : *ids) CHECK(id < vocab);
  CHECK((*tokenizer)->TokenBytes(~0u).empty());
  return 0;
}
