#include "common/net/identity.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/base/printable.h"
#include "common/base/status_macros.h"

namespace reckon {
namespace {

constexpr absl::string_view kScheme = "spiffe://";
constexpr size_t kMaxBytes = 2048;  // of the SPIFFE standard

// A segment of the path, or the trust domain.
bool IsSegment(absl::string_view text) {
  return !text.empty() && text != "." && text != ".." &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return absl::ascii_isalnum(c) || c == '-' || c == '_' || c == '.';
         });
}

std::optional<Role> FindRole(absl::string_view name) {
  for (const Role role : kAllRoles) {
    if (RoleName(role) == name) return role;
  }
  return std::nullopt;
}

absl::Status Bad(absl::string_view uri) {
  return absl::InvalidArgumentError(
      absl::StrCat("the URI '", Printable(uri),
                   "' names no role; it must be spiffe://DOMAIN/.../role/ROLE or end in "
                   "reckon-ROLE, where ROLE is coordinator, actor, learner or user"));
}

}  // namespace

absl::string_view RoleName(Role role) {
  switch (role) {
    case Role::kCoordinator:
      return "coordinator";
    case Role::kActor:
      return "actor";
    case Role::kLearner:
      return "learner";
    case Role::kUser:
      return "user";
  }
  return "";
}

absl::StatusOr<Identity> ParseIdentity(absl::string_view uri) {
  if (uri.size() > kMaxBytes || !absl::StartsWith(uri, kScheme)) return Bad(uri);
  const std::vector<absl::string_view> parts = absl::StrSplit(absl::StripPrefix(uri, kScheme), '/');
  if (parts.size() < 2 || !std::all_of(parts.begin(), parts.end(), IsSegment)) return Bad(uri);
  const absl::string_view last = parts.back();
  if (parts.size() > 3 && parts[parts.size() - 2] == "role") {
    const std::optional<Role> role = FindRole(last);
    if (!role) return Bad(uri);
    uri.remove_suffix(absl::StrCat("/role/", last).size());
    return Identity{std::string(uri), *role};
  }
  for (const Role role : kAllRoles) {
    const std::string name = absl::StrCat("reckon-", RoleName(role));
    if (last != name && !absl::EndsWith(last, "-" + name)) continue;
    uri.remove_suffix(name.size());
    return Identity{std::string(uri), role};
  }
  return Bad(uri);
}

absl::StatusOr<std::string> IdentityUri(absl::string_view run, Role role) {
  if (!IsSegment(run)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the run's name '", Printable(run), "' must have letters, digits, '-', '_' and '.' only"));
  }
  return absl::StrCat(kScheme, "reckon/run/", run, "/role/", RoleName(role));
}

}  // namespace reckon
