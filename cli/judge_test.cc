#include "cli/judge.h"

#include <cstdlib>
#include <filesystem>

#include "common/base/files.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

// With a script in the place of reckon-judge.
class JudgeTest : public testing::Test {
 protected:
  JudgeTest() : folder_(testing::TempDir() + "/judge_test") {
    std::filesystem::remove_all(folder_);
    EXPECT_TRUE(MakeFolders(folder_ + "/logs").ok());
    ::setenv("RECKON_PROGRAMS", folder_.c_str(), 1);
  }
  ~JudgeTest() override { ::unsetenv("RECKON_PROGRAMS"); }

  // Its first two arguments are --rollouts=FILE and --scores=FILE.
  void Script(const std::string& text) {
    const std::string path = folder_ + "/reckon-judge";
    ASSERT_TRUE(
        WriteFileAtomically(path, "#!/bin/sh\nrollouts=${1#*=} scores=${2#*=}\n" + text + "\n")
            .ok());
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
  }

  absl::StatusOr<Judge::Scores> Run() {
    Judge judge(folder_, {"--orm=somewhere"});
    for (uint64_t group : {3, 4}) {
      Rollout rollout;
      rollout.mutable_key()->set_group(group);
      rollout.mutable_key()->set_sample(1);
      EXPECT_TRUE(judge.Record(rollout).ok());
    }
    return judge.Run(&stop_, [](double) {});
  }

  const std::string folder_;
  StopToken stop_;
};

TEST_F(JudgeTest, EachRolloutGetsWhatTheProgramWroteForIt) {
  Script(
      "test -s $rollouts && test $3 = --orm=somewhere && printf '4 1 0.25\\n3 1 1e-3\\n' >$scores");
  const absl::StatusOr<Judge::Scores> scores = Run();
  ASSERT_TRUE(scores.ok()) << scores.status();
  EXPECT_THAT(*scores, ElementsAre(Pair(Pair(3, 1), 1e-3), Pair(Pair(4, 1), 0.25)));
}

TEST_F(JudgeTest, AFailureEndsWithTheProgramsLastLines) {
  Script("printf '3 1 0.5\\n4 1 0.5\\n' >$scores; echo 'no such head' >&2; exit 1");
  EXPECT_THAT(std::string(Run().status().message()),
              AllOf(HasSubstr("exited with code 1"), HasSubstr("no such head")));
}

TEST_F(JudgeTest, AScoreThatIsMissingIsAnError) {
  Script("printf '3 1 0.5\\n' >$scores");
  EXPECT_THAT(std::string(Run().status().message()), HasSubstr("1 of 2 rollouts judged"));
}

TEST_F(JudgeTest, StoppingEndsTheWait) {
  Script("sleep 100");
  stop_.Stop();
  EXPECT_TRUE(absl::IsCancelled(Run().status()));
}

}  // namespace
}  // namespace reckon
