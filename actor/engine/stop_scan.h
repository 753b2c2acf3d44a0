#ifndef RECKON_ACTOR_ENGINE_STOP_SCAN_H_
#define RECKON_ACTOR_ENGINE_STOP_SCAN_H_

#include <string>

#include "absl/strings/string_view.h"
#include "google/protobuf/repeated_ptr_field.h"

namespace reckon {

// The bytes one sample has produced so far, watched for stop strings. A stop string may span
// tokens; of several that match, the one that begins first cuts. No threads, no failures.
class StopScan {
 public:
  // Appends a token's bytes. True: a stop string is complete, and text() ends before it.
  bool Append(absl::string_view bytes,
              const google::protobuf::RepeatedPtrField<std::string>& stops);

  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

}  // namespace reckon

#endif  // RECKON_ACTOR_ENGINE_STOP_SCAN_H_
