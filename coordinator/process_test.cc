// reckon-coordinator as a process: killed in the middle of a run, stopped, refused.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <map>
#include <random>
#include <set>
#include <thread>

#include "common/base/exit_status.h"
#include "common/base/files.h"
#include "common/net/channel.h"
#include "common/net/plan_run.h"
#include "common/testing/await.h"
#include "common/testing/temp_folder.h"
#include "coordinator/core/ledger.h"
#include "coordinator/store/rocks_store.h"
#include "tests/support/fake_actor.h"

namespace reckon {
namespace {

using ::testing::HasSubstr;

class CoordinatorProcess : public ::testing::Test {
 protected:
  void TearDown() override {
    if (pid > 0) End(SIGKILL);
  }

  pid_t Spawn(const std::string& listen, const std::string& run = "test") {
    std::filesystem::remove(folder + "/port");
    const std::vector<std::string> args = {RECKON_COORDINATOR,
                                           "--run=" + run,
                                           "--store=" + folder + "/store",
                                           "--listen=" + listen,
                                           "--port_file=" + folder + "/port",
                                           "--lease_ms=1000",
                                           "--max_attempts=1000"};
    std::vector<char*> argv;
    for (const std::string& arg : args) argv.push_back(const_cast<char*>(arg.c_str()));
    argv.push_back(nullptr);
    const pid_t child = fork();
    if (child == 0) {
      if (freopen((folder + "/log").c_str(), "a", stderr) == nullptr) _exit(2);
      execv(argv[0], argv.data());
      _exit(3);
    }
    return child;
  }
  void Start() {
    pid = Spawn(address.empty() ? "127.0.0.1:0" : address);
    Await([&] { return std::filesystem::exists(folder + "/port"); }, absl::Minutes(2));
    const auto port = ReadFile(folder + "/port");
    ASSERT_TRUE(port.ok()) << *ReadFile(folder + "/log");
    address = *port;
  }
  // Its exit status, or minus the signal that ended it.
  int Wait(pid_t child) {
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }
  int End(int signal) {
    kill(pid, signal);
    return Wait(std::exchange(pid, 0));
  }

  const TempFolder temp;
  std::string folder = temp.path(), address;
  pid_t pid = 0;
};

// Samples that are accepted; 0 while the coordinator does not answer.
uint64_t Accepted(Coordinator::StubInterface* stub) {
  grpc::ClientContext context;
  SetDeadline(&context, absl::Seconds(2));
  GetStatusReply reply;
  if (!stub->GetStatus(&context, GetStatusRequest(), &reply).ok()) return 0;
  return reply.ledger().accepted();
}

TEST_F(CoordinatorProcess, NothingAcknowledgedIsLostWhenItIsKilledInMidRun) {
  constexpr uint64_t kGroups = 600;
  constexpr int kKills = 8;
  Start();
  auto stub = Coordinator::NewStub(*MakeChannel(address, Security::PlainText()));
  {
    grpc::ClientContext context;
    MarkReply reply;
    ASSERT_TRUE(stub->PublishWeights(&context, PublishRequest(0), &reply).ok());
  }
  std::stop_source stop;
  PlanClient client(stub.get(), 0, stop.get_token());
  PlanSpec spec = MakeSpec("p", 4, 8, 4);
  spec.set_pinned_version(0);
  std::map<uint64_t, int> seen;
  absl::Status status;
  std::atomic<bool> done = false;
  std::thread owner([&] {
    uint64_t at = 0;
    status = RunPlanToEnd(
        &client, spec, /*version=*/0,
        [&]() -> std::optional<WorkItem> {
          return at == kGroups ? std::nullopt : std::make_optional(MakeItem(at++));
        },
        [&](const Batch& batch) {
          EXPECT_EQ(batch.header.set_aside_size(), 0);
          for (const Rollout& rollout : batch.rollouts) ++seen[rollout.key().group()];
          return absl::OkStatus();
        });
    done = true;
  });
  std::vector<std::unique_ptr<FakeActor>> actors;
  for (int i = 0; i < 3; ++i) {
    actors.push_back(
        std::make_unique<FakeActor>(address, "actor" + std::to_string(i), absl::Milliseconds(50)));
  }
  std::mt19937 random(7);
  int kills = 0;
  for (; kills < kKills; ++kills) {
    // Killed at a random point of the work, however fast the machine is.
    const uint64_t at = kGroups * 4 * (kills + random() % 100 / 100.0) / kKills;
    ASSERT_TRUE(Await([&] { return done || Accepted(stub.get()) >= at; }, absl::Minutes(2)));
    if (done) break;
    ASSERT_EQ(End(SIGKILL), -SIGKILL);
    Start();
  }
  owner.join();
  EXPECT_GE(kills, kKills - 1) << "the run ended before it was disturbed";
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(seen.size(), kGroups);
  for (const auto& [group, samples] : seen) EXPECT_EQ(samples, 4) << group;

  std::vector<RolloutKey> acknowledged;
  for (auto& actor : actors) {
    actor->Stop();
    EXPECT_EQ(actor->refused(), 0);
    for (const auto& [plan, group, sample] : actor->acknowledged()) {
      acknowledged.push_back(MakeRollout(plan, group, sample, 0).key());
    }
  }
  const auto fetched = client.Fetch(acknowledged);
  EXPECT_TRUE(fetched.ok()) << fetched.status();
  grpc::ClientContext context;
  GetStatusReply reply;
  ASSERT_TRUE(stub->GetStatus(&context, GetStatusRequest(), &reply).ok());
  EXPECT_TRUE(CheckLedger(reply.ledger()).ok()) << CheckLedger(reply.ledger());
  EXPECT_EQ(reply.ledger().accepted(), kGroups * 4);
  EXPECT_EQ(reply.ledger().mismatched(), 0);

  EXPECT_EQ(End(SIGTERM), 0);
  auto store = RocksStore::Open(folder + "/store");
  ASSERT_TRUE(store.ok()) << store.status();
  EXPECT_EQ(CountKeys(**store, "r"), kGroups * 4);
}

TEST_F(CoordinatorProcess, ASecondOneOverTheSameStoreEndsWithOneClearLine) {
  Start();
  EXPECT_EQ(Wait(Spawn("127.0.0.1:0")), kExitMayHeal);
  EXPECT_THAT(*ReadFile(folder + "/log"), HasSubstr("in use by another coordinator"));
  EXPECT_EQ(End(SIGTERM), 0);
  EXPECT_EQ(Wait(Spawn("127.0.0.1:0", "another")), kExitRecurs);
  EXPECT_THAT(*ReadFile(folder + "/log"), HasSubstr("belongs to run 'test'"));
}

TEST_F(CoordinatorProcess, ATakenPortIsReported) {
  Start();
  const std::string taken = address;
  EXPECT_EQ(Wait([&] {
              const std::string first = std::exchange(folder, folder + "/other");
              std::filesystem::create_directory(folder);
              const pid_t child = Spawn(taken);
              folder = first;
              return child;
            }()),
            kExitMayHeal);
  EXPECT_THAT(*ReadFile(folder + "/other/log"), HasSubstr("cannot listen on"));
}

}  // namespace
}  // namespace reckon
