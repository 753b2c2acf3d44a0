#ifndef RECKON_TESTS_SUPPORT_RANK_THREADS_H_
#define RECKON_TESTS_SUPPORT_RANK_THREADS_H_

#include <functional>

#include "common/base/stop.h"
#include "learner/parallel/parallel.h"

namespace reckon {

// Runs `body` as `world` ranks and returns when all have ended. Each rank is a thread with its own
// end of a Gloo group that meets at an in-process coordinator; real ranks are processes. A group
// that does not form fails the test.
void AsRanks(int world, std::stop_source* stop, const std::function<void(Parallel&)>& body);

}  // namespace reckon

#endif  // RECKON_TESTS_SUPPORT_RANK_THREADS_H_
