// Words put together are the text; repaired and normalised text stays as it is.
#include <string>

#include "common/text/nfc.h"
#include "common/text/pre_tokenizer.h"
#include "common/text/utf8.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace reckon;
  const absl::string_view text = TextOf(data, size);
  for (PreTokenizer kind : {PreTokenizer::kGpt2, PreTokenizer::kDigitsThenGpt2,
                            PreTokenizer::kLlama3, PreTokenizer::kQwen2}) {
    std::string together;
    SplitWords(kind, text, [&](absl::string_view word) {
      CHECK(!word.empty());
      together.append(word.data(), word.size());
    });
    CHECK(together == text);
  }
  const std::string repaired = RepairUtf8(text);
  CHECK(RepairUtf8(repaired) == repaired);
  for (size_t at = 0; at < repaired.size();) {
    const Utf8Char c = Utf8At(repaired, at);
    CHECK(c.code != Utf8Char::kInvalid && c.length >= 1 && c.length <= 4);
    at += c.length;
  }
  const std::string normal = ToNfc(text);
  CHECK(ToNfc(normal) == normal);
  return 0;
}
