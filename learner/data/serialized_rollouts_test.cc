#include "learner/data/serialized_rollouts.h"

#include <cstdint>

#include "gtest/gtest.h"

namespace reckon {
namespace {

std::vector<Rollout> Rollouts() {
  std::vector<Rollout> rollouts(3);  // of which the second is empty
  rollouts[0].mutable_key()->set_plan("ppo_1");
  rollouts[0].set_completion("the answer is 7");
  rollouts[2].set_reward(0.5);
  return rollouts;
}

TEST(SerializedRolloutsTest, RolloutsArriveAsTheyWere) {
  const std::vector<Rollout> sent = Rollouts();
  const auto arrived = ParseRollouts(SerializeRollouts(sent));
  ASSERT_TRUE(arrived.ok()) << arrived.status();
  ASSERT_EQ(arrived->size(), sent.size());
  for (size_t i = 0; i < sent.size(); ++i) {
    EXPECT_EQ(arrived->at(i).SerializeAsString(), sent[i].SerializeAsString());
  }
  EXPECT_TRUE(ParseRollouts(SerializeRollouts({}))->empty());
}

TEST(SerializedRolloutsTest, RefusesBytesThatAreDamaged) {
  const std::string bytes = SerializeRollouts(Rollouts());
  const size_t first = sizeof(uint64_t) + Rollouts()[0].ByteSizeLong();
  for (size_t cut = 1; cut < bytes.size(); ++cut) {
    const bool between = cut == first || cut == first + sizeof(uint64_t);
    EXPECT_EQ(ParseRollouts(absl::string_view(bytes).substr(0, cut)).ok(), between) << cut;
  }
  std::string other = bytes;
  other[sizeof(uint64_t)] = 7;  // a tag of no field's type
  EXPECT_EQ(ParseRollouts(other).status().code(), absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace reckon
