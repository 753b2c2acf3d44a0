#ifndef RECKON_COMMON_BASE_THREAD_POOL_H_
#define RECKON_COMMON_BASE_THREAD_POOL_H_

#include <cstdint>

#include "absl/functional/function_ref.h"

namespace reckon {

// The threads that run the model's kernels: one pool per process, created at first use.
//
// Workers spin for some microseconds between two calls, because the next kernel of a forward pass
// follows at once, and then sleep. An idle role therefore leaves the cores to the other roles of
// the machine. That is why OpenMP is not used: its workers spin for longer.

// Sets the number of threads of later calls, the calling thread included. 0: one for each of the
// UsableCores, which is the default. Must not be called while a ParallelFor runs.
void SetComputeThreads(int threads);
int ComputeThreads();

// Calls body(i) once for every i in [0, n) and returns when all calls have returned. Calls run in
// any order on any thread, so a body must write only what belongs to its own i. `body` must not
// throw. Several threads may call ParallelFor; they take turns. A call from within a body runs on
// its own thread alone.
void ParallelFor(int64_t n, absl::FunctionRef<void(int64_t)> body);

}  // namespace reckon

#endif  // RECKON_COMMON_BASE_THREAD_POOL_H_
