#include "common/reward/line_process.h"

#include <fcntl.h>
#include <unistd.h>

#include <thread>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/files.h"
#include "common/testing/await.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

using ::testing::HasSubstr;

const absl::Duration kLong = absl::Minutes(5);

// A process that runs a script of the shell, which is on every machine.
std::unique_ptr<LineProcess> Shell(const std::string& script, uint64_t memory_bytes = 0) {
  auto process = LineProcess::Start({"sh", "-c", script}, memory_bytes);
  EXPECT_TRUE(process.ok()) << process.status();
  return *std::move(process);
}

// Runs, and is not merely unreaped.
bool Lives(pid_t pid) {
  const auto stat = ReadFile(absl::StrCat("/proc/", pid, "/stat"));
  return stat.ok() && stat->find(") Z ") == std::string::npos;
}

TEST(LineProcessTest, AnswersLineAfterLine) {
  auto process = Shell("while read -r line; do echo \"<$line>\"; done");
  const std::string large(300000, 'x');  // more than a pipe holds
  for (const std::string& text : {std::string("a"), std::string(), large}) {
    const auto reply = process->Exchange(text, absl::Now() + kLong);
    ASSERT_TRUE(reply.ok()) << reply.status();
    EXPECT_EQ(*reply, "<" + text + ">");
  }
}

// As open("/dev/stdin") in Python and others do, which fails on a socket.
TEST(LineProcessTest, ItsStandardInputCanBeOpenedByName) {
  auto process = Shell("while read -r line; do echo \"<$line>\"; done < /dev/stdin");
  for (const char* text : {"a", "b"}) {
    const auto reply = process->Exchange(text, absl::Now() + kLong);
    ASSERT_TRUE(reply.ok()) << reply.status();
    EXPECT_EQ(*reply, absl::StrCat("<", text, ">"));
  }
}

// More than a pipe holds is left when it ends.
TEST(LineProcessTest, AProgramThatEndsWithoutReadingIsNoSignalHere) {
  auto process = Shell("read -r line; echo once; exit 4");
  ASSERT_TRUE(process->Exchange("a", absl::Now() + kLong).ok());
  const auto reply = process->Exchange(std::string(1 << 20, 'x'), absl::Now() + kLong);
  EXPECT_THAT(reply.status().message(), HasSubstr("exited with code 4"));
}

TEST(LineProcessTest, SaysHowItEndedAndItsLastWords) {
  const std::pair<const char*, const char*> cases[] = {
      {"echo one >&2; echo 'ValueError: two' >&2; exit 3", "exited with code 3: ValueError: two"},
      {"kill -9 $$", "killed by signal 9"},
      {"exec >&-; exec sleep 1000", "has closed its standard output"},
  };
  for (const auto& [script, why] : cases) {
    auto process = Shell(script);
    const auto reply = process->Exchange("", absl::Now() + kLong);
    EXPECT_EQ(reply.status().code(), absl::StatusCode::kUnavailable) << script;
    EXPECT_THAT(std::string(reply.status().message()), HasSubstr(why));
  }
}

TEST(LineProcessTest, WhetherItRunsIsKnownWithoutAskingIt) {
  EXPECT_TRUE(Shell("read -r line")->RunsUntil(absl::Now() + absl::Milliseconds(50)).ok());
  const absl::Status ended =
      Shell("echo 'no such file' >&2; exit 2")->RunsUntil(absl::Now() + kLong);
  EXPECT_EQ(ended.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(ended.message()), HasSubstr("exited with code 2: no such file"));
}

TEST(LineProcessTest, ADeadlineAndALineWithoutEndAreErrors) {
  auto silent = Shell("sleep 1000");
  EXPECT_EQ(silent->Exchange("", absl::Now() + absl::Milliseconds(50)).status().code(),
            absl::StatusCode::kDeadlineExceeded);
  auto endless = Shell("yes | tr -d '\\n'");
  EXPECT_EQ(endless->Exchange("", absl::Now() + kLong).status().code(),
            absl::StatusCode::kResourceExhausted);
  // Standard error is read while nobody looks, and only its end is kept.
  auto loud = Shell("head -c 1000000 /dev/zero >&2; read -r line; echo done");
  EXPECT_EQ(*loud->Exchange("", absl::Now() + kLong), "done");
}

TEST(LineProcessTest, ItsWholeGroupEndsWithIt) {
  auto process = Shell("sleep 1000 & echo $!; wait");
  pid_t child = 0;
  ASSERT_TRUE(absl::SimpleAtoi(*process->Exchange("", absl::Now() + kLong), &child));
  ASSERT_TRUE(Lives(child));
  process = nullptr;
  EXPECT_TRUE(Await([&] { return !Lives(child); }));
}

TEST(LineProcessTest, KillEndsAnExchange) {
  auto process = Shell("sleep 1000");
  std::thread killer([&] { process->Kill(); });
  EXPECT_EQ(process->Exchange("", absl::InfiniteFuture()).status().code(),
            absl::StatusCode::kUnavailable);
  killer.join();
}

TEST(LineProcessTest, HasNoFilesOfItsParentAndLittleMemory) {
  const int file = ::fcntl(1, F_DUPFD, 77);  // not closed by exec
  ASSERT_GE(file, 77);
  auto process = Shell(absl::StrCat("read -r line; ls /proc/self/fd | tr '\\n' ' '; echo"));
  EXPECT_THAT(*process->Exchange("", absl::Now() + kLong),
              testing::Not(HasSubstr(absl::StrCat(file))));
  ::close(file);
  auto greedy = LineProcess::Start(
      {"python3", "-c", "input()\nx = bytearray(1 << 30)\nprint(len(x))"}, 256 << 20);
  ASSERT_TRUE(greedy.ok()) << greedy.status();
  EXPECT_THAT(std::string((*greedy)->Exchange("", absl::Now() + kLong).status().message()),
              HasSubstr("MemoryError"));
}

TEST(LineProcessTest, AProgramThatIsNotThereIsAnErrorOfStart) {
  EXPECT_EQ(LineProcess::Start({"reckon-no-such-program"}, 0).status().code(),
            absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace reckon
