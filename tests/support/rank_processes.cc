#include "tests/support/rank_processes.h"

#include <ATen/Context.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/net/channel.h"
#include "common/net/network_interface.h"
#include "gtest/gtest.h"
#include "learner/parallel/gloo_parallel.h"
#include "tests/support/in_process_coordinator.h"
#ifdef RECKON_CUDA
#include "learner/parallel/nccl_parallel.h"
#endif
// Last.
#include "common/base/log.h"

namespace reckon {
namespace {

constexpr int kRanks = 2;
constexpr int kEnded = 77;  // exit status of EndRank
constexpr char kRank[] = "RECKON_TEST_RANK", kTerm[] = "RECKON_TEST_TERM",
               kAddress[] = "RECKON_TEST_COORDINATOR";

// The GPU of a rank, as CUDA_VISIBLE_DEVICES names it.
std::string GpuOf(int rank) {
  const char* visible = std::getenv("CUDA_VISIBLE_DEVICES");
  if (visible == nullptr) return absl::StrCat(rank);
  return std::vector<std::string>(absl::StrSplit(visible, ',')).at(rank);
}

// One process of this program, whose standard input is a pipe that ends when StopRank is called.
struct Process {
  pid_t id = -1;
  int stop = -1;
};

Process StartRank(int rank, bool gpu, uint64_t term, const std::string& address) {
  const auto* test = testing::UnitTest::GetInstance()->current_test_info();
  std::vector<std::string> arguments = {
      "/proc/self/exe",
      absl::StrCat("--gtest_filter=", test->test_suite_name(), ".", test->name())};
  std::vector<std::string> environment = {absl::StrCat(kRank, "=", rank),
                                          absl::StrCat(kTerm, "=", term),
                                          absl::StrCat(kAddress, "=", address)};
  if (gpu) environment.push_back(absl::StrCat("CUDA_VISIBLE_DEVICES=", GpuOf(rank)));
  for (char** variable = environ; *variable != nullptr; ++variable) {
    // GoogleTest's are for the test as a whole.
    if (absl::StartsWith(*variable, "GTEST_")) continue;
    if (gpu && absl::StartsWith(*variable, "CUDA_VISIBLE_DEVICES=")) continue;
    environment.push_back(*variable);
  }
  const auto pointers = [](std::vector<std::string>& from) {
    std::vector<char*> out;
    for (std::string& one : from) out.push_back(one.data());
    out.push_back(nullptr);
    return out;
  };
  int ends[2];
  CHECK_EQ(::pipe2(ends, O_CLOEXEC), 0);
  posix_spawn_file_actions_t actions;
  CHECK_EQ(::posix_spawn_file_actions_init(&actions), 0);
  CHECK_EQ(::posix_spawn_file_actions_adddup2(&actions, ends[0], STDIN_FILENO), 0);
  Process out;
  out.stop = ends[1];
  CHECK_EQ(::posix_spawn(&out.id, "/proc/self/exe", &actions, nullptr, pointers(arguments).data(),
                         pointers(environment).data()),
           0);
  ::posix_spawn_file_actions_destroy(&actions);
  ::close(ends[0]);
  return out;
}

void RunRank(int rank, bool gpus, const std::function<void(Parallel&)>& body) {
  static auto& stop = *new std::stop_source();  // as long as the thread below
  std::thread([] {
    char byte;
    while (::read(STDIN_FILENO, &byte, 1) > 0) {
    }
    stop.request_stop();
  }).detach();
  GlooOptions options;
  options.rank = rank;
  options.world = kRanks;
  CHECK(absl::SimpleAtoi(std::getenv(kTerm), &options.term));
  ASSERT_TRUE(BindCollectives("127.0.0.1").ok());
  const auto channel = MakeChannel(std::getenv(kAddress), Security::PlainText());
  ASSERT_TRUE(channel.ok()) << channel.status();
  const std::shared_ptr<Coordinator::StubInterface> stub = Coordinator::NewStub(*channel);
  auto parallel = MakeGloo(options, stub, stop.get_token());
  ASSERT_TRUE(parallel.ok()) << parallel.status();
#ifdef RECKON_CUDA
  if (gpus) {
    parallel = MakeNccl(*std::move(parallel), "all", options.term, stub, stop.get_token());
    ASSERT_TRUE(parallel.ok()) << parallel.status();
  }
#else
  CHECK(!gpus);
#endif
  body(**parallel);
}

}  // namespace

void AsTwoProcesses(bool gpus, const std::function<void(Parallel&)>& body) {
  if (const char* rank = std::getenv(kRank); rank != nullptr) {
    RunRank(std::atoi(rank), gpus, body);
    // Gloo's threads may wait for a rank that has ended, so static destructors must not run.
    std::fflush(nullptr);
    std::_Exit(testing::Test::HasFailure() ? 1 : 0);
  }
  InProcessCoordinator coordinator;
  const uint64_t term = coordinator.BeginTerm();
  Process processes[kRanks];
  for (int rank = 0; rank < kRanks; ++rank) {
    processes[rank] = StartRank(rank, gpus, term, coordinator.address());
  }
  std::vector<std::thread> waiters;
  for (int rank = 0; rank < kRanks; ++rank) {
    waiters.emplace_back([&, rank] {
      int status = 0;
      CHECK_EQ(::waitpid(processes[rank].id, &status, 0), processes[rank].id);
      const bool well = WIFEXITED(status) && WEXITSTATUS(status) == 0;
      EXPECT_TRUE(well || (WIFEXITED(status) && WEXITSTATUS(status) == kEnded))
          << "rank " << rank << " ended with status " << status;
      if (!well) ::close(std::exchange(processes[1 - rank].stop, -1));
    });
  }
  for (std::thread& waiter : waiters) waiter.join();
  for (const Process& process : processes) {
    if (process.stop >= 0) ::close(process.stop);
  }
}

void EndRank() { std::_Exit(kEnded); }

int VisibleGpus() { return static_cast<int>(at::getNumGPUs()); }

}  // namespace reckon
