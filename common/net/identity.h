#ifndef RECKON_COMMON_NET_IDENTITY_H_
#define RECKON_COMMON_NET_IDENTITY_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace reckon {

// What a member of a run is. A user reads: `reckon show`, `reckon status`.
enum class Role { kCoordinator, kActor, kLearner, kUser };
inline constexpr Role kAllRoles[] = {Role::kCoordinator, Role::kActor, Role::kLearner, Role::kUser};
// "coordinator", "actor", "learner" or "user": also the names of the folders of certificates.
absl::string_view RoleName(Role role);

// Who a certificate says that its owner is: the only URI among its subject alternative names, which
// is a SPIFFE ID. Two forms are known.
//
//   spiffe://<trust domain>/.../role/<role>      run: what is before "/role/"
//   spiffe://<trust domain>/...reckon-<role>     run: what is before "reckon-<role>"
//
// The first is what `reckon certs` writes, spiffe://reckon/run/<run>/role/<role>. The second is how
// names of others become roles, as those that a cluster gives to its service accounts:
// spiffe://cluster.local/ns/training/sa/reckon-actor, or .../sa/<run>-reckon-actor where several
// runs share a namespace. In the second form, "reckon-<role>" follows a '/' or a '-'.
//
struct Identity {
  std::string run;  // the URI up to the role: equal for the members of one run
  Role role = Role::kUser;

  bool operator==(const Identity&) const = default;
};

// INVALID_ARGUMENT quotes the URI and says what it must be.
absl::StatusOr<Identity> ParseIdentity(absl::string_view uri);
// The first form, as `reckon certs` writes it. INVALID_ARGUMENT: the run's name has characters that
// no SPIFFE ID has.
absl::StatusOr<std::string> IdentityUri(absl::string_view run, Role role);

}  // namespace reckon

#endif  // RECKON_COMMON_NET_IDENTITY_H_
