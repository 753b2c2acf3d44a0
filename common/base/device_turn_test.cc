#include "common/base/device_turn.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "common/testing/await.h"
#include "common/testing/temp_folder.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

using ::testing::HasSubstr;

class DeviceTurnTest : public testing::Test {
 protected:
  std::unique_ptr<DeviceTurn> Open() {
    auto turn = DeviceTurn::Open(path_);
    EXPECT_TRUE(turn.ok()) << turn.status();
    return *std::move(turn);
  }

  // A process that has the turn, or is in line, and stays so until it is killed. With a text, it
  // has left that and is without the turn.
  pid_t StartHolder(const std::string& text = "") {
    int ready[2];
    EXPECT_EQ(::pipe(ready), 0);
    const pid_t child = ::fork();
    if (child == 0) {
      // No gtest, no allocation that a thread of the parent could have locked.
      auto turn = DeviceTurn::Open(path_);
      if (turn.ok()) (*turn)->TryTake();
      if (turn.ok() && !text.empty() && (*turn)->held()) {
        (*turn)->Leave(text).IgnoreError();
        (*turn)->Release();
      }
      const char byte = 1;
      if (::write(ready[1], &byte, 1) != 1) ::_exit(1);
      while (true) ::pause();
    }
    char byte = 0;
    EXPECT_EQ(::read(ready[0], &byte, 1), 1);
    ::close(ready[0]);
    ::close(ready[1]);
    return child;
  }
  static void Kill(pid_t process) {
    ::kill(process, SIGKILL);
    ::waitpid(process, nullptr, 0);
  }

  const TempFolder folder_;
  const std::string path_ = folder_.path() + "/turn";
  std::stop_source stop_;
};

TEST_F(DeviceTurnTest, OnlyOneHasItAndWhoWaitsIsNext) {
  const auto a = Open(), b = Open(), c = Open();
  EXPECT_FALSE(a->wanted());
  ASSERT_TRUE(a->TryTake());
  EXPECT_TRUE(a->held());
  EXPECT_FALSE(a->wanted());
  EXPECT_FALSE(b->TryTake());
  EXPECT_TRUE(b->in_line());
  EXPECT_TRUE(a->wanted());
  EXPECT_FALSE(b->wanted()) << "nobody else is in line";
  EXPECT_FALSE(c->TryTake());
  EXPECT_FALSE(c->in_line()) << "there is one place";
  a->Release();
  // Neither who had it nor a third one passes the one in line.
  EXPECT_FALSE(a->TryTake());
  EXPECT_FALSE(c->TryTake());
  ASSERT_TRUE(b->TryTake());
  EXPECT_FALSE(b->wanted());
  EXPECT_FALSE(c->TryTake());
  EXPECT_TRUE(b->wanted());
  c->Release();  // its place in line
  EXPECT_FALSE(b->wanted());
}

TEST_F(DeviceTurnTest, AProcessThatIsKilledHoldsUpNobody) {
  const auto turn = Open();
  const pid_t holder = StartHolder();
  EXPECT_FALSE(turn->TryTake());
  Kill(holder);
  EXPECT_TRUE(turn->TryTake());

  const pid_t in_line = StartHolder();
  EXPECT_TRUE(turn->wanted());
  Kill(in_line);
  EXPECT_FALSE(turn->wanted());
}

TEST_F(DeviceTurnTest, WhoHasItFindsWhatWasLeftLast) {
  const auto learner = Open(), actor = Open();
  const auto found = [&] {
    learner->Release();
    EXPECT_TRUE(actor->TryTake());
    const std::string text = actor->left();
    actor->Release();
    EXPECT_TRUE(learner->TryTake());
    return text;
  };
  ASSERT_TRUE(learner->TryTake());
  EXPECT_EQ(found(), "");
  ASSERT_TRUE(learner->Leave("a longer text").ok());
  EXPECT_EQ(found(), "a longer text");
  EXPECT_EQ(found(), "a longer text") << "it stays until it is replaced";
  ASSERT_TRUE(learner->Leave("short").ok());
  EXPECT_EQ(found(), "short");
  ASSERT_TRUE(learner->Leave("").ok());
  EXPECT_EQ(found(), "");
}

TEST_F(DeviceTurnTest, WhatAProcessHasLeftGoesWithIt) {
  const auto turn = Open();
  const pid_t leaver = StartHolder("a text");
  ASSERT_TRUE(turn->TryTake());
  EXPECT_EQ(turn->left(), "a text");
  EXPECT_TRUE(turn->leaver_lives());
  Kill(leaver);
  EXPECT_FALSE(turn->leaver_lives());
  EXPECT_EQ(turn->left(), "");
}

TEST_F(DeviceTurnTest, WhoComesToTheDeviceDisturbsNobodyWhoLeavesAText) {
  const auto turn = Open();
  ASSERT_TRUE(turn->TryTake());
  std::atomic<bool> done = false;
  std::thread comes([&] {
    while (!done) Open();
  });
  absl::Status left;
  for (int i = 0; i < 20000 && left.ok(); ++i) left = turn->Leave("a text");
  EXPECT_TRUE(left.ok()) << left;
  done = true;
  comes.join();
}

TEST_F(DeviceTurnTest, AWaitEndsWithTheTurnOrWithAStop) {
  const auto a = Open(), b = Open();
  ASSERT_TRUE(a->TryTake());
  std::atomic<bool> told = false;
  std::thread waiting([&] {
    EXPECT_TRUE(b->Take(stop_.get_token(), [&] { told = true; }).ok());
    b->Release();
  });
  EXPECT_TRUE(Await([&] { return told.load(); }));
  a->Release();
  waiting.join();

  ASSERT_TRUE(a->TryTake());
  stop_.request_stop();
  EXPECT_EQ(b->Take(stop_.get_token(), [] {}).code(), absl::StatusCode::kCancelled);
  EXPECT_FALSE(b->in_line());
  EXPECT_FALSE(a->wanted());
}

TEST_F(DeviceTurnTest, ThreeThatAlwaysWantItNeverHaveItTogether) {
  constexpr int kTurns = 50;
  std::atomic<int> inside = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&] {
      const auto turn = Open();
      for (int t = 0; t < kTurns; ++t) {
        ASSERT_TRUE(turn->Take(stop_.get_token(), [] {}).ok());
        EXPECT_EQ(inside.fetch_add(1), 0);
        absl::SleepFor(absl::Microseconds(100));
        inside.fetch_sub(1);
        turn->Release();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_F(DeviceTurnTest, AFolderThatIsMissingIsNamed) {
  const absl::Status status = DeviceTurn::Open(folder_.path() + "/none/turn").status();
  EXPECT_THAT(std::string(status.message()), HasSubstr("cannot open " + folder_.path() + "/none"));
}

}  // namespace
}  // namespace reckon
