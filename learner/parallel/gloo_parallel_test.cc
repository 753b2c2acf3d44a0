#include "learner/parallel/gloo_parallel.h"

#include <ATen/ops/zeros.h>

#include <thread>
#include <vector>

#include "absl/synchronization/blocking_counter.h"
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

// The others come to the calls after rank 1 has left them. Rank 1's part is done by Gloo's threads
// then, on which theirs depend: each adds to what all get, and rank 3 has the bytes from rank 1.
TEST(GlooParallelTest, NothingWritesToTheMemoryOfACallThatWasStopped) {
  std::stop_source none, stop;  // of rank 1 alone: others may still meet
  std::vector<std::stop_token> stops(4, none.get_token());
  stops[1] = stop.get_token();
  absl::Notification left;
  absl::BlockingCounter ended(3);
  AsRanks(stops, [&](Parallel& parallel) {
    std::vector<float> values(1001, 1.0f + parallel.rank());
    std::string bytes(1001, parallel.rank() == 0 ? 'x' : ' ');
    const bool is_stopped = parallel.rank() == 1;
    if (is_stopped) {
      stop.request_stop();
    } else {
      left.WaitForNotification();
    }
    const absl::Status summed = parallel.AllReduceSum(absl::MakeSpan(values));
    const absl::Status sent = parallel.Broadcast(absl::MakeSpan(bytes.data(), bytes.size()));
    if (is_stopped) {
      left.Notify();
      ended.Wait();
    } else {
      ended.DecrementCount();
    }
    EXPECT_EQ(absl::IsCancelled(summed), is_stopped) << summed;
    EXPECT_EQ(absl::IsCancelled(sent), is_stopped) << sent;
    EXPECT_EQ(values, std::vector<float>(1001, is_stopped ? 2 : 10));
    EXPECT_EQ(bytes, std::string(1001, is_stopped ? ' ' : 'x'));
  });
}

TEST(GlooParallelTest, ACollectiveThatWasStoppedKeepsItsTensors) {
  std::stop_source none, stop;
  absl::Notification ended;
  AsRanks({none.get_token(), stop.get_token()}, [&](Parallel& parallel) {
    if (parallel.rank() == 0) return ended.WaitForNotification();
    stop.request_stop();
    std::vector<c10::weak_intrusive_ptr<c10::StorageImpl>> memory;
    const auto make = [&](int64_t size) {
      at::Tensor tensor = at::zeros({size});
      memory.push_back(tensor.storage().getWeakStorageImpl());
      return tensor;
    };
    EXPECT_FALSE(parallel.BeginAllReduceSum(make(6))->Wait().ok());
    EXPECT_FALSE(parallel.AllGather(make(3), make(6))->Wait().ok());
    // What the ranks' parts are added to is not Gloo's.
    EXPECT_FALSE(parallel.ReduceScatterSum(make(6), at::zeros({3}))->Wait().ok());
    for (const auto& each : memory) EXPECT_GT(each.use_count(), 0u);
    ended.Notify();
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
