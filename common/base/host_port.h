#ifndef RECKON_COMMON_BASE_HOST_PORT_H_
#define RECKON_COMMON_BASE_HOST_PORT_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace reckon {

// An address of a service, as flags, configs, port files and weight manifests give it: HOST:PORT,
// with the host of IPv6 in brackets, "[::1]:4000".
struct HostPort {
  std::string host;   // a name or an address, without brackets
  uint16_t port = 0;  // 0: any free one, of an address to listen on

  // The same as text, with brackets where they are needed.
  std::string ToString() const;
  // "0.0.0.0" or "::": all addresses of this machine, which nobody can connect to by that name.
  bool is_wildcard() const { return host == "0.0.0.0" || host == "::"; }
  // "localhost", 127.0.0.0/8 or ::1: reached from this machine alone. A name that only resolves to
  // such an address is not one, because what a name resolves to may change.
  bool is_loopback() const;
};

// INVALID_ARGUMENT is one line that quotes `text` and says what is wrong with it.
absl::StatusOr<HostPort> ParseHostPort(absl::string_view text);

// The address that a service which listens on `listening` tells others: its port at the host
// `announce`, a name or an address (of IPv6 with or without brackets). Without `announce` that is
// the host it listens on, or this machine's name when it listens on all of its addresses.
// INVALID_ARGUMENT: `announce` is no host, or a wildcard, or has a port.
absl::StatusOr<HostPort> AnnouncedAddress(const HostPort& listening, absl::string_view announce);

// The name of this machine, as other machines usually find it.
std::string MachineName();

}  // namespace reckon

#endif  // RECKON_COMMON_BASE_HOST_PORT_H_
