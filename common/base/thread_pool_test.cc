#include "common/base/thread_pool.h"

#include <atomic>
#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace reckon {
namespace {

class ThreadPoolTest : public testing::Test {
 protected:
  ~ThreadPoolTest() override { SetComputeThreads(0); }
};

TEST_F(ThreadPoolTest, RunsEveryIndexOnceWithAnyNumberOfThreads) {
  for (int threads : {1, 2, 5}) {
    SetComputeThreads(threads);
    EXPECT_EQ(ComputeThreads(), threads);
    for (int64_t n : {0, 1, 2, 1000}) {
      std::vector<std::atomic<int>> runs(n);
      ParallelFor(n, [&](int64_t i) { ++runs[i]; });
      for (const std::atomic<int>& count : runs) EXPECT_EQ(count, 1);
    }
  }
}

TEST_F(ThreadPoolTest, ANestedCallRunsOnItsCaller) {
  SetComputeThreads(3);
  std::atomic<int> sum = 0, elsewhere = 0;
  ParallelFor(8, [&](int64_t) {
    const std::thread::id caller = std::this_thread::get_id();
    ParallelFor(8, [&](int64_t i) {
      sum += static_cast<int>(i);
      elsewhere += std::this_thread::get_id() != caller;
    });
  });
  EXPECT_EQ(sum, 8 * 28);
  EXPECT_EQ(elsewhere, 0);
}

TEST_F(ThreadPoolTest, CallsFromSeveralThreadsTakeTurns) {
  SetComputeThreads(4);
  std::atomic<int64_t> sum = 0;
  std::vector<std::thread> callers;
  for (int t = 0; t < 4; ++t) {
    callers.emplace_back([&sum] {
      for (int round = 0; round < 50; ++round) ParallelFor(20, [&sum](int64_t i) { sum += i; });
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(sum, 4 * 50 * 190);
}

}  // namespace
}  // namespace reckon
