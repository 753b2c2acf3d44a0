#include "common/base/stop.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "absl/time/clock.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

TEST(WaitForStopTest, WaitsForTheWholeTimeoutWhenNobodyStops) {
  std::stop_source stop;
  const absl::Time start = absl::Now();
  EXPECT_FALSE(WaitForStop(stop.get_token(), absl::Milliseconds(30)));
  EXPECT_GE(absl::Now() - start, absl::Milliseconds(30));
}

// A wait that does not end when it should would last longer than ctest lets a test run.
constexpr absl::Duration kForever = absl::Hours(10);

TEST(WaitForStopTest, ReturnsAtOnceWhenAStopWasRequested) {
  std::stop_source stop;
  stop.request_stop();
  EXPECT_TRUE(WaitForStop(stop.get_token(), kForever));
}

// Many times, so that requests come before, at the beginning of and during a wait.
TEST(WaitForStopTest, ARequestEndsTheWait) {
  for (int i = 0; i < 50; ++i) {
    std::stop_source stop;
    std::atomic<int> spins = 1000 * i;
    std::thread stopper([&] {
      while (spins > 0) --spins;
      stop.request_stop();
    });
    EXPECT_TRUE(WaitForStop(stop.get_token(), kForever));
    stopper.join();
  }
}

TEST(WaitForStopTest, ATimeoutBelowZeroOnlyAsks) {
  std::stop_source stop;
  EXPECT_FALSE(WaitForStop(stop.get_token(), -absl::Seconds(1)));
  stop.request_stop();
  EXPECT_TRUE(WaitForStop(stop.get_token(), -absl::Seconds(1)));
}

TEST(WaitForStopTest, ATokenWithoutASourceNeverStops) {
  EXPECT_FALSE(WaitForStop(std::stop_token(), absl::Milliseconds(1)));
}

// StopOnSignals blocks signals for good, so the tests below run in a process of their own.
TEST(StopOnSignalsDeathTest, TheFirstSignalRequestsAStop) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        std::stop_source stop;
        StopOnSignals(stop);
        kill(getpid(), SIGTERM);
        _exit(WaitForStop(stop.get_token(), kForever) ? 7 : 1);
      },
      testing::ExitedWithCode(7), "");
}

TEST(StopOnSignalsDeathTest, TheSecondSignalEndsTheProgram) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        std::stop_source stop;
        StopOnSignals(stop);
        kill(getpid(), SIGINT);
        WaitForStop(stop.get_token(), kForever);
        kill(getpid(), SIGINT);
        for (;;) pause();
      },
      testing::ExitedWithCode(128 + SIGINT), "");
}

TEST(StopOnSignalsDeathTest, TwoTermsAtOnceAreOneRequest) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        std::stop_source stop;
        StopOnSignals(stop);
        kill(getpid(), SIGTERM);
        WaitForStop(stop.get_token(), absl::Seconds(10));
        kill(getpid(), SIGTERM);
        absl::SleepFor(absl::Milliseconds(50));  // in which a wrong exit would happen
        _exit(7);
      },
      testing::ExitedWithCode(7), "");
}

}  // namespace
}  // namespace reckon
