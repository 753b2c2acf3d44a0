#include "learner/parallel/gloo_parallel.h"

#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "gtest/gtest.h"
#include "learner/fake_coordinator.h"
#include "learner/rank_threads.h"

namespace reckon {
namespace {

TEST(GlooParallelTest, SumsOverTheRanks) {
  StopToken stop;
  AsRanks(3, &stop, [](Parallel& parallel) {
    std::vector<float> values(100001, 1.0f + parallel.rank());
    ASSERT_TRUE(parallel.AllReduceSum(absl::MakeSpan(values)).ok());
    EXPECT_EQ(values, std::vector<float>(100001, 6));
    EXPECT_TRUE(parallel.Barrier().ok());
  });
}

TEST(GlooParallelTest, BroadcastsWhatRankZeroHas) {
  StopToken stop;
  AsRanks(2, &stop, [](Parallel& parallel) {
    for (std::string sent : {std::string("abc"), std::string(), std::string(3 << 20, 'x')}) {
      std::string bytes = parallel.rank() == 0 ? sent : "other";
      ASSERT_TRUE(parallel.Broadcast(&bytes).ok());
      EXPECT_EQ(bytes, sent);
    }
  });
}

TEST(GlooParallelTest, EndsWhenStoppedWhileItWaits) {
  StopToken stop;
  AsRanks(2, &stop, [&](Parallel& parallel) {
    if (parallel.rank() == 0) {
      absl::SleepFor(absl::Milliseconds(300));
      stop.Stop();
      return;
    }
    std::string bytes;
    absl::Status status = parallel.Broadcast(&bytes);
    EXPECT_FALSE(status.ok());
  });
}

TEST(GlooParallelTest, GivesUpTheRendezvousWhenStopped) {
  FakeCoordinator coordinator;
  StopToken stop;
  std::thread stopper([&] {
    absl::SleepFor(absl::Milliseconds(200));
    stop.Stop();
  });
  GlooOptions options;
  options.world = 2;
  EXPECT_FALSE(MakeGloo(options, coordinator.NewStub(), &stop).ok());
  stopper.join();
}

}  // namespace
}  // namespace reckon
