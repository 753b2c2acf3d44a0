#ifndef RECKON_COORDINATOR_BAD_REQUEST_H_
#define RECKON_COORDINATOR_BAD_REQUEST_H_

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace reckon {

// INVALID_ARGUMENT that says what is wrong with a message.
template <typename... Args>
absl::Status BadRequest(const Args&... what) {
  return absl::InvalidArgumentError(absl::StrCat(what...));
}

}  // namespace reckon

#endif  // RECKON_COORDINATOR_BAD_REQUEST_H_
