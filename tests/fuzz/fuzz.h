#ifndef RECKON_TESTS_FUZZ_FUZZ_H_
#define RECKON_TESTS_FUZZ_FUZZ_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
// Last.
#include "common/base/log.h"

namespace reckon {

inline absl::string_view TextOf(const uint8_t* data, size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

// What every refusal must be: one short line that any terminal can show.
inline void CheckRefusal(const absl::Status& status) {
  CHECK(!status.ok());
  const absl::string_view text = status.message();
  CHECK(!text.empty() && text.size() < 1000) << text.size() << " bytes: " << text;
  CHECK(std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c <= 0x7e; }))
      << text;
}

}  // namespace reckon

#endif  // RECKON_TESTS_FUZZ_FUZZ_H_
