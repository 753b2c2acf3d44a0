#include "common/base/host_port.h"

#include <arpa/inet.h>
#include <unistd.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace reckon {
namespace {

absl::Status Bad(absl::string_view text, absl::string_view why) {
  return absl::InvalidArgumentError(
      absl::StrCat("'", text, "' must be HOST:PORT, as 127.0.0.1:4000 or [::1]:4000; ", why));
}

}  // namespace

std::string HostPort::ToString() const {
  const bool brackets = host.find(':') != std::string::npos;
  return brackets ? absl::StrCat("[", host, "]:", port) : absl::StrCat(host, ":", port);
}

bool HostPort::is_loopback() const {
  if (host == "localhost") return true;
  in_addr v4;
  if (inet_pton(AF_INET, host.c_str(), &v4) == 1) return ntohl(v4.s_addr) >> 24 == 127;
  in6_addr v6;
  return inet_pton(AF_INET6, host.c_str(), &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

absl::StatusOr<HostPort> ParseHostPort(absl::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == absl::string_view::npos) return Bad(text, "it has no port");
  absl::string_view host = text.substr(0, colon);
  const absl::string_view port = text.substr(colon + 1);
  if (!host.empty() && host.front() == '[') {
    if (host.back() != ']') return Bad(text, "it has no port after the bracket");
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != absl::string_view::npos) {
    return Bad(text, "an IPv6 address must be in brackets");
  }
  if (host.empty()) return Bad(text, "it has no host");
  if (std::any_of(host.begin(), host.end(), [](char c) {
        return !absl::ascii_isgraph(c) || c == '/' || c == '[' || c == ']';
      })) {
    return Bad(text, "its host has a character that no host has");
  }
  uint32_t number = 0;
  const bool digits = !port.empty() && std::all_of(port.begin(), port.end(), absl::ascii_isdigit);
  if (!digits || !absl::SimpleAtoi(port, &number) || number > 65535) {
    return Bad(text, absl::StrCat("its port is '", port, "', not a number from 0 to 65535"));
  }
  return HostPort{std::string(host), static_cast<uint16_t>(number)};
}

absl::StatusOr<HostPort> AnnouncedAddress(const HostPort& listening, absl::string_view announce) {
  if (announce.empty()) {
    return HostPort{listening.is_wildcard() ? MachineName() : listening.host, listening.port};
  }
  const bool brackets = announce.front() == '[' && announce.back() == ']';
  const std::string host(brackets ? announce.substr(1, announce.size() - 2) : announce);
  const HostPort address = {host, listening.port};
  // A name with one colon is a name with a port; an address of IPv6 has two or more.
  const bool has_port = std::count(host.begin(), host.end(), ':') == 1;
  if (has_port || address.is_wildcard() || !ParseHostPort(address.ToString()).ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", announce, "' must be the name or address at which others reach this ",
                     "machine, without a port, as node-7 or fd00::7"));
  }
  return address;
}

std::string MachineName() {
  char name[256] = "localhost";
  (void)::gethostname(name, sizeof(name) - 1);
  return name;
}

}  // namespace reckon
