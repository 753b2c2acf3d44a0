#include "common/telemetry/health_server.h"

#include <chrono>
#include <optional>

#include "absl/strings/str_cat.h"
#include "common/base/host_port.h"
#include "common/base/status_macros.h"

namespace reckon {
namespace {

using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;

constexpr int kMaxRequestBytes = 1024;
constexpr int kMaxCalls = 8;  // at once on one connection
constexpr size_t kMaxMemory = 8 << 20;

std::optional<bool> IsHealthy(const Activity& activity, const std::string& service) {
  if (service == "startup") return activity.started();
  if (service == "liveness") return activity.alive();
  if (service == "readiness") return activity.ready();
  if (service.empty()) return activity.started() && activity.alive() && activity.ready();
  return std::nullopt;
}

}  // namespace

grpc::ServerUnaryReactor* HealthServer::Check(grpc::CallbackServerContext* context,
                                              const HealthCheckRequest* request,
                                              HealthCheckResponse* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  const std::optional<bool> healthy = IsHealthy(activity_, request->service());
  if (healthy.has_value()) {
    response->set_status(*healthy ? HealthCheckResponse::SERVING
                                  : HealthCheckResponse::NOT_SERVING);
    reactor->Finish(grpc::Status::OK);
  } else {
    reactor->Finish(grpc::Status(grpc::StatusCode::NOT_FOUND, "no such service"));
  }
  return reactor;
}

absl::StatusOr<std::unique_ptr<HealthServer>> HealthServer::Start(const std::string& listen,
                                                                  const Activity* activity) {
  ASSIGN_OR_RETURN(HostPort address, ParseHostPort(listen));
  std::unique_ptr<HealthServer> self(new HealthServer(activity));
  grpc::ServerBuilder builder;
  builder.SetMaxReceiveMessageSize(kMaxRequestBytes);
  builder.SetResourceQuota(grpc::ResourceQuota("health").Resize(kMaxMemory));
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMaxCalls);
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  int port = 0;
  builder.AddListeningPort(listen, grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(static_cast<grpc::health::v1::Health::CallbackService*>(self.get()));
  self->server_ = builder.BuildAndStart();
  if (self->server_ == nullptr || port <= 0) {
    return absl::UnavailableError(
        absl::StrCat("cannot listen on ", listen, "; is the port taken?"));
  }
  address.port = static_cast<uint16_t>(port);
  self->address_ = address.ToString();
  return self;
}

HealthServer::~HealthServer() {
  if (server_ != nullptr) server_->Shutdown(std::chrono::system_clock::now());
}

}  // namespace reckon
