#include "common/base/printable.h"

namespace reckon {

std::string Printable(absl::string_view text, size_t max_length) {
  std::string out(text.substr(0, max_length));
  for (char& c : out) {
    if (c < 0x20 || c > 0x7e) c = '?';
  }
  if (text.size() > max_length) out += "...";
  return out;
}

}  // namespace reckon
