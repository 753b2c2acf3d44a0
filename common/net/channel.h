#ifndef RECKON_COMMON_NET_CHANNEL_H_
#define RECKON_COMMON_NET_CHANNEL_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "grpcpp/grpcpp.h"

namespace reckon {

// Largest message any Reckon service sends or takes.
inline constexpr int kMaxMessageBytes = 16 << 20;

// A channel with Reckon's message limit, keepalive and short reconnect back-off.
std::shared_ptr<grpc::Channel> MakeChannel(const std::string& address);

// The server's side of the same: message limit, and keepalive pings of MakeChannel allowed.
void ConfigureServer(grpc::ServerBuilder* builder);

// gRPC's status as ours and back; codes are equal by number.
absl::Status FromGrpc(const grpc::Status& status);
grpc::Status ToGrpc(const absl::Status& status);

// Sets the deadline of a call.
void SetDeadline(grpc::ClientContext* context, absl::Duration timeout);

// True for errors that a retry of an idempotent call may cure (UNAVAILABLE, DEADLINE_EXCEEDED).
bool IsTransient(const absl::Status& status);

}  // namespace reckon

#endif  // RECKON_COMMON_NET_CHANNEL_H_
