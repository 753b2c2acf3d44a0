#include "cli/report/watch_server.h"

#include <httplib.h>

#include <nlohmann/json.hpp>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

using testing::HasSubstr;

std::unique_ptr<WatchServer> StartWatch() {
  auto server = WatchServer::Start(0, "the page");
  EXPECT_TRUE(server.ok()) << server.status();
  return *std::move(server);
}

std::string Get(httplib::Client& client, const char* path) {
  const httplib::Result reply = client.Get(path);
  return reply && reply->status == 200 ? reply->body : "";
}

TEST(WatchServerTest, ServesThePageAndItsParts) {
  const auto server = StartWatch();
  httplib::Client client("127.0.0.1", server->port());
  EXPECT_EQ(Get(client, "/"), "the page");
  EXPECT_EQ(Get(client, "/rollouts"), "[]");
  server->SetSummary("<p>summary</p>");
  server->SetRollouts("[1]");
  EXPECT_EQ(Get(client, "/summary"), "<p>summary</p>");
  EXPECT_EQ(Get(client, "/rollouts"), "[1]");
  EXPECT_EQ(client.Get("/../etc/passwd")->status, 404);
  EXPECT_EQ(client.Post("/", "x", "text/plain")->status, 404) << "read-only";
}

TEST(WatchServerTest, EventsTellWhichPartHasChanged) {
  const auto server = StartWatch();
  server->SetLine("ppo_1 1/44");
  httplib::Client client("127.0.0.1", server->port());
  std::vector<nlohmann::json> events;
  std::string text;
  // The events come one after another, each after the change that the one before it caused.
  client.Get("/events", [&](const char* bytes, size_t size) {
    text.append(bytes, size);
    for (size_t end; (end = text.find("\n\n")) != std::string::npos; text.erase(0, end + 2)) {
      if (text.rfind("data: ", 0) != 0) continue;
      events.push_back(nlohmann::json::parse(text.substr(6, end - 6)));
      if (events.size() == 1) server->SetSummary("new");
      if (events.size() == 2) server->SetLine("finished");
      if (events.size() == 3) return false;
    }
    return true;
  });
  ASSERT_EQ(events.size(), 3u);
  EXPECT_EQ(events[0]["line"], "ppo_1 1/44");
  EXPECT_EQ(events[1]["summary"], events[0]["summary"].get<int>() + 1);
  EXPECT_EQ(events[1]["rollouts"], events[0]["rollouts"]);
  EXPECT_EQ(events[2]["line"], "finished");
  EXPECT_EQ(events[2]["summary"], events[1]["summary"]);
}

TEST(WatchServerTest, AnotherSitesNameIsRefused) {
  const auto server = StartWatch();
  httplib::Client client("127.0.0.1", server->port());
  const httplib::Headers headers = {{"Host", absl::StrCat("evil.example:", server->port())}};
  EXPECT_EQ(client.Get("/", headers)->status, 403);
}

TEST(WatchServerTest, APortThatIsTakenIsNamed) {
  const auto server = StartWatch();
  const auto second = WatchServer::Start(server->port(), "");
  ASSERT_FALSE(second.ok());
  EXPECT_THAT(std::string(second.status().message()),
              HasSubstr(absl::StrCat("127.0.0.1:", server->port())));
}

TEST(WatchServerTest, EndsWhileABrowserFollows) {
  auto server = StartWatch();
  absl::Notification follows;
  std::thread browser([&, port = server->port()] {
    httplib::Client client("127.0.0.1", port);
    client.Get("/events", [&](const char*, size_t) {
      if (!follows.HasBeenNotified()) follows.Notify();
      return true;
    });
  });
  follows.WaitForNotification();
  server.reset();
  browser.join();
}

}  // namespace
}  // namespace reckon
