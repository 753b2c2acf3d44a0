// Runs of `reckon train`: what it shows, what it starts again, how it ends.

#include <signal.h>
#include <sys/wait.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "cli/launcher/process.h"
#include "common/net/channel.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/coordinator.grpc.pb.h"
#include "tests/support/reckon_program.h"

namespace reckon {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

TEST_F(ReckonTest, TrainRunsToTheEndAndShowsTheLines) {
  Script("reckon-learner", absl::StrCat("echo \"$@\" >> $run/args\n",
                                        Finished("\"evaluate start: maj@1 2%\", \"done\"")));
  Result result = Run("train " + config());
  EXPECT_EQ(result.code, 0) << result.out;
  EXPECT_THAT(result.out,
              AllOf(HasSubstr("evaluate start: maj@1 2%\ndone\n"), HasSubstr("finished")));
  EXPECT_THAT(Text("runs/r/args"), AllOf(HasSubstr("--rank=0 --world_size=1 --nonce="),
                                         HasSubstr("--config="), Not(HasSubstr("--resume"))));
  EXPECT_THAT(Text("runs/r/config.textproto"), HasSubstr("rounds: 2"));

  Result again = Run("train " + config());
  EXPECT_EQ(again.code, 1);
  EXPECT_THAT(again.out, AllOf(HasSubstr("runs/r exists"), HasSubstr("--resume")));
  Write("runs/r/inputs.json", "{}");  // as the learner does
  Result changed = Run("train " + config() + " --resume --set seed=9");
  EXPECT_EQ(changed.code, 1);
  EXPECT_THAT(changed.out, HasSubstr("seed: was 0 when the run began and is 9 now"));
  Result finished = Run("train " + config() + " --resume --set resources.actors=2");
  EXPECT_EQ(finished.code, 0) << finished.out;
  EXPECT_THAT(finished.out, AllOf(HasSubstr("is finished"), HasSubstr("done")));
  // With more rounds there is more to do.
  Result longer = Run("train " + config() + " --resume --set stage[1].ei.rounds=3");
  EXPECT_EQ(longer.code, 0) << longer.out;
  EXPECT_THAT(longer.out, AllOf(HasSubstr("resuming in"), HasSubstr("finished in")));
  EXPECT_THAT(Text("runs/r/args"), HasSubstr("--resume"));
  EXPECT_THAT(Text("runs/r/config.textproto"), HasSubstr("rounds: 3"));

  const Result unknown = Run("rollouts " + folder_ + "/runs/r --plan nope");
  EXPECT_EQ(unknown.code, 1);
  EXPECT_THAT(unknown.out, HasSubstr("--plan nope: the run has no such plan; it has none yet"));
  Result show = Run("show " + folder_ + "/runs/r");
  EXPECT_EQ(show.code, 0) << show.out;
  EXPECT_THAT(show.out, HasSubstr("run r: "));
  show = Run("show " + folder_ + "/runs/r --plan nothing");
  EXPECT_EQ(show.code, 1);
  EXPECT_THAT(show.out, HasSubstr("--plan nothing"));
}

TEST_F(ReckonTest, ARunThatNeverBeganTakesAnyConfig) {
  Script("reckon-learner", "exit 1");
  EXPECT_EQ(Run("train " + config()).code, 1);
  Script("reckon-learner", Finished(""));
  const Result fixed = Run("train " + config() + " --resume --set seed=9");
  EXPECT_EQ(fixed.code, 0) << fixed.out;
  Write("runs/r/inputs.json", "{}");  // now it has begun
  const Result changed = Run("train " + config() + " --resume --set seed=10");
  EXPECT_EQ(changed.code, 1);
  EXPECT_THAT(changed.out, HasSubstr("seed: was 9 when the run began and is 10 now"));
}

TEST_F(ReckonTest, ChangedDataIsRefusedInOneLineWhenARunResumes) {
  const std::string data = folder_ + "/data.jsonl";
  Write("data.jsonl", "{\"question\": \"1?\", \"answer\": \"#### 1\"}\n");
  Script("reckon-learner", Finished(""));
  const std::string train =
      "train " + config() + " --set data.eval=builtin --set data.train=" + data;
  EXPECT_EQ(Run(train).code, 0);
  Write("runs/r/inputs.json", absl::StrCat("{\"files\": [{\"name\": \"data.train\", \"path\": \"",
                                           data, "\", \"sha256\": \"0123456789abcdef\"}]}"));
  const Result changed = Run(train + " --resume");
  EXPECT_EQ(changed.code, 1);
  EXPECT_THAT(changed.out, HasSubstr("reckon: data.train: " + data + " has changed since the run"));
  EXPECT_THAT(changed.out, HasSubstr("(SHA-256 0123456789ab then, "));
  EXPECT_EQ(std::count(changed.out.begin(), changed.out.end(), '\n'), 1) << changed.out;
}

TEST_F(ReckonTest, ADeadLearnerIsStartedAgainWithResumeAndANewNonce) {
  Script("reckon-learner",
         absl::StrCat("echo \"$@\" >> $run/args\n[ $(wc -l < $run/args) -lt 3 ] && exit 1\n",
                      Finished("")));
  Result result = Run("train " + config());
  EXPECT_EQ(result.code, 0) << result.out;
  EXPECT_THAT(result.out, HasSubstr("learner-0 exited with code 1"));
  std::vector<std::string> starts = absl::StrSplit(Text("runs/r/args"), '\n', absl::SkipEmpty());
  ASSERT_EQ(starts.size(), 3u);
  EXPECT_THAT(starts[0], Not(HasSubstr("--resume")));
  EXPECT_THAT(starts[1], HasSubstr("--resume"));
  EXPECT_NE(starts[1], starts[2]);
}

TEST_F(ReckonTest, EachStartOfARunHasItsOwnLogs) {
  Script("reckon-learner", "echo learner; " + Finished(""));
  EXPECT_EQ(Run("launch --local " + config()).code, 0);
  std::filesystem::remove(folder_ + "/runs/r/progress.json");
  EXPECT_EQ(Run("train --resume " + config()).code, 0);
  for (const char* logs : {"attempt_1", "attempt_2", "latest"}) {
    EXPECT_THAT(Text(absl::StrCat("runs/r/logs/", logs, "/learner-0.log")),
                HasSubstr("\nlearner\n"));
  }
  EXPECT_EQ(std::filesystem::read_symlink(folder_ + "/runs/r/logs/latest"), "attempt_2");
}

TEST_F(ReckonTest, ALearnerThatAlwaysFailsEndsTheRunWithItsReason) {
  Script("reckon-learner", "echo reckon-learner: data.train: no problems >&2; exit 1");
  Result result = Run("train " + config());
  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.out, AllOf(HasSubstr("data.train: no problems"), HasSubstr("learner-0.log"),
                                HasSubstr("--resume")));
}

TEST_F(ReckonTest, AnErrorThatWillRecurEndsTheRunAtItsFirstTimeWithOneLine) {
  Script("reckon-learner",
         "echo x >> $run/starts; echo reckon-learner: data.train: no problems >&2; exit 78");
  Result result = Run("train " + config());
  EXPECT_EQ(result.code, 1);
  EXPECT_EQ(Text("runs/r/starts"), "x\n");
  EXPECT_THAT(result.out, HasSubstr(absl::StrCat(
                              "\nreckon: learner-0: data.train: no problems; ", "its log is ",
                              folder_, "/runs/r/logs/attempt_1/learner-0.log; fix that, then run: ",
                              RECKON_BINARY, " train ", config(), " --resume\n")));
}

TEST_F(ReckonTest, AnActorThatFailsTheSameWayTwiceEndsTheRun) {
  Script("reckon-actor", "echo x >> $run/starts; echo reckon-actor: no such device >&2; exit 75");
  Script("reckon-learner", "exec sleep 1000");
  Result result = Run("train " + config());
  EXPECT_EQ(result.code, 1);
  EXPECT_EQ(Text("runs/r/starts"), "x\nx\n");
  EXPECT_THAT(result.out, HasSubstr("reckon: actor-0, 2 times in a row: no such device"));
}

TEST_F(ReckonTest, SaysWhatTheLearnerWaitsFor) {
  Script("reckon-learner",
         "echo '{\"phase\": \"sft\", \"waiting_for\": \"no actor is connected\"}' "
         "> $run/progress.json\nwhile [ ! -e $run/go ]; do sleep 0.01; done\n" +
             Finished(""));
  auto reckon = Process::Start({"reckon", {RECKON_BINARY, "train", config()}, folder_ + "/out"});
  ASSERT_TRUE(reckon.ok());
  EXPECT_TRUE(Await(
      [&] { return absl::StrContains(Text("out"), "sft  waiting for: no actor is connected\n"); }));
  EXPECT_THAT(Run("show " + folder_ + "/runs/r").out,
              HasSubstr("waiting for: no actor is connected\n"));
  Write("runs/r/go", "");
  ASSERT_TRUE(reckon->Wait(kLong).has_value());
}

TEST_F(ReckonTest, CtrlCStopsEveryRoleAndSaysHowToResume) {
  Script("reckon-learner", "echo $$ > $run/learner.pid\nexec sleep 100");
  auto reckon = Process::Start({"reckon", {RECKON_BINARY, "train", config()}, folder_ + "/out"});
  ASSERT_TRUE(reckon.ok());
  ASSERT_TRUE(Await([&] { return !Text("runs/r/learner.pid").empty(); }));
  EXPECT_EQ(Run("train " + config() + " --resume").code, 1) << "two at once";
  reckon->Signal(SIGINT);
  std::optional<int> ended = reckon->Wait(kLong);
  ASSERT_TRUE(ended.has_value());
  EXPECT_EQ(WEXITSTATUS(*ended), 130);
  EXPECT_THAT(Text("out"), HasSubstr(absl::StrCat("to resume, run: ", RECKON_BINARY, " train ",
                                                  config(), " --resume")));
  int learner = 0;
  ASSERT_TRUE(absl::SimpleAtoi(Text("runs/r/learner.pid"), &learner));
  EXPECT_NE(::kill(learner, 0), 0);
}

TEST_F(ReckonTest, AKilledCoordinatorComesBackAtItsAddress) {
  std::filesystem::remove(folder_ + "/bin/reckon-coordinator");
  Script("reckon-coordinator",
         "echo $$ >> $run/coordinator.pids\nexec " RECKON_COORDINATOR " \"$@\"");
  Script("reckon-learner", "while [ ! -e $run/go ]; do sleep 0.01; done\n" + Finished(""));
  auto reckon = Process::Start({"reckon", {RECKON_BINARY, "train", config()}, folder_ + "/out"});
  ASSERT_TRUE(reckon.ok());
  ASSERT_TRUE(Await([&] { return !Text("runs/r/coordinator.addr").empty(); }));
  const std::string address = Text("runs/r/coordinator.addr");
  int first = 0;
  ASSERT_TRUE(absl::SimpleAtoi(Text("runs/r/coordinator.pids"), &first));
  ::kill(first, SIGKILL);
  // Only then: a `show` between the two would start a coordinator of its own.
  ASSERT_TRUE(Await([&] { return absl::StrContains(Text("out"), "killed by signal 9"); }));
  const auto user = Security::Load(folder_ + "/runs/r/certificates/user", Role::kUser);
  ASSERT_TRUE(user.ok()) << user.status();
  const auto stub =
      Coordinator::NewStub(*MakeChannel(std::string(absl::StripAsciiWhitespace(address)), *user));
  ASSERT_TRUE(Await([&] {
    grpc::ClientContext context;
    GetStatusReply status;
    return stub->GetStatus(&context, {}, &status).ok();
  }));
  const auto stranger = Coordinator::NewStub(
      *MakeChannel(std::string(absl::StripAsciiWhitespace(address)), Security::PlainText()));
  grpc::ClientContext context;
  GetStatusReply status;
  EXPECT_EQ(stranger->GetStatus(&context, {}, &status).error_code(), grpc::StatusCode::UNAVAILABLE)
      << "a run on one machine has certificates as well";
  EXPECT_THAT(Run("show " + folder_ + "/runs/r").out, HasSubstr("run r: "));
  EXPECT_EQ(Text("runs/r/coordinator.addr"), address) << "show has used the run's own";
  Write("runs/r/go", "");
  const std::optional<int> ended = reckon->Wait(kLong);
  ASSERT_TRUE(ended.has_value());
  EXPECT_EQ(WEXITSTATUS(*ended), 0) << Text("out");
  EXPECT_THAT(Text("out"), HasSubstr("coordinator killed by signal 9"));
}

}  // namespace
}  // namespace reckon
