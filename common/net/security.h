#ifndef RECKON_COMMON_NET_SECURITY_H_
#define RECKON_COMMON_NET_SECURITY_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/host_port.h"
#include "common/net/identity.h"
#include "grpcpp/grpcpp.h"

namespace reckon {

// The services of Reckon, by who may serve them: a client refuses a server of another role.
enum class Service {
  kCoordinator,   // the coordinator
  kWeightSource,  // a learner or a user, who publish weights
  kWeightRelay,   // an actor, which serves what it has fetched
  kReward,        // a user, whose own reward it is
};

// How this process proves who it is, and what it asks of others, on every gRPC port of a run. Two
// kinds:
//
//   plain text     on loopback alone: listening on, or connecting to, any other address is an error
//   certificates   mutual TLS 1.2 or newer and the run's token, on any address
//
// What is checked, in this order. A call that is refused never reaches its service.
//
//   by                                                          refused with
//   TLS, both sides   an authority in ca.crt vouches for the    UNAVAILABLE, since no connection is
//   made
//                     certificate, and it is valid now
//   the client        the server is of this run and its role    UNAVAILABLE
//                     may serve this service
//   the server        the client is of this run                 UNAUTHENTICATED
//                     its token is one of the run's             UNAUTHENTICATED
//                     its role may call this verb               PERMISSION_DENIED
//                     (permissions.h)
//
// Names in certificates are roles (identity.h), not hosts, so a pod may move and an address may
// change. All files are read again when they change, within two seconds; calls in progress are not
// disturbed. A server ends each connection after half a minute, as gRPC does it: calls in progress
// stay, later calls use a new connection. So nobody is served for longer by a certificate that has
// expired or by an authority that was removed.
//
// Immutable but for the files; thread-safe. Channels and servers keep what they need of it.
class Security {
 public:
  static std::shared_ptr<const Security> PlainText();
  // `folder` has ca.crt, tls.crt, tls.key and token; empty: PlainText. The certificate must be that
  // of `role`. Errors are one line for humans and name the file:
  //   NOT_FOUND          a file is missing
  //   PERMISSION_DENIED  others may read the key or the token (secret_file.h)
  //   INVALID_ARGUMENT   a file is damaged, they do not belong together, the certificate is not
  //                      valid now, or is of another role
  static absl::StatusOr<std::shared_ptr<const Security>> Load(const std::string& folder, Role role);

  bool is_plain_text() const { return files_ == nullptr; }

  // FAILED_PRECONDITION: plain text, and the address is not on loopback.
  absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> ForChannel(const HostPort& peer,
                                                                       Service service) const;
  absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> ForServer(const HostPort& listen) const;

  // How often the authorities or the tokens have changed. What lasts longer than a connection
  // should ends when this changes: a stream of rollouts (coordinator/service/submit_stream.h).
  uint64_t changes() const;

 private:
  struct Files;
  class TokenSender;
  class CallCheck;
  class ServerCheck;

  explicit Security(std::shared_ptr<Files> files) : files_(std::move(files)) {}

  const std::shared_ptr<Files> files_;  // null: plain text
};

}  // namespace reckon

#endif  // RECKON_COMMON_NET_SECURITY_H_
