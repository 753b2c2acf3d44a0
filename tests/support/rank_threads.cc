#include "tests/support/rank_threads.h"

#include <cstdlib>
#include <memory>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "learner/parallel/gloo_parallel.h"
#include "tests/support/in_process_coordinator.h"

namespace reckon {

void AsRanks(int world, std::stop_source* stop, const std::function<void(Parallel&)>& body) {
  // c10d's flight recorder, one for the process, writes a map without its lock for every group that
  // is new to it: two groups in one process can crash there (torch 2.11, FlightRecorder::record).
  ::setenv("TORCH_FR_BUFFER_SIZE", "0", 1);
  InProcessCoordinator coordinator;
  const uint64_t term = coordinator.BeginTerm();
  std::vector<std::thread> threads;
  for (int rank = 0; rank < world; ++rank) {
    threads.emplace_back([&, rank] {
      GlooOptions options;
      options.rank = rank;
      options.world = world;
      options.term = term;
      auto parallel = MakeGloo(options, coordinator.NewStub(), stop->get_token());
      ASSERT_TRUE(parallel.ok()) << parallel.status();
      body(**parallel);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace reckon
