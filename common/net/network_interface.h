#ifndef RECKON_COMMON_NET_NETWORK_INTERFACE_H_
#define RECKON_COMMON_NET_NETWORK_INTERFACE_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace reckon {

// The interface of this machine, as "eth0", that has the address; `address` is an address (of IPv6
// with or without brackets) or a name of one. NOT_FOUND: no interface has it. UNAVAILABLE:
// the name does not resolve, which it may do later, as that of a pod that has just begun.
absl::StatusOr<std::string> InterfaceOf(const std::string& address);

// Keeps collectives, which are neither authenticated nor encrypted, on the interface of `address`.
// Gloo is given the address itself (gloo_parallel.h); for NCCL, which would choose an interface,
// this sets NCCL_SOCKET_IFNAME of the process, unless the operator has set it. Call it before other
// threads run. Errors as above.
absl::Status BindCollectives(const std::string& address);

// The same for broadcasts of weights by NCCL (common/model/broadcast/nccl_broadcast.h). Also keeps
// c10d's watchdog, unless the operator has set it, from ending this process when a member of a
// group is lost: what a broadcast has not brought is fetched.
absl::Status BindBroadcasts(const std::string& address);

}  // namespace reckon

#endif  // RECKON_COMMON_NET_NETWORK_INTERFACE_H_
