#ifndef RECKON_TESTS_SUPPORT_RAW_CONNECTION_H_
#define RECKON_TESTS_SUPPORT_RAW_CONNECTION_H_

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/testing/await.h"
#include "gtest/gtest.h"

namespace reckon {

// A TCP connection to a port of loopback, over which a test sends what no client would.
class RawConnection {
 public:
  // `patience`: of a send or a read, for what must come within a time.
  explicit RawConnection(int port, absl::Duration patience = kPatience)
      : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
    const timeval time = absl::ToTimeval(patience);
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof(time));
    ::setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof(time));
    sockaddr_in address = {.sin_family = AF_INET,
                           .sin_port = htons(static_cast<uint16_t>(port)),
                           .sin_addr = {htonl(INADDR_LOOPBACK)},
                           .sin_zero = {}};
    EXPECT_EQ(::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  }
  ~RawConnection() { ::close(fd_); }
  RawConnection(const RawConnection&) = delete;
  RawConnection& operator=(const RawConnection&) = delete;

  // Whether all of them were taken.
  bool Send(absl::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(sent));
    }
    return true;
  }
  // What comes up to and with `end`, or until the server closes.
  std::string ReadUntil(absl::string_view end) {
    std::string text;
    char byte = 0;
    while (!absl::EndsWith(text, end) && ::recv(fd_, &byte, 1, 0) == 1) text += byte;
    return text;
  }
  std::string ReadToEnd() { return Read(std::string::npos); }
  // The next `size` bytes, or those until the server closes.
  std::string Read(size_t size) {
    std::string text;
    char bytes[4096];
    while (text.size() < size) {
      const ssize_t got = ::recv(fd_, bytes, std::min(sizeof(bytes), size - text.size()), 0);
      if (got <= 0) break;
      text.append(bytes, static_cast<size_t>(got));
    }
    return text;
  }

 private:
  const int fd_;
};

}  // namespace reckon

#endif  // RECKON_TESTS_SUPPORT_RAW_CONNECTION_H_
