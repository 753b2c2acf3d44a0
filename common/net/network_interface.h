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

// Prepares this process for c10d's groups of ranks and of broadcasts, whose members reach it at
// `address`. Sets, in its environment, what the operator has not set:
//
//   NCCL_SOCKET_IFNAME                 the interface of `address`: collectives are neither
//                                      authenticated nor encrypted, and NCCL would choose one. Gloo
//                                      is given the address itself (gloo_parallel.h).
//   TORCH_NCCL_ASYNC_ERROR_HANDLING=0  c10d's watchdog would end the process a minute after a
//                                      collective has failed. Here that is an error of the group:
//                                      of ranks it ends the group, and what a broadcast has not
//                                      brought is fetched.
//   TORCH_FR_BUFFER_SIZE=0             c10d's flight recorder, one for the process, writes a map
//                                      without its lock for every group that is new to it (torch
//                                      2.11), which a second group may be reading.
//
// Call it before other threads run. Errors as above.
absl::Status BindCollectives(const std::string& address);

}  // namespace reckon

#endif  // RECKON_COMMON_NET_NETWORK_INTERFACE_H_
