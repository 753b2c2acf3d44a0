// A tokenizer.model that is accepted gives ids within its vocabulary, for any text.
#include "common/text/sentence_piece_bpe.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace reckon;
  const auto tokenizer = SentencePieceBpe::Create(TextOf(data, size));
  if (!tokenizer.ok()) return CheckRefusal(tokenizer.status()), 0;
  const size_t vocab = (*tokenizer)->vocab_size();
  CHECK(vocab > 0);
  const absl::string_view text = TextOf(data, std::min<size_t>(size, 2000));
  for (bool parse_special : {false, true}) {
    const auto ids = (*tokenizer)->Encode(text, parse_special);
    for (uint32_t id : ids) CHECK(id < vocab);
    CHECK(ids.size() <= 3 * text.size());  // a broken byte becomes the three of U+FFFD
    (*tokenizer)->Decode(ids);
  }
  for (uint32_t id : (*tokenizer)->EncodeBeginning(text)) CHECK(id < vocab);
  CHECK((*tokenizer)->TokenBytes(~0u).empty());
  return 0;
}
