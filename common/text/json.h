#ifndef RECKON_COMMON_TEXT_JSON_H_
#define RECKON_COMMON_TEXT_JSON_H_

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace reckon {

// JSON from untrusted files. Pure functions that never throw. Malformed text is INVALID_ARGUMENT
// with a message that is safe to print, because it is short and ASCII.

inline constexpr size_t kMaxJsonBytes = size_t{64} << 20;
inline constexpr int kMaxJsonDepth = 64;

// Parses strict JSON: one value with nothing after it, no comments, valid UTF-8, no duplicate keys,
// arrays and objects nested at most `max_depth` deep.
absl::StatusOr<nlohmann::json> ParseJson(absl::string_view text, int max_depth = kMaxJsonDepth,
                                         size_t max_bytes = kMaxJsonBytes);

// Returns the field, or null when it is absent, JSON null, or `object` is not an object.
const nlohmann::json* FindField(const nlohmann::json& object, absl::string_view name);

// Returns what a path names: a field with that name as a whole, or fields of fields and elements of
// arrays with dots between them, as "turns.0.text". Null as FindField.
const nlohmann::json* FindPath(const nlohmann::json& object, absl::string_view path);

// Return a field of that type. Errors name the field and its actual type.
absl::StatusOr<std::string> GetString(const nlohmann::json& object, absl::string_view name);
absl::StatusOr<int64_t> GetInt(const nlohmann::json& object, absl::string_view name);
absl::StatusOr<double> GetDouble(const nlohmann::json& object, absl::string_view name);
absl::StatusOr<bool> GetBool(const nlohmann::json& object, absl::string_view name);
// The pointers live as long as `object`.
absl::StatusOr<const nlohmann::json*> GetObject(const nlohmann::json& object,
                                                absl::string_view name);
absl::StatusOr<const nlohmann::json*> GetArray(const nlohmann::json& object,
                                               absl::string_view name);

// As above, with a default for a field that is absent or null. Another type is still an error.
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
