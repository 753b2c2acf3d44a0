#include "common/telemetry/metrics_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/host_port.h"
#include "common/telemetry/registry.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class MetricsServerTest : public testing::Test {
 protected:
  explicit MetricsServerTest(absl::Duration patience = MetricsServer::kPatience) {
    registry_.AddCounter("reckon_rollouts_total", "Rollouts").Increment(4);
    auto server = MetricsServer::Start("127.0.0.1:0", &registry_, patience);
    EXPECT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }

  int Connect() {
    const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in to = {};
    to.sin_family = AF_INET;
    to.sin_port = htons(ParseHostPort(server_->address())->port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const timeval limit = {.tv_sec = 20};
    ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    EXPECT_EQ(::connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof(to)), 0);
    return fd;
  }
  // What the server sends until it closes the connection.
  std::string Exchange(const std::string& request) {
    const int fd = Connect();
    (void)!::send(fd, request.data(), request.size(), MSG_NOSIGNAL);
    std::string answer;
    char buffer[4096];
    for (ssize_t n; (n = ::recv(fd, buffer, sizeof(buffer), 0)) > 0;) answer.append(buffer, n);
    ::close(fd);
    return answer;
  }

  Registry registry_;
  std::unique_ptr<MetricsServer> server_;
};

TEST_F(MetricsServerTest, ServesThePage) {
  const std::string answer = Exchange("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(answer, HasSubstr("text/plain; version=0.0.4"));
  EXPECT_THAT(answer, HasSubstr("\nreckon_rollouts_total 4\n"));
}

TEST_F(MetricsServerTest, ServesNothingElse) {
  for (const char* path : {"/", "/metrics/", "/metrics/x", "/metricsx", "/../etc/passwd",
                           "//etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/health"}) {
    const std::string answer = Exchange(absl::StrCat("GET ", path, " HTTP/1.1\r\nHost: a\r\n\r\n"));
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 4")) << path;
    EXPECT_THAT(answer, Not(HasSubstr("root:"))) << path;
    EXPECT_THAT(answer, Not(HasSubstr("reckon_"))) << path;
  }
  for (const char* method : {"POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PROPFIND", "TRACE"}) {
    const std::string answer = Exchange(
        absl::StrCat(method, " /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"));
    EXPECT_THAT(answer, Not(HasSubstr(" 200 "))) << method;
    EXPECT_THAT(answer, Not(HasSubstr("reckon_"))) << method;
  }
}

TEST_F(MetricsServerTest, BrokenAndLargeRequestsGetNoMetricsAndTheNextOneDoes) {
  for (const std::string& request :
       {std::string("\r\n\r\n"), std::string("GET\r\n\r\n"), std::string("GET /metrics\r\n\r\n"),
        std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 15),
        absl::StrCat("GET /metrics HTTP/1.1\r\nA: ", std::string(20000, 'x'), "\r\n\r\n"),
        absl::StrCat("GET /", std::string(20000, 'y'), " HTTP/1.1\r\n\r\n"),
        std::string("GET /metrics HTTP/9.9\r\n\r\n"), std::string("GET /metrics HTTP/1.1 \r\n\r\n"),
        std::string(5000, '\0') + "\r\n\r\n"}) {
    EXPECT_THAT(Exchange(request), Not(HasSubstr("reckon_"))) << request.substr(0, 40);
  }
  EXPECT_THAT(Exchange("GET /metrics HTTP/1.1\r\n\r\n"), HasSubstr("reckon_rollouts_total 4\n"));
}

class ImpatientServerTest : public MetricsServerTest {
 protected:
  ImpatientServerTest() : MetricsServerTest(absl::Seconds(1)) {}
};

// More clients than the server has places, none of which says a word.
TEST_F(ImpatientServerTest, SilentClientsDelayButDoNotBlock) {
  std::vector<int> silent;
  for (int i = 0; i < MetricsServer::kMaxConnections + 4; ++i) silent.push_back(Connect());
  EXPECT_THAT(Exchange("GET /metrics HTTP/1.1\r\n\r\n"), HasSubstr("reckon_rollouts_total 4\n"));
  for (int fd : silent) ::close(fd);
}

TEST_F(MetricsServerTest, WrongAddressesAreOneLine) {
  EXPECT_THAT(std::string(MetricsServer::Start(server_->address(), &registry_).status().message()),
              StartsWith(absl::StrCat("cannot listen on ", server_->address(), ": Address")));
  for (const char* listen : {"7090", "127.0.0.1:70000"}) {
    const absl::Status status = MetricsServer::Start(listen, &registry_).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << listen << ": " << status;
  }
}

TEST_F(MetricsServerTest, ListensOnAllAddressesOfBothKinds) {
  auto server = MetricsServer::Start("[::]:0", &registry_);
  ASSERT_TRUE(server.ok()) << server.status();
  server_ = *std::move(server);  // Connect does so by IPv4
  EXPECT_THAT(Exchange("GET /metrics HTTP/1.1\r\n\r\n"), HasSubstr("reckon_rollouts_total 4\n"));
}

TEST_F(MetricsServerTest, ListensOnIpv6) {
  auto server = MetricsServer::Start("[::1]:0", &registry_);
  ASSERT_TRUE(server.ok()) << server.status();
  EXPECT_THAT((*server)->address(), StartsWith("[::1]:"));
}

}  // namespace
}  // namespace reckon
