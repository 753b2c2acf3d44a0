#ifndef RECKON_LEARNER_PARALLEL_RANK_GROUPS_H_
#define RECKON_LEARNER_PARALLEL_RANK_GROUPS_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "learner/parallel/parallel.h"

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
};

// Makes a rank's end of one group, whose name is another than that of each other group it may meet.
using MakeGroup = std::function<absl::StatusOr<std::unique_ptr<Parallel>>(const std::string& name,
                                                                          int rank, int world)>;

// Adds the two groups of HYBRID; every rank of `all` calls it. INVALID_ARGUMENT: shard_ranks does
// not divide the number of ranks.
absl::Status AddHybridGroups(int shard_ranks, const MakeGroup& make, RankGroups* groups);

}  // namespace reckon

#endif  // RECKON_LEARNER_PARALLEL_RANK_GROUPS_H_
