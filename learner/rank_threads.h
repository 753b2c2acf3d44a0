#ifndef RECKON_LEARNER_RANK_THREADS_H_
#define RECKON_LEARNER_RANK_THREADS_H_

#include <functional>

#include "common/base/stop_token.h"
#include "learner/parallel/parallel.h"

namespace reckon {

// For tests: runs `body` as `world` ranks, each a thread with a Gloo group of its own, and returns
// when all have ended. A group that does not come together fails the test. Real ranks are
// processes.
void AsRanks(int world, StopToken* stop, const std::function<void(Parallel&)>& body);

}  // namespace reckon

#endif  // RECKON_LEARNER_RANK_THREADS_H_
