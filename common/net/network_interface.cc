#include "common/net/network_interface.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/base/printable.h"
#include "common/base/status_macros.h"

namespace reckon {
namespace {

bool IsLoopback4(const sockaddr_in& address) { return ntohl(address.sin_addr.s_addr) >> 24 == 127; }

// All of 127.0.0.0/8 belongs to the loopback interface, which names one of them only.
bool SameHost(const sockaddr& a, const sockaddr& b) {
  if (a.sa_family != b.sa_family) return false;
  if (a.sa_family == AF_INET) {
    const auto& a4 = reinterpret_cast<const sockaddr_in&>(a);
    const auto& b4 = reinterpret_cast<const sockaddr_in&>(b);
    return a4.sin_addr.s_addr == b4.sin_addr.s_addr || (IsLoopback4(a4) && IsLoopback4(b4));
  }
  if (a.sa_family != AF_INET6) return false;
  return memcmp(&reinterpret_cast<const sockaddr_in6&>(a).sin6_addr,
                &reinterpret_cast<const sockaddr_in6&>(b).sin6_addr, sizeof(in6_addr)) == 0;
}

}  // namespace

absl::StatusOr<std::string> InterfaceOf(const std::string& address) {
  absl::string_view host = address;
  if (absl::ConsumePrefix(&host, "[")) absl::ConsumeSuffix(&host, "]");
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int error = getaddrinfo(std::string(host).c_str(), nullptr, &hints, &found);
      error != 0) {
    return absl::UnavailableError(
        absl::StrCat("the address '", Printable(address), "': ", gai_strerror(error)));
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> addresses(found, freeaddrinfo);
  ifaddrs* all = nullptr;
  if (getifaddrs(&all) != 0) return absl::ErrnoToStatus(errno, "cannot list network interfaces");
  const std::unique_ptr<ifaddrs, decltype(&freeifaddrs)> interfaces(all, freeifaddrs);
  for (const addrinfo* one = found; one != nullptr; one = one->ai_next) {
    for (const ifaddrs* interface = all; interface != nullptr; interface = interface->ifa_next) {
      if (interface->ifa_addr != nullptr && SameHost(*one->ai_addr, *interface->ifa_addr)) {
        return std::string(interface->ifa_name);
      }
    }
  }
  return absl::NotFoundError(absl::StrCat("no network interface of this machine has the address '",
                                          Printable(address), "'"));
}

absl::Status BindCollectives(const std::string& address) {
  ASSIGN_OR_RETURN(const std::string interface, InterfaceOf(address));
  // "=": this name, not all that begin with it.
  setenv("NCCL_SOCKET_IFNAME", absl::StrCat("=", interface).c_str(), /*overwrite=*/0);
  setenv("TORCH_NCCL_ASYNC_ERROR_HANDLING", "0", /*overwrite=*/0);
  setenv("TORCH_FR_BUFFER_SIZE", "0", /*overwrite=*/0);
  return absl::OkStatus();
}

}  // namespace reckon
