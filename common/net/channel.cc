#include "common/net/channel.h"

#include <chrono>
#include <cstdlib>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "common/base/status_macros.h"

namespace reckon {
namespace {

// A channel makes progress while a thread polls. Between the attempts of a retried call none does
// but gRPC's own, every five seconds unless this says otherwise, and a TLS handshake takes several
// rounds: a learner then needed half a minute to find a coordinator that had been started again.
// gRPC reads it when it starts, hence before main.
[[maybe_unused]] const int kPolling =
    ::setenv("GRPC_CLIENT_CHANNEL_BACKUP_POLL_INTERVAL_MS", "100", /*overwrite=*/0);

}  // namespace
namespace {

constexpr int kMaxCallsPerConnection = 256;
// By security.h.
constexpr int kMaxConnectionAgeMs = 30000;

}  // namespace

grpc::ChannelArguments ClientArguments() {
  grpc::ChannelArguments args;
  args.SetMaxReceiveMessageSize(kMaxMessageBytes);
  args.SetMaxSendMessageSize(kMaxMessageBytes);
  // Detects a silent peer (power cut, lost route) within 30 s, also between calls.
  args.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 20000);
  args.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10000);
  args.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  args.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  args.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 1000);
  args.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 2000);
  // A name may move to another address, as with a pod or job that starts again elsewhere: after a
  // lost connection it is looked up again, and not only 30 s later.
  args.SetInt(GRPC_ARG_DNS_MIN_TIME_BETWEEN_RESOLUTIONS_MS, 2000);
  args.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  // One connection per channel, so that a long stream does not take the flow-control window of
  // another channel to the same peer.
  args.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return args;
}

absl::StatusOr<std::shared_ptr<grpc::Channel>> MakeChannel(
    const std::string& address, const std::shared_ptr<const Security>& security, Service service) {
  ASSIGN_OR_RETURN(const HostPort peer, ParseHostPort(address));
  ASSIGN_OR_RETURN(const auto credentials, security->ForChannel(peer, service));
  grpc::ChannelArguments args = ClientArguments();
  if (!security->is_plain_text()) {
    // Who the server is, Security checks by the role in its certificate. This is only the name that
    // the server looks for among its certificates, which gRPC logs as an error for each connection
    // when there is none: the DNS name that `reckon certs` writes.
    args.SetSslTargetNameOverride(service == Service::kCoordinator    ? "coordinator"
                                  : service == Service::kWeightSource ? "learner"
                                  : service == Service::kReward       ? "user"
                                                                      : "actor");
  }
  return grpc::CreateCustomChannel(peer.ToString(), credentials, args);
}

absl::Status ListenOn(const HostPort& address, const std::shared_ptr<const Security>& security,
                      grpc::ServerBuilder* builder, int* port) {
  ASSIGN_OR_RETURN(const auto credentials, security->ForServer(address));
  builder->AddListeningPort(address.ToString(), credentials, port);
  builder->SetMaxReceiveMessageSize(kMaxMessageBytes);
  builder->SetMaxSendMessageSize(kMaxMessageBytes);
  // By default gRPC treats the pings of MakeChannel as abuse and closes the connection.
  builder->AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 5000);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  // A second server on the same port must fail to start instead of taking half of the calls.
  builder->AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  // Of one connection. Actors and learners need four: more would be a program that has gone wrong.
  builder->AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMaxCallsPerConnection);
  if (!security->is_plain_text()) {
    builder->AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_MS, kMaxConnectionAgeMs);
  }
  return absl::OkStatus();
}

absl::Status FromGrpc(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
}

grpc::Status ToGrpc(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  const absl::string_view message = status.message();
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()),
                      std::string(message.data(), message.size()));
}

std::string PlainReason(const absl::Status& status) {
  if (absl::StrContains(status.message(), "Connection refused")) return "connection refused";
  if (absl::IsDeadlineExceeded(status) || absl::StrContains(status.message(), "timed out") ||
      absl::StrContains(status.message(), "Timeout occurred")) {
    return "no answer";
  }
  return status.message().empty() ? absl::StatusCodeToString(status.code())
                                  : std::string(status.message());
}

void SetDeadline(grpc::ClientContext* context, absl::Duration timeout) {
  context->set_deadline(std::chrono::system_clock::now() + absl::ToChronoMilliseconds(timeout));
}

}  // namespace reckon
