#include "common/text/byte_alphabet.h"

#include <array>

#include "absl/container/flat_hash_map.h"
#include "common/text/utf8.h"

namespace reckon {
namespace {

struct Alphabet {
  std::array<std::string, 256> letters;
  absl::flat_hash_map<char32_t, uint8_t> bytes;

  Alphabet() {
    char32_t next_free = 0x100;
    for (int byte = 0; byte < 256; ++byte) {
      const bool printable = (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte != 0xad);
      const char32_t letter = printable ? static_cast<char32_t>(byte) : next_free++;
      bytes[letter] = static_cast<uint8_t>(byte);
      if (letter >= 0x80) letters[byte] += static_cast<char>(0xc0 | letter >> 6);
      letters[byte] += static_cast<char>(letter >= 0x80 ? 0x80 | (letter & 0x3f) : letter);
    }
  }
};

const Alphabet& TheAlphabet() {
  static const Alphabet& alphabet = *new Alphabet;
  return alphabet;
}

}  // namespace

absl::string_view LetterOfByte(uint8_t byte) { return TheAlphabet().letters[byte]; }

std::optional<std::string> BytesOfLetters(absl::string_view token) {
  std::string out;
  for (size_t at = 0; at < token.size();) {
    const Utf8Char c = Utf8At(token, at);
    auto byte = TheAlphabet().bytes.find(c.code);
    if (byte == TheAlphabet().bytes.end()) return std::nullopt;
    out += static_cast<char>(byte->second);
    at += c.length;
  }
  return out;
}

}  // namespace reckon
