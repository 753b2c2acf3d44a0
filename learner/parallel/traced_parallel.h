#ifndef RECKON_LEARNER_PARALLEL_TRACED_PARALLEL_H_
#define RECKON_LEARNER_PARALLEL_TRACED_PARALLEL_H_

#include <memory>
#include <string>

#include "learner/parallel/rank_groups.h"

namespace reckon {

// The same groups, whose collectives are recorded with what this rank does between them. When all
// are destroyed, `path` is written, a trace for chrome://tracing or Perfetto, with two tracks:
//
//   compute       "compute" between two calls, with the thread's own time in it, which another
//                 program on the same core does not change; "begin" and "wait" inside of a call
//   collectives   each from its begin to the return of its wait, with kind, group and bytes of the
//                 whole
//
// So "wait" is what communication costs this rank, and a collective above "compute" is what it does
// not. Of more than some hundred thousand calls the first are kept. One thread at a time, as in
// every group.
RankGroups MakeTraced(RankGroups groups, std::string path);

// Rank 0 of `world` ranks, of which there are no others: its collectives end at once and every
// other rank seems to hold what this one does. Time and memory of this rank's own work are those of
// a real group; the numbers that it computes are not.
std::unique_ptr<Parallel> MakeAloneOf(int world);

}  // namespace reckon

#endif  // RECKON_LEARNER_PARALLEL_TRACED_PARALLEL_H_
