#include "tests/support/cuda_on_cpu/grid.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <numeric>
#include <vector>

#include "common/base/rng.h"
// Last.

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif
// Last.
#include "common/base/log.h"

// Keeps what a call must keep and where the stack is in *from, and continues where `to` was kept.
// In place of swapcontext, which enters the kernel and under the sanitizer clears the shadow of a
// whole stack, at each of the many barriers.
extern "C" void reckon_switch_stack(void** from, void* to);
asm(R"(
.text
.globl reckon_switch_stack
.type reckon_switch_stack, @function
reckon_switch_stack:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size reckon_switch_stack, .-reckon_switch_stack
)");

namespace reckon {
namespace {

constexpr unsigned kWarp = 32;
constexpr size_t kStack = 256 << 10;  // the sanitizer's frames are large
constexpr unsigned kMostThreads = 1024;

enum class Waits { kNothing, kWarp, kBlock, kEnded };

struct Fiber {
  void* stack;  // where it continues
  GridIndex thread;
  Waits waits = Waits::kNothing;
  std::source_location where;
};

// The stacks of all fibers; pages that no fiber has touched take no memory.
char* Stacks() {
  static char* const stacks = [] {
    void* memory = mmap(nullptr, kStack * kMostThreads, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(memory != MAP_FAILED);
    return static_cast<char*>(memory);
  }();
  return stacks;
}

// One block while it runs.
class Block {
 public:
  Block(GridIndex index, GridIndex threads, const std::function<void()>& kernel, uint64_t* rounds,
        uint64_t seed)
      : index_(index),
        kernel_(kernel),
        fibers_(threads.x * threads.y * threads.z),
        values_(fibers_.size()),
        rounds_(*rounds),
        seed_(seed) {
    for (size_t i = 0; i < fibers_.size(); ++i) {
      const unsigned n = i;
      fibers_[i].thread = {n % threads.x, n / threads.x % threads.y, n / threads.x / threads.y};
    }
  }

  void Run();

  GridIndex index() const { return index_; }
  const Fiber& fiber() const { return fibers_[current_]; }
  unsigned lane() const { return current_ % kWarp; }

  void Wait(Waits waits, const std::source_location& where) {
    fibers_[current_].waits = waits;
    fibers_[current_].where = where;
    SwitchOut(/*ends=*/false);
  }
  void Exchange(void* value, size_t bytes, unsigned lane, const std::source_location& where);
  unsigned Ballot(bool vote, const std::source_location& where);

 private:
  static void Enter();
  void SwitchIn(size_t fiber);
  void SwitchOut(bool ends);
  bool Release(size_t begin, size_t end, Waits at);
  std::pair<size_t, size_t> WarpOf(size_t fiber) const {
    const size_t begin = fiber / kWarp * kWarp;
    return {begin, std::min(begin + kWarp, fibers_.size())};
  }

  const GridIndex index_;
  const std::function<void()>& kernel_;
  std::vector<Fiber> fibers_;
  std::vector<uint64_t> values_;  // what each lane gives to its warp
  uint64_t& rounds_;
  const uint64_t seed_;
  size_t current_ = 0;
  void* scheduler_ = nullptr;  // where Run continues
#ifdef __SANITIZE_ADDRESS__
  const void* scheduler_stack_ = nullptr;
  size_t scheduler_size_ = 0;
#endif
};

Block* running = nullptr;
uint64_t grid_seed = 1;
int64_t grids_run = 0;

void Block::Enter() {
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_finish_switch_fiber(nullptr, &running->scheduler_stack_, &running->scheduler_size_);
#endif
  running->kernel_();
  running->fibers_[running->current_].waits = Waits::kEnded;
  running->SwitchOut(/*ends=*/true);
}

void Block::SwitchIn(size_t fiber) {
  current_ = fiber;
#ifdef __SANITIZE_ADDRESS__
  void* fake = nullptr;
  __sanitizer_start_switch_fiber(&fake, Stacks() + fiber * kStack, kStack);
#endif
  reckon_switch_stack(&scheduler_, fibers_[fiber].stack);
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_finish_switch_fiber(fake, nullptr, nullptr);
#endif
}

void Block::SwitchOut(bool ends) {
#ifdef __SANITIZE_ADDRESS__
  void* fake = nullptr;
  __sanitizer_start_switch_fiber(ends ? nullptr : &fake, scheduler_stack_, scheduler_size_);
#endif
  reckon_switch_stack(&fibers_[current_].stack, scheduler_);
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_finish_switch_fiber(fake, &scheduler_stack_, &scheduler_size_);
#endif
}

// Lets fibers begin .. end-1 continue, if all that have not ended wait at one barrier of this kind.
bool Block::Release(size_t begin, size_t end, Waits at) {
  const Fiber* first = nullptr;
  for (size_t i = begin; i < end; ++i) {
    const Fiber& fiber = fibers_[i];
    if (fiber.waits == Waits::kEnded) continue;
    if (fiber.waits != at) return false;
    if (first == nullptr) first = &fiber;
    CHECK(fiber.where.line() == first->where.line() &&
          std::strcmp(fiber.where.file_name(), first->where.file_name()) == 0)
        << "threads wait at different barriers: " << fiber.where.file_name() << ":"
        << fiber.where.line() << " and " << first->where.file_name() << ":" << first->where.line();
  }
  if (first == nullptr) return false;
  for (size_t i = begin; i < end; ++i) {
    if (fibers_[i].waits == at) fibers_[i].waits = Waits::kNothing;
  }
  return true;
}

void Block::Run() {
  running = this;
  for (size_t i = 0; i < fibers_.size(); ++i) {
    char* const top = Stacks() + (i + 1) * kStack;
#ifdef __SANITIZE_ADDRESS__
    // Of the fiber that had this stack before, which never returned.
    __asan_unpoison_memory_region(top - kStack / 16, kStack / 16);
#endif
    // As if Enter had been called, whose caller it never returns to: six registers, Enter, and an
    // address that a call would have left.
    void** const frame = reinterpret_cast<void**>(top) - 8;
    std::fill_n(frame, 8, nullptr);
    frame[6] = reinterpret_cast<void*>(&Enter);
    fibers_[i].stack = frame;
  }
  std::vector<size_t> order(fibers_.size());
  std::iota(order.begin(), order.end(), size_t{0});
  bool released = true;
  while (released) {
    Shuffle(order, StreamKey(seed_, "grid", rounds_++));
    for (size_t i : order) {
      if (fibers_[i].waits == Waits::kNothing) SwitchIn(i);
    }
    released = false;
    for (size_t i = 0; i < fibers_.size(); i += kWarp) {
      const auto [begin, end] = WarpOf(i);
      if (Release(begin, end, Waits::kWarp)) released = true;
    }
    if (!released) released = Release(0, fibers_.size(), Waits::kBlock);
  }
  for (const Fiber& fiber : fibers_) {
    CHECK(fiber.waits == Waits::kEnded)
        << "a thread waits for others that never come: " << fiber.where.file_name() << ":"
        << fiber.where.line();
  }
  running = nullptr;
}

void Block::Exchange(void* value, size_t bytes, unsigned lane, const std::source_location& where) {
  CHECK_LE(bytes, sizeof(uint64_t));
  std::memcpy(&values_[current_], value, bytes);
  Wait(Waits::kWarp, where);
  const auto [begin, end] = WarpOf(current_);
  const size_t from = begin + lane;
  if (lane < kWarp && from < end && fibers_[from].waits != Waits::kEnded) {
    std::memcpy(value, &values_[from], bytes);
  }
  // None overwrites its value before all have read.
  Wait(Waits::kWarp, where);
}

unsigned Block::Ballot(bool vote, const std::source_location& where) {
  values_[current_] = vote ? 1 : 0;
  Wait(Waits::kWarp, where);
  const auto [begin, end] = WarpOf(current_);
  unsigned votes = 0;
  for (size_t i = begin; i < end; ++i) {
    if (fibers_[i].waits != Waits::kEnded && values_[i] != 0) votes |= 1u << (i - begin);
  }
  Wait(Waits::kWarp, where);
  return votes;
}

}  // namespace

void RunGrid(GridIndex blocks, GridIndex threads, const std::function<void()>& kernel) {
  CHECK(running == nullptr) << "a kernel launches another";
  ++grids_run;
  uint64_t rounds = 0;
  for (unsigned z = 0; z < blocks.z; ++z) {
    for (unsigned y = 0; y < blocks.y; ++y) {
      for (unsigned x = 0; x < blocks.x; ++x) {
        Block({x, y, z}, threads, kernel, &rounds, grid_seed).Run();
      }
    }
  }
}

int64_t GridsRun() { return grids_run; }
void SetGridSeed(uint64_t seed) { grid_seed = seed; }
GridIndex CurrentThread() { return running->fiber().thread; }
GridIndex CurrentBlock() { return running->index(); }
unsigned CurrentLane() { return running->lane(); }
void WaitForBlock(const std::source_location& where) { running->Wait(Waits::kBlock, where); }
void WaitForWarp(const std::source_location& where) { running->Wait(Waits::kWarp, where); }
void ExchangeInWarp(void* value, size_t bytes, unsigned lane, const std::source_location& where) {
  running->Exchange(value, bytes, lane, where);
}
unsigned BallotOfWarp(bool vote, const std::source_location& where) {
  return running->Ballot(vote, where);
}

}  // namespace reckon
