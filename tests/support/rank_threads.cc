#include "tests/support/rank_threads.h"

#include <cstdlib>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "learner/parallel/gloo_parallel.h"
#include "tests/support/in_process_coordinator.h"

namespace reckon {

namespace {

// stops[rank] is the rank's. shard_ranks 0: one group.
void AsThreads(absl::Span<const std::stop_token> stops, int shard_ranks,
               const std::function<void(RankGroups&)>& body) {
  const int world = static_cast<int>(stops.size());
  // c10d's flight recorder, one for the process, writes a map without its lock for every group that
  // is new to it: two groups in one process can crash there (torch 2.11, FlightRecorder::record).
  ::setenv("TORCH_FR_BUFFER_SIZE", "0", 1);
  InProcessCoordinator coordinator;
  const uint64_t term = coordinator.BeginTerm();
  std::vector<std::thread> threads;
  for (int rank = 0; rank < world; ++rank) {
    threads.emplace_back([&, rank] {
      const MakeGroup make = [&](const std::string& name, int place, int size) {
        GlooOptions options;
        options.rank = place;
        options.world = size;
        options.term = term;
        options.group = name;
        return MakeGloo(options, coordinator.NewStub(), stops[rank]);
      };
      RankGroups groups;
      auto all = make("all", rank, world);
      ASSERT_TRUE(all.ok()) << all.status();
      groups.all = *std::move(all);
      if (shard_ranks > 0) {
        const absl::Status added = AddHybridGroups(shard_ranks, make, &groups);
        ASSERT_TRUE(added.ok()) << added;
      }
      body(groups);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace

void AsRanks(int world, std::stop_source* stop, const std::function<void(Parallel&)>& body) {
  AsRanks(std::vector<std::stop_token>(world, stop->get_token()), body);
}

void AsRanks(absl::Span<const std::stop_token> stops, const std::function<void(Parallel&)>& body) {
  AsThreads(stops, 0, [&](RankGroups& groups) { body(*groups.all); });
}

void AsHybridRanks(int world, int shard_ranks, std::stop_source* stop,
                   const std::function<void(RankGroups&)>& body) {
  AsThreads(std::vector<std::stop_token>(world, stop->get_token()), shard_ranks, body);
}

}  // namespace reckon
