#ifndef RECKON_COMMON_NET_CHANNEL_H_
#define RECKON_COMMON_NET_CHANNEL_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "grpcpp/grpcpp.h"

namespace reckon {

// Bytes of the largest message that a service of Reckon sends or accepts. Weight manifests, which
// hold the tokenizer's files, are the largest (common/model/files/model_texts.h).
inline constexpr int kMaxMessageBytes = 64 << 20;

// Makes a channel to "host:port" with the message limit, keepalive pings and quick reconnection. It
// never leads through an HTTP proxy, whatever http_proxy says: the parts of a run reach each other.
// It connects at the first call; an unreachable peer is an error of the call, not of the channel.
std::shared_ptr<grpc::Channel> MakeChannel(const std::string& address);
// The arguments of such a channel.
grpc::ChannelArguments ClientArguments();

// The same settings for a server: the message limit, and the keepalive pings of MakeChannel.
void ConfigureServer(grpc::ServerBuilder* builder);

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
