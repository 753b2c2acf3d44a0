#include "learner/parallel/gloo_parallel.h"

#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"
#include "common/testing/await.h"
#include "gtest/gtest.h"
#include "tests/support/in_process_coordinator.h"
#include "tests/support/rank_threads.h"

namespace reckon {
namespace {

TEST(GlooParallelTest, SumsOverTheRanks) {
  std::stop_source stop;
  AsRanks(3, &stop, [](Parallel& parallel) {
    std::vector<float> values(100001, 1.0f + parallel.rank());
    ASSERT_TRUE(parallel.AllReduceSum(absl::MakeSpan(values)).ok());
    EXPECT_EQ(values, std::vector<float>(100001, 6));
  });
}

TEST(GlooParallelTest, BroadcastsTheBytesOfRankZero) {
  std::stop_source stop;
  AsRanks(2, &stop, [](Parallel& parallel) {
    for (std::string sent : {std::string("abc"), std::string(), std::string(3 << 20, 'x')}) {
      std::string bytes = parallel.rank() == 0 ? sent : "other";
      ASSERT_TRUE(parallel.Broadcast(&bytes).ok());
      EXPECT_EQ(bytes, sent);
    }
  });
}

TEST(GlooParallelTest, AStopEndsACollectiveThatWaits) {
  std::stop_source stop;
  absl::Notification waits;
  AsRanks(2, &stop, [&](Parallel& parallel) {
    if (parallel.rank() == 0) {
      waits.WaitForNotification();
      stop.request_stop();
      return;
    }
    std::string bytes;
    waits.Notify();
    absl::Status status = parallel.Broadcast(&bytes);
    EXPECT_FALSE(status.ok());
  });
}

TEST(GlooParallelTest, GivesUpTheRendezvousWhenStopped) {
  InProcessCoordinator coordinator;
  std::stop_source stop;
  std::thread stopper([&] {
    EXPECT_TRUE(Await([&] { return coordinator.faults().calls("Rendezvous") > 0; }));
    stop.request_stop();
  });
  GlooOptions options;
  options.world = 2;
  EXPECT_FALSE(MakeGloo(options, coordinator.NewStub(), stop.get_token()).ok());
  stopper.join();
}

}  // namespace
}  // namespace reckon
