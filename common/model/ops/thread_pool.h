#ifndef RECKON_COMMON_MODEL_OPS_THREAD_POOL_H_
#define RECKON_COMMON_MODEL_OPS_THREAD_POOL_H_

#include <cstdint>

#include "absl/functional/function_ref.h"

namespace reckon {

// The threads of the model's kernels: one pool per process, asleep when there is nothing to do, so
// that a role whose turn it is not leaves the cores to the others (OpenMP's threads spin).

// Threads used from now on, the caller's included; 0: all cores. Not while a ParallelFor runs.
void SetComputeThreads(int threads);
int ComputeThreads();

// Calls body(i) for every i in [0, n), each once, on the pool's threads and the caller's; returns
// when all are done. Which thread takes which i is open, so bodies must not depend on it. Calls
// from several threads take turns; a nested call runs on its caller alone.
void ParallelFor(int64_t n, absl::FunctionRef<void(int64_t)> body);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_OPS_THREAD_POOL_H_
