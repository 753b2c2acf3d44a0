#include "cli/launcher/local_roles.h"

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

RunConfig TwoOfEach() {
  RunConfig config;
  config.mutable_resources()->set_actors(2);
  config.mutable_resources()->set_learner_ranks(2);
  return config;
}

TEST(LocalRolesTest, EachProcessSeesTheGpuThatItWasGiven) {
  const LocalPlace place = {.run_dir = "/r",
                            .logs = "/r/logs",
                            .targets = "",
                            .gpus = {.ranks = {"4", "5"}, .actors = {"", "6"}}};
  const LocalRoles roles(TwoOfEach(), place);
  EXPECT_THAT(roles.Actor("c:1", 0).environment, ElementsAre("CUDA_VISIBLE_DEVICES="));
  EXPECT_THAT(roles.Actor("c:1", 1).environment, ElementsAre("CUDA_VISIBLE_DEVICES=6"));
  const std::vector<Command> ranks = roles.Learner("c:1", "n", false);
  ASSERT_EQ(ranks.size(), 2);
  EXPECT_THAT(ranks[0].environment, ElementsAre("CUDA_VISIBLE_DEVICES=4"));
  EXPECT_THAT(ranks[1].environment, ElementsAre("CUDA_VISIBLE_DEVICES=5"));
  EXPECT_THAT(roles.Coordinator("c:1").environment, IsEmpty());
}

TEST(LocalRolesTest, ARankAndTheActorsOfItsCardHaveATurnOfTheirOwn) {
  RunConfig config = TwoOfEach();
  config.mutable_resources()->set_actors(3);
  const auto turns = Contains(HasSubstr("--turn_file"));
  {
    const LocalRoles roles(config, {.run_dir = "/r", .logs = "/r/logs", .turns = true});
    const std::vector<Command> ranks = roles.Learner("c:1", "n", false);
    for (uint32_t i : {0, 1}) {
      const auto mine = Contains(absl::StrCat("--turn_file=/r/turn-", i));
      EXPECT_THAT(ranks[i].argv, mine);
      EXPECT_THAT(roles.Actor("c:1", i).argv, mine);
    }
    EXPECT_THAT(roles.Actor("c:1", 2).argv, Contains("--turn_file=/r/turn-0"));
  }
  {
    config.mutable_resources()->set_actors(1);
    const LocalRoles roles(config, {.run_dir = "/r", .logs = "/r/logs", .turns = true});
    EXPECT_THAT(roles.Learner("c:1", "n", false)[0].argv, turns);
    EXPECT_THAT(roles.Learner("c:1", "n", false)[1].argv, Not(turns)) << "it is alone there";
  }
  const LocalRoles roles(config, {.run_dir = "/r", .logs = "/r/logs"});
  EXPECT_THAT(roles.Learner("c:1", "n", false)[0].argv, Not(turns));
  EXPECT_THAT(roles.Actor("c:1", 0).argv, Not(turns));
}

TEST(LocalRolesTest, ACacheOfAnActorIsBoundedWhereItsGpuIsARanksAsWell) {
  LocalPlace place = {.run_dir = "/r", .logs = "/r/logs", .gpus = {{"0", "1"}, {"0", "1"}}};
  EXPECT_THAT(LocalRoles(TwoOfEach(), place).Actor("c:1", 1).argv, Contains("--kv_cache_mib=1024"));
  place.gpus.shared = false;
  EXPECT_THAT(LocalRoles(TwoOfEach(), place).Actor("c:1", 1).argv, Contains("--kv_cache_mib=0"));
}

TEST(LocalRolesTest, MetricsAreServedOnLoopbackIfTheyAreTold) {
  const LocalRoles without(TwoOfEach(), {.run_dir = "/r", .logs = "/r/logs"});
  EXPECT_THAT(without.Actor("c:1", 1).environment, IsEmpty()) << "all see what we see";
  EXPECT_THAT(without.Actor("c:1", 1).argv, Not(Contains(HasSubstr("metrics"))));
  const LocalRoles roles(TwoOfEach(),
                         {.run_dir = "/r", .logs = "/r/logs", .targets = "/r/targets"});
  EXPECT_THAT(roles.Actor("c:1", 1).argv, Contains("--metrics_listen=127.0.0.1:0"));
  EXPECT_THAT(roles.Actor("c:1", 1).argv, Contains("--metrics_target=/r/targets/actor-1.json"));
  EXPECT_THAT(roles.Learner("c:1", "n", false)[1].argv,
              Contains("--metrics_target=/r/targets/learner-1.json"));
}

}  // namespace
}  // namespace reckon
