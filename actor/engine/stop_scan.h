#ifndef RECKON_ACTOR_ENGINE_STOP_SCAN_H_
#define RECKON_ACTOR_ENGINE_STOP_SCAN_H_

#include <string>

#include "absl/strings/string_view.h"
#include "google/protobuf/repeated_ptr_field.h"

namespace reckon {

// The text of one sample, scanned for stop strings as tokens arrive. A stop string may span tokens.
// When several match at once, the one that begins first counts. Example with the stop "\nQ:":
//   Append("18\n") false    Append("Q: How") true    text() == "18"
class StopScan {
 public:
  // Appends the bytes of a token. Returns true when a stop string is complete; text() then ends
  // before it. An empty stop string never matches.
  bool Append(absl::string_view bytes,
              const google::protobuf::RepeatedPtrField<std::string>& stops);

  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

}  // namespace reckon

#endif  // RECKON_ACTOR_ENGINE_STOP_SCAN_H_
