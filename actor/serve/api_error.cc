#include "actor/serve/api_error.h"

#include <nlohmann/json.hpp>

namespace reckon {
namespace {

constexpr char kField[] = "reckon/field";
constexpr char kCode[] = "reckon/code";

absl::Status WithNames(absl::Status status, absl::string_view field, absl::string_view code) {
  if (!field.empty()) status.SetPayload(kField, absl::Cord(field));
  if (!code.empty()) status.SetPayload(kCode, absl::Cord(code));
  return status;
}

nlohmann::ordered_json Payload(const absl::Status& status, const char* url) {
  const auto payload = status.GetPayload(url);
  return payload.has_value() ? nlohmann::ordered_json(std::string(*payload)) : nullptr;
}

const char* TypeOf(int http_status) {
  switch (http_status) {
    case 401:
      return "authentication_error";
    case 403:
      return "permission_error";
    case 404:
      return "not_found_error";
    case 429:
      return "rate_limit_error";
    default:
      return http_status < 500 ? "invalid_request_error" : "server_error";
  }
}

}  // namespace

absl::Status FieldError(absl::string_view field, absl::string_view message,
                        absl::string_view code) {
  return WithNames(absl::InvalidArgumentError(message), field, code);
}

absl::Status NotFoundWithCode(absl::string_view field, absl::string_view message,
                              absl::string_view code) {
  return WithNames(absl::NotFoundError(message), field, code);
}

int HttpStatus(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return 200;
    case absl::StatusCode::kInvalidArgument:
      return 400;
    case absl::StatusCode::kUnauthenticated:
      return 401;
    case absl::StatusCode::kPermissionDenied:
      return 403;
    case absl::StatusCode::kNotFound:
      return 404;
    case absl::StatusCode::kOutOfRange:
      return 413;
    case absl::StatusCode::kResourceExhausted:
      return 429;
    case absl::StatusCode::kUnavailable:
      return 503;
    case absl::StatusCode::kDeadlineExceeded:
      return 504;
    default:
      return 500;
  }
}

std::string ErrorBody(const absl::Status& status) {
  const nlohmann::ordered_json body = {{"error",
                                        {{"message", std::string(status.message())},
                                         {"type", TypeOf(HttpStatus(status))},
                                         {"param", Payload(status, kField)},
                                         {"code", Payload(status, kCode)}}}};
  return body.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace reckon
