#include "coordinator/core/staleness.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace reckon {
namespace {

using ::testing::ElementsAre;
using ::testing::Optional;

constexpr auto kWaits = std::nullopt;

TEST(Staleness, TheFirstToCompleteComeFirstWhileNoDeadlineIsNear) {
  EXPECT_THAT(
      ChooseGroups(
          3, 2, {5, 5, 5},
          {{.group = 8, .deadline = 5}, {.group = 6, .deadline = 5}, {.group = 7, .deadline = 5}}),
      Optional(ElementsAre(8, 6)));
  EXPECT_EQ(ChooseGroups(3, 2, {5, 5}, {{.group = 8, .deadline = 5}}), kWaits) << "a batch is full";
}

TEST(Staleness, GroupsThatAreDueAreTakenOrTheCutWaitsForThem) {
  const std::vector<uint64_t> started = {3, 3, 4};
  const CompleteGroup due = {.group = 1, .deadline = 3}, also_due = {.group = 2, .deadline = 3},
                      later = {.group = 5, .deadline = 4};
  EXPECT_EQ(ChooseGroups(3, 2, started, {later, due}), kWaits);
  EXPECT_THAT(ChooseGroups(3, 2, started, {later, due, also_due}), Optional(ElementsAre(1, 2)));
}

TEST(Staleness, OnlyAsManyPlacesAreReservedAsLaterBatchesLack) {
  // Three groups due by 4 and one more place in batch 4 than they need.
  const std::vector<uint64_t> started = {4, 4, 4, 6};
  const CompleteGroup late = {.group = 9, .deadline = 6}, due = {.group = 1, .deadline = 4};
  EXPECT_THAT(ChooseGroups(3, 2, started, {late, due}), Optional(ElementsAre(1, 9)));
  EXPECT_EQ(ChooseGroups(3, 2, started, {late}), kWaits);
}

TEST(Staleness, AGroupThatIsOverdueIsDueNow) {
  const CompleteGroup overdue = {.group = 1, .deadline = 2}, one = {.group = 9, .deadline = 5},
                      other = {.group = 8, .deadline = 5};
  EXPECT_THAT(ChooseGroups(3, 2, {2, 5, 5}, {one, other, overdue}), Optional(ElementsAre(1, 9)));
}

// Groups that start by the rule of admission and complete in any order never miss their deadline.
TEST(Staleness, NoGroupMissesItsDeadlineWhateverTheOrderOfCompletion) {
  std::mt19937 random(5);
  for (int trial = 0; trial < 300; ++trial) {
    const uint64_t size = 1 + random() % 4, open = 1 + random() % 4;
    std::vector<CompleteGroup> running, complete;
    uint64_t next_group = 0, cut = 0, applied = 0;
    while (applied < 30) {
      while (running.size() + complete.size() + (cut - applied) * size < size * open) {
        running.push_back({.group = next_group++, .deadline = DeadlineOf(applied, open)});
      }
      if (!running.empty() && random() % 2 == 0) {
        const size_t at = random() % running.size();
        complete.push_back(running[at]);
        running.erase(running.begin() + static_cast<int>(at));
      }
      std::vector<uint64_t> started;
      for (const CompleteGroup& group : running) started.push_back(group.deadline);
      for (const CompleteGroup& group : complete) started.push_back(group.deadline);
      if (const auto chosen = ChooseGroups(cut, size, started, complete)) {
        ASSERT_EQ(chosen->size(), size);
        for (uint64_t id : *chosen) {
          const auto group = std::find_if(complete.begin(), complete.end(),
                                          [&](const auto& c) { return c.group == id; });
          ASSERT_NE(group, complete.end());
          EXPECT_LE(cut, group->deadline) << "size " << size << ", open " << open;
          complete.erase(group);
        }
        ++cut;
      }
      if (applied < cut && random() % 3 == 0) ++applied;
    }
  }
}

}  // namespace
}  // namespace reckon
