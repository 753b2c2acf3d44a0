// Tells ThreadSanitizer about absl::Mutex, absl::CondVar and absl::Notification, whose library is
// not instrumented. Every program and test of the tsan preset links these definitions, which
// precede those of the library and call them by their names in Debian 12's Abseil.

#include <dlfcn.h>

#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"

extern "C" {
void __tsan_acquire(void* address);
void __tsan_release(void* address);
void AnnotateIgnoreReadsBegin(const char* file, int line);
void AnnotateIgnoreReadsEnd(const char* file, int line);
}

namespace absl {
namespace {

// The library's function that ours wraps.
template <typename Function>
Function* Real(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

// While the library unlocks or waits, it evaluates conditions of other threads under its own lock.
struct InLibrary {
  InLibrary() { AnnotateIgnoreReadsBegin(__FILE__, __LINE__); }
  ~InLibrary() { AnnotateIgnoreReadsEnd(__FILE__, __LINE__); }
};

// Runs a call that releases the mutex and acquires it again.
template <typename Call>
auto Relocking(void* mutex, const Call& call) {
  struct Scope {
    explicit Scope(void* m) : mutex(m) { __tsan_release(mutex); }
    ~Scope() { __tsan_acquire(mutex); }
    void* mutex;
  } scope(mutex);
  InLibrary in_library;
  return call();
}

}  // namespace

#define RECKON_REAL(name, ...) static auto* const real = Real<__VA_ARGS__>("_ZN4absl7debian3" name)
#define RECKON_REAL_CONST(name, ...) \
  static auto* const real = Real<__VA_ARGS__>("_ZNK4absl7debian3" name)

void Mutex::Lock() {
  RECKON_REAL("5Mutex4LockEv", void(Mutex*));
  real(this);
  __tsan_acquire(this);
}

void Mutex::Unlock() {
  RECKON_REAL("5Mutex6UnlockEv", void(Mutex*));
  __tsan_release(this);
  InLibrary in_library;
  real(this);
}

bool Mutex::TryLock() {
  RECKON_REAL("5Mutex7TryLockEv", bool(Mutex*));
  const bool locked = real(this);
  if (locked) __tsan_acquire(this);
  return locked;
}

void Mutex::ReaderLock() {
  RECKON_REAL("5Mutex10ReaderLockEv", void(Mutex*));
  real(this);
  __tsan_acquire(this);
}

void Mutex::ReaderUnlock() {
  RECKON_REAL("5Mutex12ReaderUnlockEv", void(Mutex*));
  __tsan_release(this);
  InLibrary in_library;
  real(this);
}

void Mutex::LockWhen(const Condition& condition) {
  RECKON_REAL("5Mutex8LockWhenERKNS0_9ConditionE", void(Mutex*, const Condition&));
  {
    InLibrary in_library;
    real(this, condition);
  }
  __tsan_acquire(this);
}

void Mutex::Await(const Condition& condition) {
  RECKON_REAL("5Mutex5AwaitERKNS0_9ConditionE", void(Mutex*, const Condition&));
  Relocking(this, [&] { real(this, condition); });
}

bool Mutex::AwaitWithTimeout(const Condition& condition, Duration timeout) {
  RECKON_REAL("5Mutex16AwaitWithTimeoutERKNS0_9ConditionENS0_8DurationE",
              bool(Mutex*, const Condition&, Duration));
  return Relocking(this, [&] { return real(this, condition, timeout); });
}

bool Mutex::AwaitWithDeadline(const Condition& condition, Time deadline) {
  RECKON_REAL("5Mutex17AwaitWithDeadlineERKNS0_9ConditionENS0_4TimeE",
              bool(Mutex*, const Condition&, Time));
  return Relocking(this, [&] { return real(this, condition, deadline); });
}

void CondVar::Wait(Mutex* mutex) {
  RECKON_REAL("7CondVar4WaitEPNS0_5MutexE", void(CondVar*, Mutex*));
  Relocking(mutex, [&] { real(this, mutex); });
}

bool CondVar::WaitWithTimeout(Mutex* mutex, Duration timeout) {
  RECKON_REAL("7CondVar15WaitWithTimeoutEPNS0_5MutexENS0_8DurationE",
              bool(CondVar*, Mutex*, Duration));
  return Relocking(mutex, [&] { return real(this, mutex, timeout); });
}

bool CondVar::WaitWithDeadline(Mutex* mutex, Time deadline) {
  RECKON_REAL("7CondVar16WaitWithDeadlineEPNS0_5MutexENS0_4TimeE", bool(CondVar*, Mutex*, Time));
  return Relocking(mutex, [&] { return real(this, mutex, deadline); });
}

// A wait that begins after Notify never locks the mutex: it reads a flag inside the library.
void Notification::Notify() {
  RECKON_REAL("12Notification6NotifyEv", void(Notification*));
  __tsan_release(this);
  __tsan_release(&notified_yet_);  // HasBeenNotified reads it in the header
  real(this);
}

void Notification::WaitForNotification() const {
  RECKON_REAL_CONST("12Notification19WaitForNotificationEv", void(const Notification*));
  real(this);
  __tsan_acquire(const_cast<Notification*>(this));
}

bool Notification::WaitForNotificationWithTimeout(Duration timeout) const {
  RECKON_REAL_CONST("12Notification30WaitForNotificationWithTimeoutENS0_8DurationE",
                    bool(const Notification*, Duration));
  const bool notified = real(this, timeout);
  if (notified) __tsan_acquire(const_cast<Notification*>(this));
  return notified;
}

bool Notification::WaitForNotificationWithDeadline(Time deadline) const {
  RECKON_REAL_CONST("12Notification31WaitForNotificationWithDeadlineENS0_4TimeE",
                    bool(const Notification*, Time));
  const bool notified = real(this, deadline);
  if (notified) __tsan_acquire(const_cast<Notification*>(this));
  return notified;
}

}  // namespace absl
