#ifndef RECKON_LEARNER_PARALLEL_RANK_GROUPS_H_
#define RECKON_LEARNER_PARALLEL_RANK_GROUPS_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/stop.h"
#include "common/model/backend.h"
#include "learner/parallel/parallel.h"
#include "proto/coordinator.grpc.pb.h"

namespace reckon {

// The groups that a rank of a learner is in, each with connections of its own.
//
//   learner.sharding   all                      shards                 replicas
//   REPLICATED         hold a model each
//   FULL               divide one model
//   HYBRID             divide several models    neighbours, which      ranks that hold the same
//                                               divide one model       shards of different models
//   of 6 ranks with shard_ranks 2:              {0 1} {2 3} {4 5}      {0 2 4} {1 3 5}
//
// Ranks of one machine are neighbours. So weights travel within it, where links are fast, and
// between machines a gradient once an optimizer step.
struct RankGroups {
  std::unique_ptr<Parallel> all;
  std::unique_ptr<Parallel> shards, replicas;  // of HYBRID; else null
  // Of the ranks that divide a model with the leader, if they send it their parts of checkpoints;
  // else null. Threads of CheckpointWriter alone use it (run/resume.h).
  std::unique_ptr<Parallel> senders;
};

// Connects groups of ranks that are processes, and have met (membership.h). Errors as those of
// MakeGloo. Of a Learner; one thread.
class RankConnector {
 public:
  // `address`: of this rank, for the others, as GlooOptions::interface_address. `stop` ends
  // collectives.
  RankConnector(std::string address, uint64_t term,
                std::shared_ptr<Coordinator::StubInterface> stub, std::stop_token stop);

  // A group over the hosts' network; its name is another than that of each other group of the term.
  // `background` as of GlooOptions.
  absl::StatusOr<std::unique_ptr<Parallel>> Hosts(const std::string& name, int rank, int world,
                                                  bool background = false) const;
  // The same ranks with what their devices have to connect them.
  absl::StatusOr<std::unique_ptr<Parallel>> Devices(const std::string& name, Backend backend,
                                                    std::unique_ptr<Parallel> hosts) const;

 private:
  const std::string address_;
  const uint64_t term_;
  const std::shared_ptr<Coordinator::StubInterface> stub_;
  const std::stop_token stop_;
};

// Makes a rank's end of one group, whose name is another than that of each other group it may meet.
using MakeGroup = std::function<absl::StatusOr<std::unique_ptr<Parallel>>(const std::string& name,
                                                                          int rank, int world)>;

// Adds the two groups of HYBRID; every rank of `all` calls it. INVALID_ARGUMENT: shard_ranks does
// not divide the number of ranks.
absl::Status AddHybridGroups(int shard_ranks, const MakeGroup& make, RankGroups* groups);
// Adds the senders, where ranks divide a model; every rank of `all` calls it.
absl::Status AddSenders(const MakeGroup& make, RankGroups* groups);

}  // namespace reckon

#endif  // RECKON_LEARNER_PARALLEL_RANK_GROUPS_H_
