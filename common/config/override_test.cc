#include "common/config/override.h"

#include <string>

#include "common/config/config.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

RunConfig Config() {
  return *ParseConfig("c", "stage { sft {} } stage { ei { rounds: 3 } } seed: 1");
}

TEST(ApplyOverride, SetsEveryKindOfField) {
  RunConfig config = Config();
  for (const char* assignment :
       {"stage[1].ei.rounds=7", "data.format=chat", "seed=5", "training.learning_rate=3e-4",
        "model.path=/a=b c", "stage[1].ei.include_sft_data=false", "eval.temperature=1"}) {
    EXPECT_TRUE(ApplyOverride(assignment, &config).ok()) << assignment;
  }
  EXPECT_EQ(config.stage(1).ei().rounds(), 7u);
  EXPECT_EQ(config.data().format(), DataSettings::CHAT);
  EXPECT_EQ(config.seed(), 5u);
  EXPECT_EQ(config.training().learning_rate(), 3e-4);
  EXPECT_EQ(config.model().path(), "/a=b c");
  EXPECT_FALSE(config.stage(1).ei().include_sft_data());
  EXPECT_EQ(config.eval().temperature(), 1);
}

TEST(ApplyOverride, TheFirstEntryOfAnEmptyListIsMade) {
  RunConfig config = Config();
  for (const char* assignment :
       {"stage[1].ei.reward[0].weight=2", "stage[1].ei.reward[0].kind=answer_text"}) {
    EXPECT_TRUE(ApplyOverride(assignment, &config).ok()) << assignment;
  }
  ASSERT_EQ(config.stage(1).ei().reward_size(), 1);
  EXPECT_EQ(config.stage(1).ei().reward(0).weight(), 2);
}

struct BadOverride {
  const char* assignment;
  const char* says;
};
class Overrides : public ::testing::TestWithParam<BadOverride> {};

TEST_P(Overrides, ErrorsNameTheKeyAndTheFix) {
  RunConfig config = Config();
  const absl::Status status = ApplyOverride(GetParam().assignment, &config);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr(GetParam().says), Not(HasSubstr("\n"))));
}

INSTANTIATE_TEST_SUITE_P(
    All, Overrides,
    ::testing::Values(
        BadOverride{"seed", "--set seed: expected KEY=VALUE"},
        BadOverride{"sed=1", "--set sed: no field named 'sed'; did you mean 'seed'?"},
        BadOverride{"training.lr=1", "--set training.lr: no field named 'lr'"},
        BadOverride{"training.rate=1", "did you mean 'learning_rate'"},
        BadOverride{"stage[1].ei.sampling.temp=1", "did you mean 'temperature'"},
        BadOverride{"seed=abc", "cannot read 'abc' as uint64"},
        BadOverride{"seed=-1", "cannot read '-1'"}, BadOverride{"seed=1 2", "cannot read '1 2'"},
        BadOverride{"seed=", "cannot read ''"},
        BadOverride{"resources.actors=4294967296", "cannot read '4294967296' as uint32"},
        BadOverride{"data.format=xml", "'XML' is not one of PLAIN, FEW_SHOT, CHAT"},
        BadOverride{"training=1", "is a group of fields"},
        BadOverride{"seed.x=1", "is a plain value"},
        BadOverride{"stage.ei.rounds=1", "is a list; choose an entry, as in stage[0]"},
        BadOverride{"stage[2].ei.rounds=1", "'stage' has 2 entries and no stage[2]"},
        BadOverride{"stage[1].ei.reward[1].weight=2", "'reward' has 0 entries and no reward[1]"},
        BadOverride{"stage[-1].ei.rounds=1", "not a field"},
        BadOverride{"stage[x].ei.rounds=1", "not a field"},
        BadOverride{"stage[0].ei.rounds=1", "is of kind 'sft', not 'ei'"},
        BadOverride{"seed[0]=1", "'seed' is not a list"}, BadOverride{"..=1", "not a field"},
        BadOverride{"=1", "not a field"}));

}  // namespace
}  // namespace reckon
