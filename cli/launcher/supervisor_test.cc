#include "cli/launcher/supervisor.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "common/base/files.h"
#include "common/testing/await.h"
#include "common/testing/temp_folder.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class SupervisorTest : public ::testing::Test {
 protected:
  void SetUp() override {
    options_.first_backoff = absl::Milliseconds(1);
    options_.last_backoff = absl::Milliseconds(4);
    options_.poll = absl::Milliseconds(2);
    options_.stop_timeout = absl::Minutes(2);
  }

  Command Script(const std::string& name, const std::string& script) {
    return {
        name, {"/bin/sh", "-c", "cd " + folder_ + "; " + script}, folder_ + "/" + name + ".log"};
  }

  // Lines that children have written to a file of the folder.
  std::vector<std::string> Lines(const std::string& file) {
    auto text = ReadFile(folder_ + "/" + file);
    if (!text.ok()) return {};
    return absl::StrSplit(*text, '\n', absl::SkipEmpty());
  }

  static bool WaitFor(const std::function<bool()>& condition) {
    return Await(condition, absl::Minutes(2));
  }

  const TempFolder temp_;
  const std::string& folder_ = temp_.path();
  Supervisor::Options options_;
  std::stop_source stop_;
};

TEST_F(SupervisorTest, AProcessHasItsOwnEnvironmentBesideOurs) {
  Command command = Script("role", "echo $CUDA_VISIBLE_DEVICES $PATH >seen");
  command.environment = {"CUDA_VISIBLE_DEVICES=3"};
  Supervisor supervisor(options_);
  ASSERT_TRUE(supervisor.StartDaemon(command).ok());
  ASSERT_TRUE(WaitFor([&] { return !Lines("seen").empty(); }));
  EXPECT_EQ(Lines("seen").front(), absl::StrCat("3 ", std::getenv("PATH")));
  EXPECT_THAT(Lines("role.log").front(), HasSubstr("$ CUDA_VISIBLE_DEVICES=3 /bin/sh"));
}

TEST_F(SupervisorTest, TheGroupsCleanEndIsTheEnd) {
  Supervisor supervisor(options_);
  ASSERT_TRUE(supervisor.StartDaemon(Script("coordinator", "sleep 100")).ok());
  supervisor.SetGroup({
      [&](int) {
        return std::vector<Command>{Script("learner-0", "echo a >> ended"),
                                    Script("learner-1",
                                           "while [ ! -s ended ]; do sleep 0.01; done; "
                                           "echo b >> ended")};
      },
  });
  EXPECT_TRUE(supervisor.Run(stop_.get_token(), [] {}).ok());
  EXPECT_THAT(Lines("ended"), ElementsAre("a", "b"));
}

TEST_F(SupervisorTest, ADeadDaemonIsStartedAgain) {
  Supervisor supervisor(options_);
  std::vector<std::string> events;
  supervisor.on_event = [&](const std::string& event) { events.push_back(event); };
  ASSERT_TRUE(
      supervisor
          .StartDaemon(Script("actor-0",
                              "echo x >> starts; [ $(wc -l < starts) -ge 3 ] && sleep 100; exit 7"))
          .ok());
  supervisor.SetGroup({
      [&](int) {
        return std::vector<Command>{
            Script("learner-0",
                   "touch starts; while [ \"$(wc -l < starts)\" -lt 3 ]; do sleep 0.01; done")};
      },
  });
  EXPECT_TRUE(supervisor.Run(stop_.get_token(), [] {}).ok());
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0], "actor-0 exited with code 7; starting it again");
}

TEST_F(SupervisorTest, AReplacedCommandIsUsedAtTheNextStart) {
  Supervisor supervisor(options_);
  ASSERT_TRUE(supervisor.StartDaemon(Script("coordinator", "echo first >> starts; exit 1")).ok());
  supervisor.ReplaceDaemon(Script("coordinator", "echo second >> starts; sleep 100"));
  std::thread stopper([&] {
    EXPECT_TRUE(WaitFor([&] { return Lines("starts").size() == 2; }));
    stop_.request_stop();
  });
  EXPECT_EQ(supervisor.Run(stop_.get_token(), [] {}).code(), absl::StatusCode::kCancelled);
  stopper.join();
  EXPECT_THAT(Lines("starts"), ElementsAre("first", "second"));
}

TEST_F(SupervisorTest, ADaemonThatNeverLivesEndsTheRunWithItsLastLines) {
  Supervisor supervisor(options_);
  ASSERT_TRUE(supervisor.StartDaemon(Script("actor-0", "echo no such library; exit 3")).ok());
  absl::Status status = supervisor.Run(stop_.get_token(), [] {});
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("actor-0 exited with code 3, 5 times in a row"),
                    HasSubstr("no such library"), HasSubstr("actor-0.log")));
}

TEST_F(SupervisorTest, AnExitThatWillRecurEndsTheRunAtOnceWithTheRolesLastWords) {
  Supervisor supervisor(options_);
  ASSERT_TRUE(supervisor.StartDaemon(Script("coordinator", "sleep 100")).ok());
  int attempts = 0;
  supervisor.SetGroup({[&](int) {
    ++attempts;
    return std::vector<Command>{
        Script("learner-0", "echo reckon-learner: data.train: no such key >&2; exit 78")};
  }});
  const absl::Status status = supervisor.Run(stop_.get_token(), [] {});
  EXPECT_EQ(status.message(),
            "learner-0: data.train: no such key; its log is " + folder_ + "/learner-0.log");
  EXPECT_EQ(attempts, 1);
}

TEST_F(SupervisorTest, TheSameLastWordsTwiceInARowEndTheRun) {
  Supervisor supervisor(options_);
  ASSERT_TRUE(supervisor
                  .StartDaemon(Script("actor-0",
                                      "echo x >> starts; n=$(wc -l < starts); "
                                      "echo reckon-actor: failure $((n / 3)) >&2; exit 75"))
                  .ok());
  const absl::Status status = supervisor.Run(stop_.get_token(), [] {});
  EXPECT_THAT(std::string(status.message()), HasSubstr("actor-0, 2 times in a row: failure 0"));
  EXPECT_EQ(Lines("starts").size(), 2u);
}

TEST_F(SupervisorTest, OtherWordsOrNoneAreTriedAgain) {
  Supervisor supervisor(options_);
  int attempts = 0;
  supervisor.SetGroup({[&](int attempt) {
    ++attempts;
    return std::vector<Command>{Script(
        "learner-0", attempt < 2    ? absl::StrCat("echo reckon-learner: ", attempt, "; exit 75")
                     : attempt == 2 ? "kill -9 $$"
                                    : "exit 0")};
  }});
  EXPECT_TRUE(supervisor.Run(stop_.get_token(), [] {}).ok());
  EXPECT_EQ(attempts, 4);
}

TEST_F(SupervisorTest, AGroupWithoutASignOfLifeIsKilledAndStartedAgain) {
  Supervisor supervisor(options_);
  std::vector<std::string> events;
  supervisor.on_event = [&](const std::string& event) { events.push_back(event); };
  int starts = 0;
  Supervisor::Group group;
  group.make = [&](int attempt) {
    ++starts;
    return std::vector<Command>{
        Script("learner-0", attempt == 0 ? "echo $$ > stopped; kill -STOP $$" : "exit 0")};
  };
  group.trouble = [&]() -> std::string {
    return starts == 1 && !Lines("stopped").empty() ? "rank 0 on h has stopped" : "";
  };
  supervisor.SetGroup(std::move(group));
  EXPECT_TRUE(supervisor.Run(stop_.get_token(), [] {}).ok());
  EXPECT_THAT(events, ElementsAre("rank 0 on h has stopped; starting the learner again from its "
                                  "checkpoint"));
  int stopped = 0;
  ASSERT_TRUE(absl::SimpleAtoi(Lines("stopped")[0], &stopped));
  EXPECT_NE(::kill(stopped, 0), 0);
}

TEST_F(SupervisorTest, ARankThatEndsBecauseOfAnotherSaysWhich) {
  Supervisor supervisor(options_);
  std::vector<std::string> events;
  supervisor.on_event = [&](const std::string& event) { events.push_back(event); };
  supervisor.SetGroup({[&](int attempt) {
    return std::vector<Command>{Script(
        "learner-0", attempt > 0 ? "exit 0"
                                 : "echo reckon-learner: rank 1 on node-7 failed: no memory; "
                                   "exit 75")};
  }});
  EXPECT_TRUE(supervisor.Run(stop_.get_token(), [] {}).ok());
  EXPECT_THAT(events, ElementsAre("learner-0 exited with code 75: rank 1 on node-7 failed: no "
                                  "memory; starting the learner again from its checkpoint"));
}

TEST_F(SupervisorTest, OneDeadRankRestartsTheWholeGroupUnderANewAttempt) {
  Supervisor supervisor(options_);
  supervisor.SetGroup({
      [&](int attempt) {
        std::string number = absl::StrCat(attempt);
        if (attempt == 0) {
          return std::vector<Command>{
              Script("learner-0", "trap '' TERM; echo $$ > survivor; sleep 100"),
              Script("learner-1", "while [ ! -s survivor ]; do sleep 0.01; done; kill -9 $$")};
        }
        return std::vector<Command>{Script("learner-0", "echo " + number + " >> attempts"),
                                    Script("learner-1", "echo " + number + " >> attempts")};
      },
  });
  EXPECT_TRUE(supervisor.Run(stop_.get_token(), [] {}).ok());
  EXPECT_THAT(Lines("attempts"), ElementsAre("1", "1"));
  int survivor = 0;
  ASSERT_TRUE(absl::SimpleAtoi(Lines("survivor")[0], &survivor));
  EXPECT_NE(::kill(survivor, 0), 0) << "the other rank still runs";
}

TEST_F(SupervisorTest, AGroupThatGetsNowhereIsGivenUp) {
  Supervisor supervisor(options_);
  int attempts = 0;
  supervisor.SetGroup({[&](int) {
                         ++attempts;
                         return std::vector<Command>{
                             Script("learner-0", "echo data.train: bad line; exit 1")};
                       },
                       [] { return 0; }});
  absl::Status status = supervisor.Run(stop_.get_token(), [] {});
  EXPECT_THAT(std::string(status.message()), HasSubstr("data.train: bad line"));
  EXPECT_EQ(attempts, 5);
}

TEST_F(SupervisorTest, ProgressEndsARowOfFailures) {
  Supervisor supervisor(options_);
  int attempts = 0;
  supervisor.SetGroup({[&](int) {
                         ++attempts;
                         return std::vector<Command>{
                             Script("learner-0", attempts < 8 ? "exit 1" : "exit 0")};
                       },
                       [&] { return attempts / 3; }});  // something every third time
  EXPECT_TRUE(supervisor.Run(stop_.get_token(), [] {}).ok());
  EXPECT_EQ(attempts, 8);
}

TEST_F(SupervisorTest, AGroupThatEndsWellBeforeItsWorkIsDoneIsStartedAgain) {
  Supervisor supervisor(options_);
  int attempts = 0;
  supervisor.SetGroup({[&](int) {
                         ++attempts;
                         return std::vector<Command>{Script("learner-0", "exit 0")};
                       },
                       [&] { return attempts; }, [&] { return attempts == 3; }});
  EXPECT_TRUE(supervisor.Run(stop_.get_token(), [] {}).ok());
  EXPECT_EQ(attempts, 3);
}

TEST_F(SupervisorTest, StopEndsLearnersThenActorsThenTheCoordinator) {
  Supervisor supervisor(options_);
  auto trap = [](const std::string& name) {
    return "trap 'echo " + name + " >> order; exit 0' TERM; echo " + name +
           " >> started; while :; do sleep 0.01; done";
  };
  ASSERT_TRUE(supervisor.StartDaemon(Script("coordinator", trap("coordinator"))).ok());
  ASSERT_TRUE(supervisor.StartDaemon(Script("actor-0", trap("actor"))).ok());
  supervisor.SetGroup(
      {[&](int) { return std::vector<Command>{Script("learner-0", trap("learner"))}; }});
  std::thread stopper([&] {
    EXPECT_TRUE(WaitFor([&] { return Lines("started").size() == 3; }));
    stop_.request_stop();
  });
  EXPECT_EQ(supervisor.Run(stop_.get_token(), [] {}).code(), absl::StatusCode::kCancelled);
  stopper.join();
  EXPECT_THAT(Lines("order"), ElementsAre("learner", "actor", "coordinator"));
}

TEST_F(SupervisorTest, AChildThatIgnoresSigtermIsKilled) {
  options_.stop_timeout = absl::Milliseconds(100);
  Supervisor supervisor(options_);
  ASSERT_TRUE(
      supervisor.StartDaemon(Script("actor-0", "trap '' TERM; echo $$ > pid; sleep 100")).ok());
  std::thread stopper([&] {
    EXPECT_TRUE(WaitFor([&] { return !Lines("pid").empty(); }));
    stop_.request_stop();
  });
  EXPECT_EQ(supervisor.Run(stop_.get_token(), [] {}).code(), absl::StatusCode::kCancelled);
  stopper.join();
}

TEST_F(SupervisorTest, ChildrenDieWithTheirParent) {
  pid_t parent = ::fork();
  if (parent == 0) {
    Supervisor supervisor(options_);
    (void)supervisor.StartDaemon(Script("actor-0", "echo $$ > pid; sleep 100"));
    ::pause();
    ::_exit(0);
  }
  ASSERT_TRUE(WaitFor([&] { return !Lines("pid").empty(); }));
  int child = 0;
  ASSERT_TRUE(absl::SimpleAtoi(Lines("pid")[0], &child));
  ::kill(parent, SIGKILL);
  ::waitpid(parent, nullptr, 0);
  EXPECT_TRUE(WaitFor([&] {
    // Gone, or a zombie where nothing reaps orphans.
    return ::kill(child, 0) != 0 ||
           (std::filesystem::exists(absl::StrCat("/proc/", child)) &&
            std::ifstream(absl::StrCat("/proc/", child, "/cmdline")).peek() ==
                std::ifstream::traits_type::eof());
  }));
}

TEST_F(SupervisorTest, AMissingProgramIsNamed) {
  Supervisor supervisor(options_);
  absl::Status status =
      supervisor.StartDaemon({"actor-0", {"/nowhere/reckon-actor"}, folder_ + "/l"});
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), HasSubstr("/nowhere/reckon-actor"));
}

}  // namespace
}  // namespace reckon
