#ifndef RECKON_COORDINATOR_SERVER_H_
#define RECKON_COORDINATOR_SERVER_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "coordinator/committer.h"
#include "coordinator/service.h"

namespace reckon {

// A listening coordinator over an open store: core, committer, service, in order of their lives.
// Destruction stops it cleanly: waits end, streams are acknowledged or cancelled, and all that was
// acknowledged is on the disk. Thread-safe.
class CoordinatorServer {
 public:
  struct Options {
    CoreOptions core;
    Committer::Options committer;
    std::string listen = "127.0.0.1:0";
  };

  // `store` outlives it. Errors are one line for a person.
  static absl::StatusOr<std::unique_ptr<CoordinatorServer>> Start(Store* store, Options options);
  ~CoordinatorServer();

  // host:port, with the port that was chosen.
  const std::string& address() const { return address_; }

 private:
  CoordinatorServer() = default;

  std::string address_;
  std::unique_ptr<Committer> committer_;
  std::unique_ptr<CoordinatorService> service_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace reckon

#endif  // RECKON_COORDINATOR_SERVER_H_
