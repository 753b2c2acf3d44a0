// The sweep's loop with a shell script in place of `reckon`.

#include "cli/sweep/sweep_runner.h"

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/files.h"
#include "common/config/config.h"
#include "common/telemetry/progress.h"
#include "common/testing/await.h"
#include "common/testing/temp_folder.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::Pair;
using testing::UnorderedElementsAre;

namespace fs = std::filesystem;

class SweepRunnerTest : public testing::Test {
 protected:
  SweepRunnerTest() {
    fs::create_directories(folder_ + "/bin");
    fs::create_directories(folder_ + "/configs");
    ::setenv("RECKON_PROGRAMS", (folder_ + "/bin").c_str(), 1);
    std::ofstream(folder_ + "/ei.textproto")
        << R"(data { train: "builtin" } model { path: "m" } stage { ei {} })";
    std::ofstream(folder_ + "/start.textproto")
        << R"(data { train: "builtin" } stage { init {} } stage { sft {} })";
    Script("finish");
  }
  ~SweepRunnerTest() override { ::unsetenv("RECKON_PROGRAMS"); }

  // A child: $name is the run's, $run its folder. `finish` makes it a finished one.
  void Script(const std::string& text) {
    const std::string path = folder_ + "/bin/reckon";
    std::ofstream(path) << "#!/bin/bash\nroot=" << folder_ << R"(
for argument in "$@"; do
  case "$argument" in name=*) name=${argument#name=};; output_dir=*) out=${argument#output_dir=};; esac
done
run=$out/$name
echo "$name ${!#}" >> $root/calls
begin() { mkdir -p $run/eval; cp $root/configs/$name $run/config.textproto; }
finish() { begin; echo '{"finished": true}' > $run/progress.json; }
)" << text << "\n";
    fs::permissions(path, fs::perms::owner_all);
  }

  void Plan(const std::string& text) {
    auto file = ParseSweep(
        folder_ + "/s.textproto",
        absl::StrCat("name: \"s\" config: \"ei.textproto\" output_dir: \"", folder_, "\" ", text));
    ASSERT_TRUE(file.ok()) << file.status();
    auto plan = PlanSweep(*file);
    ASSERT_TRUE(plan.ok()) << plan.status();
    plan_ = *std::move(plan);
    for (const SweepRun& run : plan_.runs) {
      ASSERT_TRUE(WriteFileAtomically(absl::StrCat(folder_, "/configs/", run.name),
                                      FormatConfig(run.config))
                      .ok());
    }
  }

  absl::Status Run(size_t parallel = 1, std::stop_token stop = {}) {
    SweepDisplay display(&out_, false, 0, absl::ZeroDuration());
    SweepRunner runner(plan_,
                       {.task = {.engine = engine_,
                                 .logs = folder_ + "/logs",
                                 .look_every = absl::Milliseconds(1),
                                 .ask_every = absl::Milliseconds(1)},
                        .parallel = parallel,
                        .poll = absl::Milliseconds(2)},
                       &display);
    runner.on_end = [this] { ++ends_; };
    absl::Status status = runner.Run(stop);
    failures_ = runner.failures();
    return status;
  }

  // The children so far: the run and its last argument.
  std::vector<std::string> Calls() {
    const absl::StatusOr<std::string> text = ReadFile(folder_ + "/calls");
    if (!text.ok()) return {};
    return absl::StrSplit(*text, '\n', absl::SkipEmpty());
  }

  const TempFolder temp_;
  const std::string& folder_ = temp_.path();
  SweepEngine engine_ = SweepEngine::kLocal;
  SweepPlan plan_;
  std::ostringstream out_;
  int ends_ = 0;
  std::map<std::string, std::string> failures_;
};

const char kTwoArms[] = R"(grid { field: "eval.samples" value: "2" value: "4" })";

TEST_F(SweepRunnerTest, FinishedRunsAreNeverRepeated) {
  Plan(kTwoArms);
  ASSERT_TRUE(Run().ok());
  EXPECT_THAT(Calls(),
              ElementsAre("samples-2_s1 name=samples-2_s1", "samples-4_s1 name=samples-4_s1"));
  EXPECT_EQ(ends_, 2);
  ASSERT_TRUE(Run().ok());
  EXPECT_EQ(Calls().size(), 2);
  EXPECT_THAT(failures_, IsEmpty());
}

TEST_F(SweepRunnerTest, AFailedRunStopsNoOtherAndIsResumedNextTime) {
  Plan(kTwoArms);
  Script(R"(case $name in samples-2*) begin
echo "reckon: actor-0 has no memory; fix that, then run: reckon train x --resume"; exit 1;; esac
finish)");
  ASSERT_TRUE(Run().ok());
  EXPECT_THAT(failures_, ElementsAre(Pair("samples-2_s1", "actor-0 has no memory")));
  EXPECT_EQ(Calls().size(), 2);
  EXPECT_THAT(out_.str(), HasSubstr("FAILED samples-2_s1: actor-0 has no memory"));
  Script("finish");
  ASSERT_TRUE(Run().ok());
  ASSERT_EQ(Calls().size(), 3);
  EXPECT_EQ(Calls().back(), "samples-2_s1 --resume");
  EXPECT_THAT(failures_, IsEmpty());
}

// The log has what every attempt said.
TEST_F(SweepRunnerTest, ARunThatIsKilledIsNotToldByWhatAnEarlierAttemptSaid) {
  Plan(kTwoArms);
  Script(R"(case $name in samples-2*) begin; echo "reckon: actor-0 has no memory"; exit 1;; esac
finish)");
  ASSERT_TRUE(Run().ok());
  EXPECT_EQ(failures_["samples-2_s1"], "actor-0 has no memory");
  Script("kill -9 $$");
  ASSERT_TRUE(Run().ok());
  EXPECT_THAT(failures_["samples-2_s1"],
              AllOf(HasSubstr("killed by signal 9"), Not(HasSubstr("has no memory"))));
  Script("echo step 7; kill -9 $$");
  ASSERT_TRUE(Run().ok());
  EXPECT_THAT(failures_["samples-2_s1"],
              AllOf(testing::StartsWith("killed by signal 9"), HasSubstr("step 7")));
}

TEST_F(SweepRunnerTest, AnEndWithoutAWordOrAFinishedRunIsAFailure) {
  Plan(kTwoArms);
  Script("case $name in samples-2*) kill -9 $$;; esac; begin");
  ASSERT_TRUE(Run().ok());
  EXPECT_THAT(failures_["samples-2_s1"], HasSubstr("killed by signal 9"));
  EXPECT_THAT(failures_["samples-4_s1"], HasSubstr("is not finished"));
}

TEST_F(SweepRunnerTest, RunsThatBeginFromAFailedOneFailWithIt) {
  Plan(R"(start: "start.textproto" set: "model.path={start}/weights/sft_1" seed_count: 2)");
  Script("test $name = start_s1 && exit 3; finish");
  ASSERT_TRUE(Run(4).ok());
  EXPECT_THAT(failures_["start_s1"], HasSubstr("exited with code 3"));
  EXPECT_THAT(failures_["run_s1"], HasSubstr("the run that it begins from failed: start_s1"));
  EXPECT_EQ(failures_.size(), 2);
  EXPECT_THAT(Calls(), UnorderedElementsAre(HasSubstr("start_s1"), HasSubstr("start_s2"),
                                            HasSubstr("run_s2")));
}

TEST_F(SweepRunnerTest, AsManyRunAtATimeAsAreAllowed) {
  Plan(R"(seed_count: 3 grid { field: "eval.samples" value: "2" value: "4" })");
  // The first three children wait for one another, so that they must run together.
  Script(R"(touch $root/here_$name
while [ $(ls $root | grep -c here_) -lt 3 ]; do sleep 0.01; done
finish)");
  ASSERT_TRUE(Run(3).ok());
  EXPECT_EQ(Calls().size(), 6);
  EXPECT_THAT(out_.str(), HasSubstr("0 finished, 3 running, 0 failed, 3 waiting"));
  EXPECT_THAT(out_.str(), Not(HasSubstr("4 running")));
}

TEST_F(SweepRunnerTest, AStopEndsTheChildrenAndTheSweepResumesLater) {
  Plan(kTwoArms);
  Script(R"(begin
trap 'touch $root/saved; exit 130' TERM
touch $root/ready
while :; do sleep 0.01; done)");
  std::stop_source stop;
  std::jthread user([&] {
    EXPECT_TRUE(Await([&] { return fs::exists(folder_ + "/ready"); }, absl::Minutes(1)));
    stop.request_stop();
  });
  EXPECT_TRUE(absl::IsCancelled(Run(1, stop.get_token())));
  EXPECT_TRUE(fs::exists(folder_ + "/saved"));
  EXPECT_EQ(ends_, 1) << "the report is to say what was interrupted";
  EXPECT_THAT(failures_, IsEmpty());
  Script("finish");
  ASSERT_TRUE(Run().ok());
  EXPECT_THAT(Calls(), ElementsAre("samples-2_s1 name=samples-2_s1", "samples-2_s1 --resume",
                                   "samples-4_s1 name=samples-4_s1"));
}

TEST_F(SweepRunnerTest, NothingStartsWhenAFolderHoldsAnotherRun) {
  Plan(kTwoArms);
  ASSERT_TRUE(Run().ok());
  Plan(R"(set: "eval.max_new_tokens=7" grid { field: "eval.samples" value: "2" value: "8" })");
  const absl::Status status = Run();
  EXPECT_THAT(status.message(), AllOf(HasSubstr("run samples-2_s1: "),
                                      HasSubstr("eval.max_new_tokens was 256, now 7")));
  EXPECT_EQ(Calls().size(), 2);
}

TEST_F(SweepRunnerTest, WhatALauncherFillsInIsNoOtherConfig) {
  Plan("");
  RunConfig filled = plan_.runs[0].config;
  filled.mutable_resources()->mutable_actor()->set_memory_gib(7);
  ASSERT_TRUE(WriteFileAtomically(folder_ + "/configs/run_s1", FormatConfig(filled)).ok());
  ASSERT_TRUE(Run().ok());
  EXPECT_THAT(failures_, IsEmpty());
}

TEST_F(SweepRunnerTest, ARunThatHasNotBegunMayGetAnotherConfig) {
  Plan("");
  Script("mkdir -p $run; cp $root/configs/$name $run/config.textproto; exit 1");
  ASSERT_TRUE(Run().ok());
  Plan(R"(set: "eval.samples=9")");
  Script("finish");
  ASSERT_TRUE(Run().ok());
  EXPECT_THAT(failures_, IsEmpty());
}

// A scheduler: `squeue` and `kubectl` as scripts. `launch` submits, i.e. leaves a job's id, and the
// job ends when the scheduler has been asked three times: finished, or not.
class ClusterSweepTest : public SweepRunnerTest {
 protected:
  ClusterSweepTest() {
    engine_ = SweepEngine::kSlurm;
    path_ = ::getenv("PATH");
    ::setenv("PATH", (folder_ + "/bin:" + path_).c_str(), 1);
    Script("begin; mkdir -p $run/slurm; echo 7 > $run/slurm/job; echo $run > $root/at");
    Scheduler("squeue", "test $asked -lt 3 && echo RUNNING");
  }
  ~ClusterSweepTest() override { ::setenv("PATH", path_.c_str(), 1); }

  void Scheduler(const std::string& program, const std::string& answer, bool finishes = true) {
    const std::string path = absl::StrCat(folder_, "/bin/", program);
    std::ofstream(path) << "#!/bin/bash\nroot=" << folder_ << R"(
run=$(cat $root/at); echo "$*" >> $run/asked; asked=$(wc -l < $run/asked)
)" << (finishes ? "test $asked = 3 && echo '{\"finished\": true}' > $run/progress.json\n" : "")
                        << answer << "\ntrue\n";
    fs::permissions(path, fs::perms::owner_all);
  }

  std::string path_;
};

TEST_F(ClusterSweepTest, ASubmittedRunIsFollowedUntilItsFolderSaysThatItIsFinished) {
  Plan(kTwoArms);
  ASSERT_TRUE(Run().ok());
  EXPECT_THAT(failures_, IsEmpty());
  EXPECT_THAT(Calls(), ElementsAre("samples-2_s1 --slurm", "samples-4_s1 --slurm"));
}

TEST_F(ClusterSweepTest, AJobThatEndsWithoutAFinishedRunIsAFailure) {
  Plan("");
  Scheduler("squeue", "test $asked -lt 3 && echo RUNNING", false);
  ASSERT_TRUE(Run().ok());
  EXPECT_THAT(failures_["run_s1"], HasSubstr("its job has ended and the run is not finished"));
}

TEST_F(ClusterSweepTest, AJobThatTheSchedulerHasIsNotSubmittedAgain) {
  Plan("");
  const std::string run = plan_.runs[0].folder();
  fs::create_directories(run + "/slurm");
  std::ofstream(run + "/slurm/job") << "7\n";
  std::ofstream(folder_ + "/at") << run << "\n";
  fs::copy_file(folder_ + "/configs/run_s1", run + "/config.textproto");
  ASSERT_TRUE(Run().ok());
  EXPECT_THAT(failures_, IsEmpty());
  EXPECT_THAT(Calls(), IsEmpty());
}

TEST_F(ClusterSweepTest, ASchedulerThatDoesNotAnswerIsAskedAgain) {
  Plan("");
  Scheduler("squeue", "test $asked -lt 3 && { echo busy >&2; exit 1; }");
  ASSERT_TRUE(Run().ok());
  EXPECT_THAT(failures_, IsEmpty());
}

TEST_F(ClusterSweepTest, OnKubernetesTheJobSetSaysWhetherTheRunHasEnded) {
  Plan("");
  engine_ = SweepEngine::kKubernetes;
  Script("begin; echo $run > $root/at");
  Scheduler("kubectl", "echo -n run-learner/; test $asked -lt 3 || echo Failed", false);
  ASSERT_TRUE(Run().ok());
  EXPECT_THAT(failures_["run_s1"], HasSubstr("its job has ended and the run is not finished"));
  EXPECT_THAT(Calls(), ElementsAre("run_s1 --apply"));
  EXPECT_THAT(*ReadFile(plan_.runs[0].folder() + "/asked"),
              HasSubstr("get jobset run-s1-learner --namespace reckon"));
  Scheduler("kubectl", "echo -n run-learner/");  // it finishes at once: the counter is above 3
  std::ofstream(plan_.runs[0].folder() + "/progress.json") << "{\"finished\": true}";
  ASSERT_TRUE(Run().ok());
  EXPECT_THAT(failures_, IsEmpty());
}

TEST(SweepDisplayTest, OnATerminalLinesAreRedrawnInPlace) {
  std::ostringstream out;
  SweepDisplay display(&out, true, 30);
  Progress progress;
  progress.set_phase("a phase with a name that is longer than the terminal");
  display.Show({{"one", progress}}, {.running = 1, .waiting = 2}, absl::Now());
  EXPECT_EQ(out.str(), "one: a phase with a name that\n0 finished, 1 running, 0 fail\n");
  out.str("");
  display.Print("finished zero");
  EXPECT_EQ(out.str(),
            "\x1b[2F\x1b[Jfinished zero\none: a phase with a name that\n0 finished, "
            "1 running, 0 fail\n");
}

}  // namespace
}  // namespace reckon
