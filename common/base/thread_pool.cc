#include "common/base/thread_pool.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "common/base/machine_limits.h"

namespace reckon {
namespace {

// Spins before sleeping or yielding: about the time between two kernels of one forward pass.
constexpr int kSpins = 2000;

thread_local bool in_parallel = false;

// Tells the processor that this thread spins.
inline void CpuRelax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Runs one ParallelFor, a round, at a time:
//
//   1. The caller posts the round: it is now open.
//   2. Workers that are awake join; caller and workers take indices until none is left.
//   3. The caller closes the round and waits for the workers that joined.
//
// A worker that the scheduler does not run in time never joins and is not waited for. Waiting for
// it would cost a time slice of several milliseconds.
class Pool {
 public:
  explicit Pool(int threads) {
    for (int i = 1; i < threads; ++i) workers_.emplace_back([this] { Work(); });
  }
  ~Pool() {
    stop_.store(true, std::memory_order_relaxed);
    Post(0);
    for (std::thread& worker : workers_) worker.join();
  }

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  void Run(int64_t n, absl::FunctionRef<void(int64_t)> body) {
    absl::MutexLock turn(&turn_);
    body_ = &body;
    n_ = n;
    next_.store(0, std::memory_order_relaxed);
    Post(kOpen);
    Take();
    state_.fetch_and(~kOpen, std::memory_order_acq_rel);
    // Yield after a while: a worker may need the core on which this thread spins.
    for (int spins = 0; (state_.load(std::memory_order_acquire) & kJoined) != 0; ++spins) {
      if (spins < kSpins) {
        CpuRelax();
      } else {
        std::this_thread::yield();
      }
    }
  }

 private:
  // state_ = number of the round | is it open | workers that joined and have not left.
  static constexpr uint64_t kRound = uint64_t{1} << 32;
  static constexpr uint64_t kOpen = uint64_t{1} << 31;
  static constexpr uint64_t kJoined = kOpen - 1;

  void Post(uint64_t open) {
    absl::MutexLock lock(&mu_);  // a sleeper checks its condition when it is released
    uint64_t round = state_.load(std::memory_order_relaxed) / kRound + 1;
    state_.store(round * kRound | open, std::memory_order_release);
  }

  void Take() {
    in_parallel = true;
    for (int64_t i; (i = next_.fetch_add(1, std::memory_order_relaxed)) < n_;) (*body_)(i);
    in_parallel = false;
  }

  uint64_t AwaitRoundAfter(uint64_t seen) {
    auto posted = [this, seen] { return state_.load(std::memory_order_acquire) / kRound != seen; };
    for (int spins = 0; !posted() && spins < kSpins; ++spins) CpuRelax();
    if (!posted()) {
      absl::MutexLock lock(&mu_);
      mu_.Await(absl::Condition(&posted));
    }
    return state_.load(std::memory_order_acquire);
  }

  void Work() {
    uint64_t seen = 0;
    while (true) {
      uint64_t state = AwaitRoundAfter(seen);
      if (stop_.load(std::memory_order_relaxed)) return;
      seen = state / kRound;
      while ((state & kOpen) != 0 && state / kRound == seen) {
        // A failed exchange reloads `state`; the loop ends when the round has closed meanwhile.
        if (!state_.compare_exchange_weak(state, state + 1, std::memory_order_acq_rel)) continue;
        Take();
        state_.fetch_sub(1, std::memory_order_release);
        break;
      }
    }
  }

  absl::Mutex turn_;  // held by the caller of the present round
  absl::Mutex mu_;
  std::atomic<bool> stop_{false};
  std::atomic<uint64_t> state_{0};
  // Written only between rounds, when no worker has joined; read by the workers that joined.
  const absl::FunctionRef<void(int64_t)>* body_ = nullptr;
  int64_t n_ = 0;
  std::atomic<int64_t> next_{0};
  std::vector<std::thread> workers_;
};

std::unique_ptr<Pool>& ThePool() {
  static auto* pool = new std::unique_ptr<Pool>(std::make_unique<Pool>(UsableCores()));
  return *pool;
}

}  // namespace

void SetComputeThreads(int threads) {
  if (threads <= 0) threads = UsableCores();
  if (threads != ThePool()->threads()) ThePool() = std::make_unique<Pool>(threads);
}

int ComputeThreads() { return ThePool()->threads(); }

void ParallelFor(int64_t n, absl::FunctionRef<void(int64_t)> body) {
  if (n <= 1 || in_parallel || ComputeThreads() == 1) {
    for (int64_t i = 0; i < n; ++i) body(i);
    return;
  }
  ThePool()->Run(n, body);
}

}  // namespace reckon
