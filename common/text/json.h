#ifndef RECKON_COMMON_TEXT_JSON_H_
#define RECKON_COMMON_TEXT_JSON_H_

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace reckon {

// JSON from files and networks. Everything here is a pure function and never throws; what the text
// does wrong is INVALID_ARGUMENT, safe to print: short and ASCII.

inline constexpr size_t kMaxJsonBytes = size_t{64} << 20;
inline constexpr int kMaxJsonDepth = 64;

// Strict JSON: one value and nothing behind it, no comments, valid UTF-8, no key twice in an
// object, at most `max_depth` arrays and objects inside one another.
absl::StatusOr<nlohmann::json> ParseJson(absl::string_view text, int max_depth = kMaxJsonDepth,
                                         size_t max_bytes = kMaxJsonBytes);

// The field, or null when it is absent, JSON null, or `object` is no object.
const nlohmann::json* FindField(const nlohmann::json& object, absl::string_view name);

// A field of the type asked for; errors name the field and what it is instead.
absl::StatusOr<std::string> GetString(const nlohmann::json& object, absl::string_view name);
absl::StatusOr<int64_t> GetInt(const nlohmann::json& object, absl::string_view name);
absl::StatusOr<double> GetDouble(const nlohmann::json& object, absl::string_view name);
absl::StatusOr<bool> GetBool(const nlohmann::json& object, absl::string_view name);
// The pointers live as long as `object`.
absl::StatusOr<const nlohmann::json*> GetObject(const nlohmann::json& object,
                                                absl::string_view name);
absl::StatusOr<const nlohmann::json*> GetArray(const nlohmann::json& object,
                                               absl::string_view name);

// The same with a value for a field that is absent or null; another type is still an error.
absl::StatusOr<std::string> GetStringOr(const nlohmann::json& object, absl::string_view name,
                                        absl::string_view otherwise);
absl::StatusOr<int64_t> GetIntOr(const nlohmann::json& object, absl::string_view name,
                                 int64_t otherwise);
absl::StatusOr<double> GetDoubleOr(const nlohmann::json& object, absl::string_view name,
                                   double otherwise);
absl::StatusOr<bool> GetBoolOr(const nlohmann::json& object, absl::string_view name,
                               bool otherwise);

}  // namespace reckon

#endif  // RECKON_COMMON_TEXT_JSON_H_
