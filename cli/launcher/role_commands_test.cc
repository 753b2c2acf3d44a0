#include "cli/launcher/role_commands.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Not;
using ::testing::StartsWith;

TEST(RoleCommandsTest, ArgumentsAreThoseOfConfigAndPlace) {
  RunConfig config;
  config.set_name("r");
  config.mutable_coordinator()->set_lease_ms(3000);
  config.mutable_model()->set_compute(ModelSettings::FP32);
  EXPECT_THAT(CoordinatorArguments(config, {.store = "/s", .listen = "[::]:7070"}),
              AllOf(Contains("--run=r"), Contains("--store=/s"), Contains("--listen=[::]:7070"),
                    Contains("--lease_ms=3000"), Contains("--retention=ALL")));
  EXPECT_THAT(ActorArguments(config, {.coordinator = "c:1", .name = "a", .threads = 0}),
              ElementsAre("--coordinator=c:1", "--name=a", "--threads=0", "--max_batch=0",
                          "--kv_cache_mib=0", "--weights=DRAIN", "--old_tokens=KEEP",
                          "--compute=fp32", "--device=AUTO"));
  config.mutable_model()->set_row_invariant(true);
  EXPECT_THAT(ActorArguments(config, {}), Contains("--row_invariant"));
}

TEST(RoleCommandsTest, AnActorLeavesRoomOnAGpuThatItShares) {
  RunConfig config;
  EXPECT_THAT(ActorArguments(config, {.shares_gpu = true}), Contains("--kv_cache_mib=1024"));
  // In its turn it takes what is left.
  EXPECT_THAT(ActorArguments(config, {.shares_gpu = true, .turn_file = "/r/turn"}),
              AllOf(Contains("--kv_cache_mib=0"), Contains("--turn_file=/r/turn"),
                    Not(Contains("--turns_on_cpu"))));
  EXPECT_THAT(LearnerArguments({.turn_file = "/r/turn"}), Contains("--turn_file=/r/turn"));
  config.mutable_resources()->set_turns(ResourceSettings::ON);
  EXPECT_THAT(ActorArguments(config, {.shares_gpu = true, .turn_file = "/r/turn"}),
              Contains("--turns_on_cpu"));
  config.mutable_actor()->set_kv_cache_mib(300);
  EXPECT_THAT(ActorArguments(config, {.shares_gpu = true}), Contains("--kv_cache_mib=300"));
}

TEST(RoleCommandsTest, WhatIsNotGivenIsNoFlag) {
  EXPECT_THAT(LearnerArguments({.coordinator = "c:1", .run_dir = "/r", .resume = false}),
              ElementsAre("--coordinator=c:1", "--run_dir=/r"));
  EXPECT_THAT(LearnerArguments({.rank = 0, .world_size = 2, .listen = "0.0.0.0:7071"}),
              ElementsAre("--rank=0", "--world_size=2", "--listen=0.0.0.0:7071", "--resume"));
  EXPECT_THAT(ActorArguments(RunConfig(), {}), AllOf(Not(Contains(StartsWith("--coordinator"))),
                                                     Not(Contains(StartsWith("--certificates")))));
}

TEST(RoleCommandsTest, EveryRoleHasTheSamePorts) {
  const RolePorts ports = {"/certificates", "[::]:7080", "[::]:7090"};
  const auto all =
      AllOf(Contains("--certificates=/certificates"), Contains("--health_listen=[::]:7080"),
            Contains("--metrics_listen=[::]:7090"));
  EXPECT_THAT(CoordinatorArguments(RunConfig(), {.ports = ports}), all);
  EXPECT_THAT(ActorArguments(RunConfig(), {.ports = ports}), all);
  EXPECT_THAT(LearnerArguments({.ports = ports}), all);
}

}  // namespace
}  // namespace reckon
