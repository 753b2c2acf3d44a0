#include "common/text/byte_alphabet.h"

#include <array>
#include <string>

namespace reckon {
namespace {

struct Alphabet {
  std::array<std::string, 256> letters;

  Alphabet() {
    char32_t next_free = 0x100;
    for (int byte = 0; byte < 256; ++byte) {
      const bool printable = (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte != 0xad);
      const char32_t letter = printable ? static_cast<char32_t>(byte) : next_free++;
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

}  // namespace reckon
