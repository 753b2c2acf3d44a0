#ifndef RECKON_COMMON_TEXT_LIBRARY_TEXT_H_
#define RECKON_COMMON_TEXT_LIBRARY_TEXT_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "common/base/printable.h"
#include "common/text/rust/reckon_text.h"

namespace reckon {

// Between the types of C++ and those of rust/reckon_text.h, for the classes that wrap it.

inline ReckonText AsReckonText(absl::string_view text) { return {text.data(), text.size()}; }

// Sinks: append what the library passes to a string or a vector that is their context.
inline void AppendBytes(void* string, const void* data, size_t size) {
  static_cast<std::string*>(string)->append(static_cast<const char*>(data), size);
}
inline void AppendIds(void* ids, const void* data, size_t size) {
  const auto* first = static_cast<const uint32_t*>(data);
  auto* out = static_cast<std::vector<uint32_t>*>(ids);
  out->insert(out->end(), first, first + size);
}

// An error of the library as part of one line: it quotes untrusted files.
inline std::string OneLine(absl::string_view error) { return Printable(error, /*max_length=*/300); }

}  // namespace reckon

#endif  // RECKON_COMMON_TEXT_LIBRARY_TEXT_H_
