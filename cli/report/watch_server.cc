#include "cli/report/watch_server.h"

#include <httplib.h>

#include <nlohmann/json.hpp>
#include <thread>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace reckon {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(10);

}  // namespace

struct WatchServer::Http {
  httplib::Server server;
  std::thread thread;
};

WatchServer::WatchServer(std::string page)
    : page_(std::move(page)), http_(std::make_unique<Http>()) {}

absl::StatusOr<std::unique_ptr<WatchServer>> WatchServer::Start(int port, std::string page) {
  auto watch = absl::WrapUnique(new WatchServer(std::move(page)));
  WatchServer* const self = watch.get();
  httplib::Server& server = watch->http_->server;
  server.new_task_queue = [] { return new httplib::ThreadPool(kFollowers + 4); };
  server.set_payload_max_length(1024);
  // Not the library's SO_REUSEPORT, with which another process could listen on the same port.
  server.set_socket_options([](socket_t socket) {
    const int yes = 1;
    ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
  });
  if (port == 0) {
    watch->port_ = server.bind_to_any_port("127.0.0.1");
  } else if (server.bind_to_port("127.0.0.1", port)) {
    watch->port_ = port;
  }
  if (watch->port_ <= 0) {
    return absl::UnavailableError(
        absl::StrCat("cannot listen on 127.0.0.1:", port, "; give another --port"));
  }
  server.set_pre_routing_handler([self](const httplib::Request& request, httplib::Response& reply) {
    const std::string host = request.get_header_value("Host");
    for (const char* name : {"127.0.0.1", "localhost"}) {
      if (host == absl::StrCat(name, ":", self->port_)) {
        return httplib::Server::HandlerResponse::Unhandled;
      }
    }
    reply.status = 403;
    return httplib::Server::HandlerResponse::Handled;
  });
  server.Get("/", [self](const httplib::Request&, httplib::Response& reply) {
    reply.set_content(self->page_, "text/html; charset=utf-8");
  });
  server.Get("/summary", [self](const httplib::Request&, httplib::Response& reply) {
    absl::MutexLock lock(&self->mu_);
    reply.set_content(self->summary_, "text/html; charset=utf-8");
  });
  server.Get("/rollouts", [self](const httplib::Request&, httplib::Response& reply) {
    absl::MutexLock lock(&self->mu_);
    reply.set_content(self->rollouts_, "application/json");
  });
  server.Get("/events", [self](const httplib::Request&, httplib::Response& reply) {
    {
      absl::MutexLock lock(&self->mu_);
      if (self->followers_ == kFollowers) {
        reply.status = 503;
        return;
      }
      ++self->followers_;
    }
    auto seen = std::make_shared<uint64_t>(0);
    reply.set_chunked_content_provider(
        "text/event-stream",
        [self, seen](size_t, httplib::DataSink& sink) {
          const std::string event = self->NextEvent(seen.get());
          {
            absl::MutexLock lock(&self->mu_);
            if (self->ending_) return false;
          }
          // A comment tells whether the browser is still there.
          const std::string text = event.empty() ? ":\n\n" : absl::StrCat("data: ", event, "\n\n");
          return sink.write(text.data(), text.size());
        },
        [self](bool) {
          absl::MutexLock lock(&self->mu_);
          --self->followers_;
        });
  });
  watch->http_->thread = std::thread([&server] { server.listen_after_bind(); });
  // A stop before that would be lost.
  while (!server.is_running()) absl::SleepFor(absl::Milliseconds(1));
  return watch;
}

WatchServer::~WatchServer() {
  {
    absl::MutexLock lock(&mu_);
    ending_ = true;
  }
  http_->server.stop();
  if (http_->thread.joinable()) http_->thread.join();
}

std::string WatchServer::NextEvent(uint64_t* seen) {
  absl::MutexLock lock(&mu_);
  const auto news = [this, seen]()
                        ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return changes_ != *seen || ending_; };
  if (!mu_.AwaitWithTimeout(absl::Condition(&news), kPatience)) return "";
  *seen = changes_;
  const nlohmann::ordered_json event = {
      {"line", line_}, {"summary", summary_number_}, {"rollouts", rollouts_number_}};
  return event.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

void WatchServer::Change() { ++changes_; }

void WatchServer::SetSummary(std::string html) {
  absl::MutexLock lock(&mu_);
  if (html == summary_) return;
  summary_ = std::move(html);
  ++summary_number_;
  Change();
}

void WatchServer::SetRollouts(std::string json) {
  absl::MutexLock lock(&mu_);
  if (json == rollouts_) return;
  rollouts_ = std::move(json);
  ++rollouts_number_;
  Change();
}

void WatchServer::SetLine(std::string line) {
  absl::MutexLock lock(&mu_);
  if (line == line_) return;
  line_ = std::move(line);
  Change();
}

}  // namespace reckon
