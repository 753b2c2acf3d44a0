#include "actor/serve/http_connections.h"

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/raw_connection.h"

namespace reckon {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr size_t kThreads = 4;

class HttpConnectionsTest : public testing::Test {
 protected:
  explicit HttpConnectionsTest(absl::Duration read_time = kPatience)
      : server_(kThreads, read_time) {}
  void SetUp() override {
    server_.set_keep_alive_max_count(1000);
    server_.set_keep_alive_timeout(absl::ToInt64Seconds(kPatience));
    server_.set_pre_routing_handler([](const httplib::Request& request, httplib::Response& reply) {
      if (!request.has_header("Refuse")) return httplib::Server::HandlerResponse::Unhandled;
      reply.status = 403;
      return httplib::Server::HandlerResponse::Handled;
    });
    server_.Get("/", [](const httplib::Request&, httplib::Response& reply) {
      reply.set_content("got.", "text/plain");
    });
    server_.Get("/large", [](const httplib::Request&, httplib::Response& reply) {
      reply.set_content(std::string(64 << 20, 'a'), "text/plain");
    });
    server_.Get("/later", [this](const httplib::Request&, httplib::Response& reply) {
      server_.BeginReply();
      asked_.Notify();
      answer_.WaitForNotification();
      reply.set_content(std::string(8 << 20, 'a') + "later.", "text/plain");
    });
    server_.Post("/", [this](const httplib::Request& request, httplib::Response& reply) {
      ++posts_;
      reply.set_content(absl::StrCat(request.body.size(), " bytes."), "text/plain");
    });
    port_ = server_.Bind("127.0.0.1", 0);
    ASSERT_GT(port_, 0);
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    ASSERT_TRUE(Await([this] { return server_.is_running(); }));
  }
  void TearDown() override { End(absl::ZeroDuration()); }
  void End(absl::Duration last_write) {
    if (!thread_.joinable()) return;
    server_.End(last_write);
    thread_.join();
  }

  HttpConnections server_;
  std::atomic<int> posts_ = 0;
  absl::Notification asked_, answer_;  // GET /later
  int port_ = 0;
  std::thread thread_;
};

std::string Post(absl::string_view path, absl::string_view headers, absl::string_view body) {
  return absl::StrCat("POST ", path, " HTTP/1.1\r\nHost: localhost\r\n", headers,
                      "Content-Length: ", body.size(), "\r\n\r\n", body);
}

const char kGet[] = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

int CountReplies(absl::string_view text) {
  int count = 0;
  for (size_t at = 0; (at = text.find("HTTP/1.1 ", at)) != text.npos; ++at) ++count;
  return count;
}

TEST_F(HttpConnectionsTest, OneRequestFollowsAnother) {
  RawConnection connection(port_);
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(connection.Send(kGet));
    EXPECT_THAT(connection.ReadUntil("got."), StartsWith("HTTP/1.1 200"));
    ASSERT_TRUE(connection.Send(Post("/", "", "0123")));
    EXPECT_THAT(connection.ReadUntil("4 bytes."), StartsWith("HTTP/1.1 200"));
  }
}

// The body of each looks like a request.
TEST_F(HttpConnectionsTest, WhatWasNotReadIsNoRequest) {
  const std::string inner = Post("/", "", "0123");
  const std::string length = absl::StrCat("Content-Length: ", inner.size(), "\r\n\r\n");
  for (const std::string& request :
       {Post("/", "Refuse: yes\r\n", inner), absl::StrCat("GET / HTTP/1.1\r\n", length, inner),
        absl::StrCat("HEAD / HTTP/1.1\r\n", length, inner),
        absl::StrCat("OPTIONS / HTTP/1.1\r\n", length, inner),
        absl::StrCat("GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", inner),
        absl::StrCat("GET / HTTP/3\r\n\r\n", inner),
        absl::StrCat("GET /", std::string(10000, 'a'), " HTTP/1.1\r\n", length, inner)}) {
    RawConnection connection(port_);
    ASSERT_TRUE(connection.Send(request));
    const std::string replies = connection.ReadToEnd();
    EXPECT_EQ(CountReplies(replies), 1) << request.substr(0, 100) << " got " << replies;
    EXPECT_THAT(replies, HasSubstr("Connection: close\r\n"));
    EXPECT_THAT(replies, Not(HasSubstr("Keep-Alive"))) << request.substr(0, 100);
  }
  EXPECT_EQ(posts_, 0);
}

// All threads and places have a connection that has begun a request.
TEST_F(HttpConnectionsTest, ABurstOfConnectionsWaitsInTheKernel) {
  std::vector<std::unique_ptr<RawConnection>> connections;
  for (size_t i = 0; i < 2 * kThreads + 100; ++i) {
    // One that finds the queue full is tried again by the kernel, a second later.
    const absl::Time before = absl::Now();
    connections.push_back(std::make_unique<RawConnection>(port_));
    ASSERT_LT(absl::Now() - before, absl::Milliseconds(900)) << "connection " << i;
    ASSERT_TRUE(connections.back()->Send("G"));
  }
}

TEST_F(HttpConnectionsTest, AConnectionWithoutARequestMakesWay) {
  // Less than the time after which it ends by itself.
  const absl::Duration kSoon = kPatience / 3;
  std::vector<std::unique_ptr<RawConnection>> connections;
  for (size_t i = 0; i < 5 * kThreads; ++i) {
    connections.push_back(std::make_unique<RawConnection>(port_, kSoon));
    ASSERT_TRUE(connections.back()->Send(kGet));
    ASSERT_THAT(connections.back()->ReadUntil("got."), StartsWith("HTTP/1.1 200")) << i;
  }
  for (size_t i = 0; i < kThreads; ++i) {  // that send nothing
    connections.push_back(std::make_unique<RawConnection>(port_));
  }
  connections.push_back(std::make_unique<RawConnection>(port_, kSoon));
  ASSERT_TRUE(connections.back()->Send(kGet));
  EXPECT_THAT(connections.back()->ReadUntil("got."), StartsWith("HTTP/1.1 200"));
}

TEST_F(HttpConnectionsTest, AClientThatIsStillSendingGetsItsRefusal) {
  RawConnection connection(port_);
  ASSERT_TRUE(connection.Send(Post("/", "Refuse: yes\r\n", std::string(8 << 20, 'a'))));
  EXPECT_THAT(connection.ReadToEnd(), StartsWith("HTTP/1.1 403"));
}

// Calls `step` again and again, for longer than `end` may take. Returns whether `end` was over
// before that.
template <typename Step, typename End>
bool EndsBeside(Step step, End end) {
  std::atomic<bool> ended = false;
  bool before = false;
  std::thread slow([&] {
    for (int i = 0; i < 1500 && !ended; ++i) {
      step();
      absl::SleepFor(absl::Milliseconds(10));
    }
    before = ended;
  });
  absl::SleepFor(absl::Milliseconds(300));
  end();
  ended = true;
  slow.join();
  return before;
}

TEST_F(HttpConnectionsTest, AClientThatSendsSlowlyDoesNotHoldUpTheEnd) {
  RawConnection connection(port_);
  ASSERT_TRUE(connection.Send("POST / HTTP/1.1\r\nContent-Length: 100000\r\n\r\n"));
  const auto step = [&] { connection.Send("a"); };
  EXPECT_TRUE(EndsBeside(step, [&] { End(absl::ZeroDuration()); }));
}

TEST_F(HttpConnectionsTest, AClientThatReadsSlowlyDoesNotHoldUpTheEnd) {
  RawConnection connection(port_);
  ASSERT_TRUE(connection.Send("GET /large HTTP/1.1\r\n\r\n"));
  const auto step = [&] { connection.Read(32 << 10); };
  EXPECT_TRUE(EndsBeside(step, [&] { End(absl::Milliseconds(100)); }));
}

TEST_F(HttpConnectionsTest, AReplyThatWasBegunIsWritten) {
  RawConnection connection(port_);
  ASSERT_TRUE(connection.Send("GET /later HTTP/1.1\r\n\r\n"));
  asked_.WaitForNotification();
  std::thread end([this] { End(kPatience); });
  absl::SleepFor(absl::Milliseconds(100));
  answer_.Notify();
  EXPECT_THAT(connection.ReadToEnd(), EndsWith("later."));
  end.join();
}

class HttpReadTimeTest : public HttpConnectionsTest {
 protected:
  HttpReadTimeTest() : HttpConnectionsTest(absl::Seconds(1)) {}
};

TEST_F(HttpReadTimeTest, ARequestIsReadWithinItsTime) {
  RawConnection connection(port_);
  ASSERT_TRUE(connection.Send("POST / HTTP/1.1\r\nContent-Length: 100000\r\n\r\n"));
  std::string reply;
  const auto step = [&] { connection.Send("a"); };
  EXPECT_TRUE(EndsBeside(step, [&] { reply = connection.ReadToEnd(); }));
  EXPECT_THAT(reply, StartsWith("HTTP/1.1 400"));
}

}  // namespace
}  // namespace reckon
