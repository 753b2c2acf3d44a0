#ifndef RECKON_TESTS_SUPPORT_RANK_PROCESSES_H_
#define RECKON_TESTS_SUPPORT_RANK_PROCESSES_H_

#include <functional>

#include "common/base/stop.h"
#include "learner/parallel/parallel.h"

namespace reckon {

// Runs the body of a test as two ranks that are processes, as real ranks are. (rank_threads.h has
// ranks that are threads of the test; a process computes on one GPU.)
//
//   the test   a coordinator; starts this program again for each rank, with this test alone
//   a rank     runs the same test and so comes here too: joins the group, runs `body`, ends
//
// A rank fails the test by what it expects and does not get. When a rank ends other than well, the
// other's `stop` is requested, as the membership of a learner group does (membership.h).
//
// With `gpus` each rank has a GPU of its own and a group of NCCL; there must be two.
void AsTwoProcesses(bool gpus, const std::function<void(Parallel&)>& body);

// Of a body: this rank ends here, as one that is killed. The test does not fail by it.
[[noreturn]] void EndRank();

// GPUs of this machine, as far as CUDA_VISIBLE_DEVICES shows them.
int VisibleGpus();

}  // namespace reckon

#endif  // RECKON_TESTS_SUPPORT_RANK_PROCESSES_H_
