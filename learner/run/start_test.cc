#include "learner/run/start.h"

#include "common/base/files.h"
#include "common/config/config.h"
#include "common/testing/temp_folder.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class StartTest : public ::testing::Test {
 protected:
  RunConfig Config(const std::string& settings = "seed: 1") {
    const std::string path = folder_ + "/given.textproto";
    EXPECT_TRUE(WriteFileAtomically(path, R"(name: "r" data { train: "builtin" } stage { init {} }
                                             stage { sft {} training { epochs: 2 } } )" +
                                              settings)
                    .ok());
    const absl::StatusOr<RunConfig> config = LoadConfig(path, {});
    EXPECT_TRUE(config.ok()) << config.status();
    return config.value_or(RunConfig());
  }
  absl::StatusOr<bool> Start(const RunConfig& config, bool resume, const std::string& launch) {
    return ContinuesRun(run_dir_, config, resume, launch);
  }
  // What a learner does once its checks have passed.
  void Begin() { EXPECT_TRUE(WriteFileAtomically(run_dir_ + "/inputs.json", "{}").ok()); }

  const TempFolder temp_;
  const std::string folder_ = temp_.path(), run_dir_ = folder_ + "/r";  // made by the first start
};

TEST_F(StartTest, AnotherStartOfALaunchContinuesWhatItBegan) {
  EXPECT_EQ(Start(Config(), false, "uid-1").value(), false);
  Begin();
  EXPECT_EQ(Start(Config(), false, "uid-1").value(), true);
}

TEST_F(StartTest, AnotherLaunchContinuesOnlyIfItIsAskedTo) {
  ASSERT_TRUE(Start(Config(), false, "uid-1").ok());
  Begin();
  for (const char* launch : {"uid-2", ""}) {
    const absl::Status refused = Start(Config(), false, launch).status();
    EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(std::string(refused.message()),
                HasSubstr("holds an earlier run; continue it with --resume"));
  }
  EXPECT_EQ(Start(Config(), true, "uid-2").value(), true);
  EXPECT_EQ(Start(Config(), false, "uid-2").value(), true);
  EXPECT_FALSE(Start(Config(), false, "uid-1").ok()) << "the second launch has the run";
}

TEST_F(StartTest, AConfigUnderWhichWhatWasDoneIsNotTrueIsRefusedAndNotKept) {
  ASSERT_TRUE(Start(Config("seed: 1"), false, "uid-1").ok());
  Begin();
  for (const char* launch : {"uid-1", "uid-2"}) {
    const absl::Status refused = Start(Config("seed: 2"), true, launch).status();
    EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(std::string(refused.message()),
                AllOf(HasSubstr("cannot be continued"), HasSubstr("seed")));
  }
  EXPECT_FALSE(Start(Config(), false, "uid-2").ok()) << "a refused launch has taken the run";
  EXPECT_TRUE(Start(Config("seed: 1 keep_last: 5"), true, "uid-2").ok());
  EXPECT_THAT(ReadFile(run_dir_ + "/config.textproto").value(), HasSubstr("keep_last: 5"));
}

TEST_F(StartTest, ARunThatHasNotBegunTakesAnyConfig) {
  ASSERT_TRUE(Start(Config("seed: 1"), false, "uid-1").ok());
  EXPECT_EQ(Start(Config("seed: 2"), false, "uid-2").value(), false);
  Begin();
  EXPECT_FALSE(Start(Config("seed: 1"), true, "uid-2").ok());
}

}  // namespace
}  // namespace reckon
