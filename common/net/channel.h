#ifndef RECKON_COMMON_NET_CHANNEL_H_
#define RECKON_COMMON_NET_CHANNEL_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/net/security.h"
#include "grpcpp/grpcpp.h"

namespace reckon {

// Bytes of the largest message that a service of Reckon sends or accepts. Weight manifests, which
// hold the tokenizer's files, are the largest (common/model/files/model_texts.h).
inline constexpr int kMaxMessageBytes = 64 << 20;

// Makes a channel to "host:port" with the message limit, keepalive pings and quick reconnection. It
// never leads through an HTTP proxy, whatever http_proxy says: the parts of a run reach each other.
// It connects at the first call; an unreachable peer, and one that `security` refuses, is an error
// of the call, not of the channel. INVALID_ARGUMENT: `address` is no HOST:PORT.
// FAILED_PRECONDITION: plain text to an address that is not on loopback.
absl::StatusOr<std::shared_ptr<grpc::Channel>> MakeChannel(
    const std::string& address, const std::shared_ptr<const Security>& security,
    Service service = Service::kCoordinator);
// The arguments of such a channel.
grpc::ChannelArguments ClientArguments();

// Makes a server of `builder` listen, with the same settings: the message limit, the keepalive
// pings of MakeChannel, and the checks of `security`. `port` is set by BuildAndStart. Errors as
// above.
absl::Status ListenOn(const HostPort& address, const std::shared_ptr<const Security>& security,
                      grpc::ServerBuilder* builder, int* port);

// Convert between the status types of gRPC and Abseil, whose codes have equal numbers.
absl::Status FromGrpc(const grpc::Status& status);
grpc::Status ToGrpc(const absl::Status& status);

// Why a call failed, for humans, without what gRPC tells of its own insides: "connection refused",
// "no answer", or else the message.
std::string PlainReason(const absl::Status& status);

// Lets the call fail with DEADLINE_EXCEEDED when it takes longer than `timeout`.
void SetDeadline(grpc::ClientContext* context, absl::Duration timeout);

}  // namespace reckon

#endif  // RECKON_COMMON_NET_CHANNEL_H_
