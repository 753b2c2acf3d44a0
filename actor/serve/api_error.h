#ifndef RECKON_ACTOR_SERVE_API_ERROR_H_
#define RECKON_ACTOR_SERVE_API_ERROR_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace reckon {

// Errors of the HTTP interface: a status, of which an INVALID_ARGUMENT may name the field of the
// request. On the wire they have OpenAI's form:
//   {"error": {"message": ..., "type": ..., "param": FIELD or null, "code": CODE or null}}

// `code`: for programs, as OpenAI calls it ("context_length_exceeded"); empty: none.
absl::Status FieldError(absl::string_view field, absl::string_view message,
                        absl::string_view code = "");
absl::Status NotFoundWithCode(absl::string_view field, absl::string_view message,
                              absl::string_view code);

// 400 INVALID_ARGUMENT, 401 UNAUTHENTICATED, 403 PERMISSION_DENIED, 404 NOT_FOUND, 413
// OUT_OF_RANGE, 429 RESOURCE_EXHAUSTED, 503 UNAVAILABLE, 504 DEADLINE_EXCEEDED, 500 others.
int HttpStatus(const absl::Status& status);

std::string ErrorBody(const absl::Status& status);

}  // namespace reckon

#endif  // RECKON_ACTOR_SERVE_API_ERROR_H_
