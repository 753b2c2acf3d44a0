#include "common/model/ops/thread_pool.h"

#include <immintrin.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace reckon {
namespace {

// Spins before sleeping or yielding: about the time between two kernels of one forward pass.
constexpr int kSpins = 2000;

thread_local bool in_parallel = false;

class Pool {
 public:
  explicit Pool(int threads) {
    for (int i = 1; i < threads; ++i) workers_.emplace_back([this] { Work(); });
  }
  ~Pool() {
    {
      absl::MutexLock lock(&mu_);
      stop_ = true;
      round_.fetch_add(1, std::memory_order_release);
    }
    for (std::thread& worker : workers_) worker.join();
  }

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  void Run(int64_t n, absl::FunctionRef<void(int64_t)> body) {
    absl::MutexLock turn(&turn_);
    body_ = &body;
    n_ = n;
    next_.store(0, std::memory_order_relaxed);
    busy_.store(static_cast<int>(workers_.size()), std::memory_order_relaxed);
    {
      absl::MutexLock lock(&mu_);
      round_.fetch_add(1, std::memory_order_release);
    }
    Take();
    // Yields when it takes long: a worker may be waiting for the core that this thread spins on.
    for (int spins = 0; busy_.load(std::memory_order_acquire) != 0; ++spins) {
      if (spins < kSpins) {
        _mm_pause();
      } else {
        std::this_thread::yield();
      }
    }
  }

 private:
  void Take() {
    in_parallel = true;
    for (int64_t i; (i = next_.fetch_add(1, std::memory_order_relaxed)) < n_;) (*body_)(i);
    in_parallel = false;
  }

  void Work() {
    uint64_t seen = 0;
    while (true) {
      int spins = 0;
      while (round_.load(std::memory_order_acquire) == seen && ++spins < kSpins) _mm_pause();
      if (round_.load(std::memory_order_acquire) == seen) {
        absl::MutexLock lock(&mu_);
        auto changed = [this, seen]() ABSL_SHARED_LOCKS_REQUIRED(mu_) {
          return round_.load(std::memory_order_relaxed) != seen;
        };
        mu_.Await(absl::Condition(&changed));
      }
      ++seen;
      {
        absl::ReaderMutexLock lock(&mu_);
        if (stop_) return;
      }
      Take();
      busy_.fetch_sub(1, std::memory_order_release);
    }
  }

  absl::Mutex turn_;
  absl::Mutex mu_;
  bool stop_ ABSL_GUARDED_BY(mu_) = false;
  std::atomic<uint64_t> round_{0};  // changed under mu_, so that a sleeper sees it
  // Written before round_ grows, read after: the release on round_ orders them.
  const absl::FunctionRef<void(int64_t)>* body_ = nullptr;
  int64_t n_ = 0;
  std::atomic<int64_t> next_{0};
  std::atomic<int> busy_{0};
  std::vector<std::thread> workers_;
};

int AllCores() { return std::max(1u, std::thread::hardware_concurrency()); }

std::unique_ptr<Pool>& ThePool() {
  static auto* pool = new std::unique_ptr<Pool>(std::make_unique<Pool>(AllCores()));
  return *pool;
}

}  // namespace

void SetComputeThreads(int threads) {
  if (threads <= 0) threads = AllCores();
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
