#ifndef RECKON_COORDINATOR_SERVICE_SERVER_H_
#define RECKON_COORDINATOR_SERVICE_SERVER_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/net/security.h"
#include "coordinator/service/committer.h"
#include "coordinator/service/evictor.h"
#include "coordinator/service/service.h"

namespace reckon {

// A listening coordinator over an open store: recovers the core, and owns committer, service and
// gRPC server. Used by main, and by tests in their own process. Thread-safe.
//
// Destruction stops it cleanly: waiting calls are answered, streams are acknowledged or cancelled
// within a second, and everything that was acknowledged is on the disk.
class CoordinatorServer {
 public:
  struct Options {
    CoreOptions core;
    Committer::Options committer;
    std::string listen = "127.0.0.1:0";  // HOST:PORT; port 0: any free one
    std::string announce;                // the host at which others reach it; see AnnouncedAddress
    std::shared_ptr<const Security> security = Security::PlainText();
  };

  // `store` outlives the server. Errors are one line for humans: those of Core::Recover,
  // INVALID_ARGUMENT for `listen` and `announce`, FAILED_PRECONDITION for plain text that is not on
  // loopback, UNAVAILABLE when the port is taken.
  static absl::StatusOr<std::unique_ptr<CoordinatorServer>> Start(Store* store, Options options);
  ~CoordinatorServer();

  // HOST:PORT at which others reach it, with the port that was chosen.
  const std::string& address() const { return address_; }

 private:
  CoordinatorServer() = default;

  std::string address_;
  std::unique_ptr<Committer> committer_;
  std::unique_ptr<Evictor> evictor_;
  std::unique_ptr<CoordinatorService> service_;
  std::unique_ptr<grpc::Server> server_;
  CoordinatorMetrics* metrics_ = nullptr;
  Registry::Handle refresh_;  // reads the core for each scrape
};

}  // namespace reckon

#endif  // RECKON_COORDINATOR_SERVICE_SERVER_H_
