#ifndef RECKON_COMMON_NET_PERMISSIONS_H_
#define RECKON_COMMON_NET_PERMISSIONS_H_

#include "absl/strings/string_view.h"
#include "common/net/identity.h"

namespace reckon {

// Whether a role may call a verb, by the one table in permissions.cc. `method` is the path of an
// RPC, "/reckon.Coordinator/Lease". False for every verb that has no row: a verb is open to nobody
// until a row says to whom, and permissions_test.cc fails while a verb of a service lacks its row.
bool MayCall(Role role, absl::string_view method);
// Whether the table has a row for the verb.
bool HasRow(absl::string_view method);

}  // namespace reckon

#endif  // RECKON_COMMON_NET_PERMISSIONS_H_
