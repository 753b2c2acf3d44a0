#include "cli/launcher/orm_scorer.h"

#include <cstdlib>
#include <filesystem>

#include "common/base/files.h"
#include "common/testing/temp_folder.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

// A script takes the place of reckon-orm.
class OrmScorerTest : public testing::Test {
 protected:
  OrmScorerTest() {
    EXPECT_TRUE(MakeFolders(folder_ + "/logs").ok());
    ::setenv("RECKON_PROGRAMS", folder_.c_str(), 1);
  }
  ~OrmScorerTest() override { ::unsetenv("RECKON_PROGRAMS"); }

  // Its first two arguments are --rollouts=FILE and --scores=FILE.
  void Script(const std::string& text) {
    const std::string path = folder_ + "/reckon-orm";
    ASSERT_TRUE(
        WriteFileAtomically(path, "#!/bin/sh\nrollouts=${1#*=} scores=${2#*=}\n" + text + "\n")
            .ok());
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
  }

  absl::StatusOr<OrmScorer::Scores> Run() {
    OrmScorer scorer(folder_, {"--orm=somewhere"});
    for (uint64_t group : {3, 4}) {
      Rollout rollout;
      rollout.mutable_key()->set_group(group);
      rollout.mutable_key()->set_sample(1);
      EXPECT_TRUE(scorer.Record(rollout).ok());
    }
    return scorer.Run(stop_.get_token(), [](double) {});
  }

  const TempFolder temp_;
  const std::string& folder_ = temp_.path();
  std::stop_source stop_;
};

TEST_F(OrmScorerTest, EachRolloutGetsWhatTheProgramWroteForIt) {
  Script(
      "test -s $rollouts && test $3 = --orm=somewhere && printf '4 1 0.25\\n3 1 1e-3\\n' >$scores");
  const absl::StatusOr<OrmScorer::Scores> scores = Run();
  ASSERT_TRUE(scores.ok()) << scores.status();
  EXPECT_THAT(*scores, ElementsAre(Pair(Pair(3, 1), 1e-3), Pair(Pair(4, 1), 0.25)));
}

TEST_F(OrmScorerTest, AFailureEndsWithTheProgramsLastLines) {
  Script("printf '3 1 0.5\\n4 1 0.5\\n' >$scores; echo 'no such head' >&2; exit 1");
  EXPECT_THAT(std::string(Run().status().message()),
              AllOf(HasSubstr("exited with code 1"), HasSubstr("no such head")));
}

TEST_F(OrmScorerTest, AScoreThatIsMissingIsAnError) {
  Script("printf '3 1 0.5\\n' >$scores");
  EXPECT_THAT(std::string(Run().status().message()), HasSubstr("1 of 2 rollouts scored"));
}

TEST_F(OrmScorerTest, StoppingEndsTheWait) {
  Script("sleep 100");
  stop_.request_stop();
  EXPECT_TRUE(absl::IsCancelled(Run().status()));
}

}  // namespace
}  // namespace reckon
