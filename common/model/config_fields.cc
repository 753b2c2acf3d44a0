#include "common/model/config_fields.h"

#include "absl/strings/str_cat.h"

namespace reckon::config_fields {

absl::Status Bad(absl::string_view field, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("config.json: ", field, ": ", what));
}

absl::Status Unsupported(absl::string_view field, absl::string_view what) {
  return absl::UnimplementedError(absl::StrCat("config.json: ", field, ": ", what));
}

absl::StatusOr<int64_t> Dimension(const nlohmann::json& json, const char* field, int64_t max) {
  auto it = json.find(field);
  if (it == json.end()) return Bad(field, "missing");
  if (!it->is_number_integer()) return Bad(field, "must be a whole number");
  absl::StatusOr<int64_t> value = GetInt(json, field);  // fails above 2^63
  if (!value.ok() || *value < 1 || *value > max) {
    return Bad(field, absl::StrCat(it->dump(), " is not in 1 .. ", max));
  }
  return value;
}

absl::Status Positive(const nlohmann::json& json, const char* field, double* value) {
  auto it = json.find(field);
  if (it == json.end()) return absl::OkStatus();
  if (!it->is_number() || !(it->get<double>() >= 1e-12 && it->get<double>() <= 1e12)) {
    return Bad(field, "must be a positive number, 1e-12 to 1e12");
  }
  *value = it->get<double>();
  return absl::OkStatus();
}

absl::Status RequirePositive(const nlohmann::json& json, const char* field, double* value) {
  if (!json.contains(field)) return Bad(field, "missing");
  return Positive(json, field, value);
}

absl::StatusOr<bool> IsTrue(const nlohmann::json& json, const char* field) {
  absl::StatusOr<bool> value = GetBoolOr(json, field, false);
  if (!value.ok()) return Bad(field, "must be true or false");
  return value;
}

}  // namespace reckon::config_fields
