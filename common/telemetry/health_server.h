#ifndef RECKON_COMMON_TELEMETRY_HEALTH_SERVER_H_
#define RECKON_COMMON_TELEMETRY_HEALTH_SERVER_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "common/telemetry/activity.h"
#include "grpcpp/grpcpp.h"
#include "proto/health.grpc.pb.h"

namespace reckon {

// A role's health by gRPC's protocol, as Kubernetes' probes ask for it: plain text, on a port with
// nothing else on it, and no answer says more than SERVING or NOT_SERVING.
//
//   "startup"    what the role works with is loaded
//   "liveness"   its main loop moves, or waits for others (activity.h); never whether a peer lives
//   "readiness"  it can serve others
//   ""           all three
//
// Another name is NOT_FOUND, and Watch is UNIMPLEMENTED, which clients must expect: a stream for
// every stranger would cost memory for as long as he likes.
class HealthServer : private grpc::health::v1::Health::CallbackService {
 public:
  // `listen`: HOST:PORT; port 0: any free one. `activity` outlives the server.
  // INVALID_ARGUMENT: it is no HOST:PORT. UNAVAILABLE: the port is taken.
  static absl::StatusOr<std::unique_ptr<HealthServer>> Start(const std::string& listen,
                                                             const Activity* activity);
  ~HealthServer() override;

  // HOST:PORT with the port that was chosen.
  const std::string& address() const { return address_; }

 private:
  explicit HealthServer(const Activity* activity) : activity_(*activity) {}
  grpc::ServerUnaryReactor* Check(grpc::CallbackServerContext* context,
                                  const grpc::health::v1::HealthCheckRequest* request,
                                  grpc::health::v1::HealthCheckResponse* response) override;

  const Activity& activity_;
  std::string address_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace reckon

#endif  // RECKON_COMMON_TELEMETRY_HEALTH_SERVER_H_
