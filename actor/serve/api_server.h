#ifndef RECKON_ACTOR_SERVE_API_SERVER_H_
#define RECKON_ACTOR_SERVE_API_SERVER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "actor/serve/batcher.h"
#include "actor/serve/served_model.h"
#include "common/base/host_port.h"

namespace reckon {

struct ApiServerOptions {
  HostPort listen;                    // port 0: any free one
  std::vector<std::string> api_keys;  // of which a request shows one; empty: loopback alone
  int64_t max_requests = 256;         // as BatcherOptions
  absl::Duration request_time = absl::Minutes(10);  // from its arrival to its end
};

// The HTTP side of `reckon serve`, in the form of OpenAI's API:
//
//   GET  /health                 200 while it serves, 503 when it stops or the engine fails
//   GET  /v1/models, /v1/models/NAME
//   POST /v1/completions         one JSON object, or with "stream": true server-sent events
//   POST /v1/chat/completions    the same
//
// A request with a connection:
//
//   read --> key and host --> ReadApiRequest --> Batcher::Submit --> replied or streamed
//             | 401, 403        | 400, 404, 413    | 429, 503      `--> cancelled, when the client
//             goes
//
// Without keys it listens on loopback alone, and answers only to names of it and to no page of
// another site, so that no browser is used against it. With keys each request but /health needs
// one. Plain HTTP: put a server with TLS before it where the network is not trusted. Owned by the
// program; model and batcher outlive it.
class ApiServer {
 public:
  // FAILED_PRECONDITION: no keys, and the address is not on loopback. UNAVAILABLE: the port is
  // taken, or the host is not an address of this machine.
  static absl::StatusOr<std::unique_ptr<ApiServer>> Start(ApiServerOptions options,
                                                          const ServedModel* model,
                                                          Batcher* batcher);
  // Accepts nothing more, and waits for the requests that it has: Drain the batcher first.
  ~ApiServer();

  HostPort address() const;

 private:
  struct Http;
  ApiServer(ApiServerOptions options, const ServedModel* model, Batcher* batcher);

  const ApiServerOptions options_;
  std::unique_ptr<Http> http_;
};

}  // namespace reckon

#endif  // RECKON_ACTOR_SERVE_API_SERVER_H_
