#include "actor/serve/api_server.h"

#include <algorithm>
#include <atomic>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "actor/serve/api_error.h"
#include "actor/serve/api_reply.h"
#include "actor/serve/api_request.h"
#include "actor/serve/http_connections.h"
#include "common/base/printable.h"
#include "openssl/crypto.h"

namespace reckon {
namespace {

constexpr size_t kMaxBodyBytes = 8 << 20;
constexpr int kSpareThreads = 16;                       // for what is refused, health and models
constexpr absl::Duration kReadTime = absl::Minutes(1);  // of a request, body and all
// How often a reply that is being computed looks whether its client is still there.
constexpr absl::Duration kLook = absl::Milliseconds(200);
// For what is left of replies whose generation has ended, to clients that may be slow to read.
constexpr absl::Duration kLastWrite = absl::Seconds(10);

void Reply(httplib::Response& reply, int status, const std::string& body) {
  reply.status = status;
  reply.set_content(body, "application/json");
}

void ReplyError(httplib::Response& reply, const absl::Status& status) {
  Reply(reply, HttpStatus(status), ErrorBody(status));
  if (absl::IsResourceExhausted(status)) reply.set_header("Retry-After", "1");
}

// Absent is JSON as well. Of other types the library takes forms apart, with a bound of their own.
bool IsJson(absl::string_view content_type) {
  const absl::string_view type = content_type.substr(0, content_type.find(';'));
  return type.empty() ||
         absl::EqualsIgnoreCase(absl::StripAsciiWhitespace(type), "application/json");
}

// The HTTP status of a request whose body is not read; 200: it is. The library bounds only a body
// whose length was announced, and as it comes: not what it decompresses to.
int CheckBody(const httplib::Request& request) {
  if (request.method == "GET" || request.method == "HEAD") return 200;  // nobody reads theirs
  if (request.method != "POST") return 404;
  if (!IsJson(request.get_header_value("Content-Type"))) return 415;
  if (request.has_header("Content-Encoding")) return 415;
  const std::string length = request.get_header_value("Content-Length");
  const bool is_number = std::all_of(length.begin(), length.end(), absl::ascii_isdigit);
  const bool one_length = request.get_header_value_count("Content-Length") == 1 && is_number;
  return one_length && !request.has_header("Transfer-Encoding") ? 200 : 411;
}

// What the library or CheckBody refused, and wrote nothing about.
absl::Status Refusal(const httplib::Request& request, int http_status) {
  switch (http_status) {
    case 404:
      return absl::NotFoundError(absl::StrCat("there is no ", Printable(request.method), " ",
                                              Printable(request.path).substr(0, 100)));
    case 411:
      return absl::InvalidArgumentError("a body needs a Content-Length, and comes in one piece");
    case 413:
      return absl::OutOfRangeError(
          absl::StrCat("the body is larger than ", kMaxBodyBytes, " bytes"));
    case 415:
      return absl::InvalidArgumentError(
          absl::StrCat("a body is application/json without Content-Encoding; its Content-Type is '",
                       Printable(request.get_header_value("Content-Type")).substr(0, 100), "'"));
    default:
      if (http_status >= 500) return absl::InternalError("the request failed");
      return absl::InvalidArgumentError(
          "the request is no HTTP that is known here, or did not come whole");
  }
}

bool EqualKeys(absl::string_view a, absl::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

// A pattern of the library, which are regular expressions, for this text alone.
std::string Literal(absl::string_view text) {
  std::string pattern;
  for (const char c : text) {
    if (!absl::ascii_isalnum(c) && c != '-' && c != '_') pattern += '\\';
    pattern += c;
  }
  return pattern;
}

// Whether "HOST:PORT" or "HOST" names loopback: a page of another site reaches this server by
// another name, which resolves to it.
bool NamesLoopback(const std::string& host) {
  if (host == "localhost" || host == "127.0.0.1" || host == "[::1]") return true;
  const absl::StatusOr<HostPort> address = ParseHostPort(host);
  return address.ok() && address->is_loopback();
}

}  // namespace

struct ApiServer::Http {
  Http(const ApiServerOptions& options, const ServedModel* model, Batcher* batcher)
      : options(options),
        model(*model),
        batcher(*batcher),
        server(options.max_requests + kSpareThreads, kReadTime) {}

  absl::Status CheckCaller(const httplib::Request& request) const {
    if (options.api_keys.empty()) {
      const std::string origin = request.get_header_value("Origin");
      absl::string_view site = origin;
      const bool is_http = absl::ConsumePrefix(&site, "http://");
      if (!NamesLoopback(request.get_header_value("Host")) ||
          (!origin.empty() && !(is_http && NamesLoopback(std::string(site))))) {
        return absl::PermissionDeniedError(
            "this server answers to names of loopback alone, and to no other site's page");
      }
      return absl::OkStatus();
    }
    if (request.path == "/health") return absl::OkStatus();
    const std::string header = request.get_header_value("Authorization");
    absl::string_view key = header;
    bool known = false;
    if (absl::ConsumePrefix(&key, "Bearer ")) {
      for (const std::string& each : options.api_keys) known |= EqualKeys(each, key);
    }
    return known ? absl::OkStatus()
                 : absl::UnauthenticatedError(
                       "no API key of this server: send it as "
                       "'Authorization: Bearer KEY'");
  }

  nlohmann::ordered_json ModelCard() const {
    return {{"id", model.name},
            {"object", "model"},
            {"created", model.created},
            {"owned_by", "reckon"},
            {"max_model_len", model.max_positions}};
  }

  std::string NextId() { return absl::StrFormat("%016x%06x", start, ++requests); }

  void Handle(Endpoint endpoint, const httplib::Request& request, httplib::Response& reply);
  void Stream(std::shared_ptr<Generation> generation, std::shared_ptr<ApiReply> writer,
              std::vector<ChoiceNews> first, httplib::Response& reply);

  const ApiServerOptions& options;
  const ServedModel& model;
  Batcher& batcher;
  const uint64_t start = std::random_device()();
  std::atomic<uint64_t> requests = 0;
  int port = 0;
  HttpConnections server;
  std::thread thread;
};

void ApiServer::Http::Handle(Endpoint endpoint, const httplib::Request& request,
                             httplib::Response& reply) {
  server.BeginReply();
  absl::StatusOr<ApiRequest> read =
      ReadApiRequest(endpoint, request.body, model, batcher.longest_choice());
  if (!read.ok()) return ReplyError(reply, read.status());
  const absl::Time now = absl::Now();
  auto writer = std::make_shared<ApiReply>(model, *read, NextId(), absl::ToUnixSeconds(now));
  const bool stream = read->stream;
  read->generation.deadline = now + options.request_time;
  absl::StatusOr<std::shared_ptr<Generation>> generation =
      batcher.Submit(std::move(read->generation));
  if (!generation.ok()) return ReplyError(reply, generation.status());
  while (!(*generation)->ended()) {
    absl::StatusOr<std::vector<ChoiceNews>> news = (*generation)->Next(kLook);
    if (!news.ok()) return ReplyError(reply, news.status());
    if (HttpConnections::ClientHasGone()) {
      (*generation)->Cancel();
      return;
    }
    if (news->empty()) continue;
    // Only now: what fails before its first token has an HTTP status of its own.
    if (stream) return Stream(*std::move(generation), std::move(writer), *std::move(news), reply);
    writer->Add(*news);
  }
  Reply(reply, 200, writer->Whole());
}

void ApiServer::Http::Stream(std::shared_ptr<Generation> generation,
                             std::shared_ptr<ApiReply> writer, std::vector<ChoiceNews> first,
                             httplib::Response& reply) {
  reply.set_header("Cache-Control", "no-cache");
  auto news = std::make_shared<absl::StatusOr<std::vector<ChoiceNews>>>(std::move(first));
  reply.set_chunked_content_provider(
      "text/event-stream",
      [generation, writer, news](size_t, httplib::DataSink& sink) {
        const auto write = [&sink](const std::string& text) {
          return text.empty() || sink.write(text.data(), text.size());
        };
        if (!news->ok()) {
          write(ApiReply::ErrorEvent(news->status()));
          sink.done();
          return true;
        }
        if (!write(writer->Events(**news)) || HttpConnections::ClientHasGone()) return false;
        if (generation->ended()) {
          write(writer->LastEvents());
          sink.done();
          return true;
        }
        *news = generation->Next(kLook);
        return true;
      },
      // Does nothing to what has ended.
      [generation](bool) { generation->Cancel(); });
}

ApiServer::ApiServer(ApiServerOptions options, const ServedModel* model, Batcher* batcher)
    : options_(std::move(options)), http_(std::make_unique<Http>(options_, model, batcher)) {}

absl::StatusOr<std::unique_ptr<ApiServer>> ApiServer::Start(ApiServerOptions options,
                                                            const ServedModel* model,
                                                            Batcher* batcher) {
  if (options.api_keys.empty() && !options.listen.is_loopback()) {
    return absl::FailedPreconditionError(
        absl::StrCat("listening on ", options.listen.ToString(),
                     " needs --api_key_file: without keys it serves loopback alone"));
  }
  auto made = absl::WrapUnique(new ApiServer(std::move(options), model, batcher));
  Http& http = *made->http_;
  HttpConnections& server = http.server;
  server.set_keep_alive_max_count(1000);
  server.set_payload_max_length(kMaxBodyBytes);
  server.set_tcp_nodelay(true);
  // Not the library's SO_REUSEPORT, with which another process could listen on the same port.
  server.set_socket_options([](socket_t socket) {
    const int yes = 1;
    ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
  });
  const HostPort& listen = made->options_.listen;
  http.port = server.Bind(listen.host, listen.port);
  if (http.port == 0) {
    return absl::UnavailableError(
        absl::StrCat("cannot listen on ", listen.ToString(), "; give another --listen"));
  }
  server.set_pre_routing_handler(
      [&http](const httplib::Request& request, httplib::Response& reply) {
        if (const absl::Status allowed = http.CheckCaller(request); !allowed.ok()) {
          ReplyError(reply, allowed);
        } else if (const int status = CheckBody(request); status != 200) {
          reply.status = status;
        } else {
          return httplib::Server::HandlerResponse::Unhandled;
        }
        return httplib::Server::HandlerResponse::Handled;
      });
  server.set_error_handler([](const httplib::Request& request, httplib::Response& reply) {
    if (reply.body.empty()) {
      Reply(reply, reply.status, ErrorBody(Refusal(request, reply.status)));
    }
  });
  server.Get("/health", [&http](const httplib::Request&, httplib::Response& reply) {
    const absl::Status health = http.batcher.Health();
    if (!health.ok()) return ReplyError(reply, absl::UnavailableError(health.message()));
    Reply(reply, 200, "{\"status\":\"ok\"}");
  });
  server.Get("/v1/models", [&http](const httplib::Request&, httplib::Response& reply) {
    const nlohmann::ordered_json list = {
        {"object", "list"}, {"data", nlohmann::ordered_json::array({http.ModelCard()})}};
    Reply(reply, 200, list.dump());
  });
  server.Get("/v1/models/" + Literal(http.model.name),
             [&http](const httplib::Request&, httplib::Response& reply) {
               Reply(reply, 200, http.ModelCard().dump());
             });
  server.Post("/v1/completions",
              [&http](const httplib::Request& request, httplib::Response& reply) {
                http.Handle(Endpoint::kCompletions, request, reply);
              });
  server.Post("/v1/chat/completions",
              [&http](const httplib::Request& request, httplib::Response& reply) {
                http.Handle(Endpoint::kChat, request, reply);
              });
  http.thread = std::thread([&server] { server.listen_after_bind(); });
  // A stop before that would be lost.
  while (!server.is_running()) absl::SleepFor(absl::Milliseconds(1));
  return made;
}

ApiServer::~ApiServer() {
  http_->server.End(kLastWrite);
  if (http_->thread.joinable()) http_->thread.join();
}

HostPort ApiServer::address() const {
  return {.host = options_.listen.host, .port = static_cast<uint16_t>(http_->port)};
}

}  // namespace reckon
