#include "common/text/nfc.h"

#include <unicode/bytestream.h>
#include <unicode/normalizer2.h>
#include <unicode/stringpiece.h>
#include <unicode/uniset.h>

#include <algorithm>

#include "common/base/log.h"
#include "common/text/utf8.h"

namespace reckon {
namespace {

// Normalises the characters of Unicode 9; later ones are kept and separate what is around them.
const icu::Normalizer2& Unicode9Nfc() {
  static const icu::Normalizer2* const normalizer = [] {
    UErrorCode error = U_ZERO_ERROR;
    const icu::Normalizer2* nfc = icu::Normalizer2::getNFCInstance(error);
    auto* known = new icu::UnicodeSet(icu::UnicodeString("[:age=9.0:]"), error);
    CHECK(U_SUCCESS(error)) << "ICU has no data: " << u_errorName(error);
    known->freeze();
    return new icu::FilteredNormalizer2(*nfc, *known);
  }();
  return *normalizer;
}

}  // namespace

std::string ToNfc(absl::string_view text) {
  const bool ascii = std::all_of(text.begin(), text.end(),
                                 [](char c) { return static_cast<signed char>(c) >= 0; });
  if (ascii || !IsUtf8(text)) return std::string(text);
  UErrorCode error = U_ZERO_ERROR;
  std::string out;
  icu::StringByteSink<std::string> sink(&out);
  Unicode9Nfc().normalizeUTF8(0, icu::StringPiece(text.data(), static_cast<int32_t>(text.size())),
                              sink, nullptr, error);
  CHECK(U_SUCCESS(error)) << "ICU cannot normalise: " << u_errorName(error);
  return out;
}

}  // namespace reckon
