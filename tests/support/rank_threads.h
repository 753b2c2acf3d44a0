#ifndef RECKON_TESTS_SUPPORT_RANK_THREADS_H_
#define RECKON_TESTS_SUPPORT_RANK_THREADS_H_

#include <functional>

#include "absl/types/span.h"
#include "common/base/stop.h"
#include "learner/parallel/rank_groups.h"

namespace reckon {

// Runs `body` as `world` ranks and returns when all have ended. Each rank is a thread with its own
// end of a Gloo group that meets at an in-process coordinator; real ranks are processes. A group
// that does not form fails the test.
void AsRanks(int world, std::stop_source* stop, const std::function<void(Parallel&)>& body);
// The same, where stops[rank] is the rank's alone.
void AsRanks(absl::Span<const std::stop_token> stops, const std::function<void(Parallel&)>& body);
// The same for ranks in the groups of learner.sharding: HYBRID.
void AsHybridRanks(int world, int shard_ranks, std::stop_source* stop,
                   const std::function<void(RankGroups&)>& body);

}  // namespace reckon

#endif  // RECKON_TESTS_SUPPORT_RANK_THREADS_H_
