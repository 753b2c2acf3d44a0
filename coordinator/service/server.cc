#include "coordinator/service/server.h"

#include <chrono>

#include "absl/strings/str_cat.h"
#include "common/base/host_port.h"
#include "common/base/status_macros.h"
#include "common/net/channel.h"

namespace reckon {

absl::StatusOr<std::unique_ptr<CoordinatorServer>> CoordinatorServer::Start(Store* store,
                                                                            Options options) {
  absl::StatusOr<HostPort> listen = ParseHostPort(options.listen);
  if (!listen.ok()) {
    return absl::InvalidArgumentError(absl::StrCat("--listen: ", listen.status().message()));
  }
  const absl::Status announced = AnnouncedAddress(*listen, options.announce).status();
  if (!announced.ok()) {
    return absl::InvalidArgumentError(absl::StrCat("--announce: ", announced.message()));
  }
  // Before the port is open: no call may find a core that has not recovered.
  ASSIGN_OR_RETURN(std::unique_ptr<Core> core, Core::Recover(store, options.core));
  std::unique_ptr<CoordinatorServer> self(new CoordinatorServer());
  self->metrics_ = options.committer.metrics;
  self->committer_ = std::make_unique<Committer>(std::move(core), store, Clock::Real(),
                                                 std::move(options.committer));
  self->evictor_ = std::make_unique<Evictor>(self->committer_.get(), store);
  self->service_ =
      std::make_unique<CoordinatorService>(self->committer_.get(), store, options.security);
  grpc::ServerBuilder builder;
  int port = 0;
  RETURN_IF_ERROR(ListenOn(*listen, options.security, &builder, &port));
  builder.RegisterService(self->service_.get());
  self->server_ = builder.BuildAndStart();
  if (self->server_ == nullptr || port <= 0) {
    return absl::UnavailableError(
        absl::StrCat("cannot listen on ", options.listen, "; is the port taken?"));
  }
  listen->port = static_cast<uint16_t>(port);
  ASSIGN_OR_RETURN(const HostPort address, AnnouncedAddress(*listen, options.announce));
  self->address_ = address.ToString();
  self->refresh_ = Registry::Process().OnCollect([server = self.get()] {
    server->committer_->Do(
        [server](Core& core, absl::Time now, Reads&) { server->metrics_->Show(core, now); },
        [](const absl::Status&) {});
  });
  self->metrics_->activity.SetStarted();
  self->metrics_->activity.SetReady(true);
  return self;
}

CoordinatorServer::~CoordinatorServer() {
  refresh_ = nullptr;
  if (committer_ != nullptr) committer_->EndWaits();  // else Shutdown would wait for them
  evictor_ = nullptr;
  if (server_ == nullptr) return;
  metrics_->activity.SetReady(false);
  server_->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(1));
  server_->Wait();
}

}  // namespace reckon
