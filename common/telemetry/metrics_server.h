#ifndef RECKON_COMMON_TELEMETRY_METRICS_SERVER_H_
#define RECKON_COMMON_TELEMETRY_METRICS_SERVER_H_

#include <memory>
#include <string>
#include <thread>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/telemetry/registry.h"

namespace reckon {

// Serves a registry over HTTP/1.1: GET /metrics, in Prometheus' text format, and nothing else.
//
//   accepted --> reading --its head is whole--> writing --> closed
//                   `-----too large, too slow-----------------^
//
// Whoever reaches the port can read the metrics, so nothing of a run's texts is among them
// (registry.h), and can do no more: kMaxConnections at once, each for kPatience at most, with a
// request of kMaxRequestBytes at most, of which the first line alone is looked at. More connections
// wait in the kernel's queue. One thread does it all; plain HTTP, for the network of those who
// monitor.
//
// It is our own because Debian's civetweb, the server beside prometheus-cpp, is built without IPv6
// and takes two seconds to stop.
class MetricsServer {
 public:
  static constexpr int kMaxConnections = 16;
  static constexpr size_t kMaxRequestBytes = 8192;
  static constexpr absl::Duration kPatience = absl::Seconds(5);

  // Listens on `listen`, HOST:PORT; port 0: any free one. `registry` outlives the server.
  // INVALID_ARGUMENT: it is no HOST:PORT. UNAVAILABLE: the port is taken, or the host is not an
  // address of this machine.
  static absl::StatusOr<std::unique_ptr<MetricsServer>> Start(const std::string& listen,
                                                              const Registry* registry,
                                                              absl::Duration patience = kPatience);
  // Ends the connections at once.
  ~MetricsServer();

  // HOST:PORT with the port that was chosen.
  const std::string& address() const { return address_; }

 private:
  struct Connection;
  MetricsServer(const Registry* registry, absl::Duration patience)
      : registry_(*registry), patience_(patience) {}
  absl::Status Listen(const std::string& listen);
  void Serve();
  // Moves one connection on; false: close it.
  bool Advance(Connection* connection) const;
  // The whole answer to a request whose head is `head`.
  std::string AnswerTo(const std::string& head) const;

  const Registry& registry_;
  const absl::Duration patience_;
  std::string address_;
  int listener_ = -1;
  int stop_ = -1;  // an eventfd
  std::thread thread_;
};

}  // namespace reckon

#endif  // RECKON_COMMON_TELEMETRY_METRICS_SERVER_H_
