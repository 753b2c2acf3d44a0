#include "common/base/bounded_queue.h"

#include <thread>

#include "gtest/gtest.h"

namespace reckon {
namespace {

TEST(BoundedQueueTest, RefusesMoreThanItsCapacity) {
  BoundedQueue<int> queue(2);
  EXPECT_TRUE(queue.TryPush(1));
  EXPECT_TRUE(queue.TryPush(2));
  EXPECT_FALSE(queue.TryPush(3));
  EXPECT_EQ(queue.Pop(), 1);
  EXPECT_TRUE(queue.TryPush(3));
}

TEST(BoundedQueueTest, CloseWakesWaitersAndDrains) {
  BoundedQueue<int> queue(1);
  ASSERT_TRUE(queue.Push(1));
  std::thread closer([&] { queue.Close(); });
  EXPECT_FALSE(queue.Push(2));
  closer.join();
  EXPECT_EQ(queue.Pop(), 1);
  EXPECT_EQ(queue.Pop(), std::nullopt);
}

TEST(BoundedQueueTest, PopGivesUpAfterItsTimeout) {
  BoundedQueue<int> queue(1);
  EXPECT_EQ(queue.Pop(absl::Milliseconds(5)), std::nullopt);
  EXPECT_TRUE(queue.PopAll(absl::Milliseconds(5)).empty());
}

}  // namespace
}  // namespace reckon
