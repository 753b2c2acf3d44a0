#ifndef RECKON_COMMON_CONFIG_VALIDATE_H_
#define RECKON_COMMON_CONFIG_VALIDATE_H_

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/base/printable.h"
#include "proto/config.pb.h"

namespace reckon {

// Checks a resolved config: the ranges and texts of all fields as config.proto states them, then
// the rules that relate several fields. INVALID_ARGUMENT is one line that names the config key, its
// value and what to do:
//
//   data.eval: is required; set it to a file or to builtin, or set data.validation_fraction
//   stage[1].ppo.kl.target: 6 needs kl.coef above 0
absl::Status ValidateConfig(const RunConfig& config);

// The error of a rule: "key: ...". Values of the config in it are made printable.
template <typename... T>
absl::Status InvalidKey(absl::string_view key, const T&... what) {
  return absl::InvalidArgumentError(Printable(absl::StrCat(key, ": ", what...), 900));
}

}  // namespace reckon

#endif  // RECKON_COMMON_CONFIG_VALIDATE_H_
