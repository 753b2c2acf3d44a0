#include "coordinator/service/committer.h"

#include <algorithm>
#include <optional>
#include <set>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
// Last.
#include "common/base/log.h"

namespace reckon {
namespace {

constexpr absl::Duration kMaxWait = absl::Seconds(30);
constexpr absl::Duration kClockTick = absl::Milliseconds(20);  // how late a lease may expire
// A commit that is as large as this does not wait for others.
constexpr size_t kFullBytes = 2 << 20;
constexpr size_t kFullAcks = 1024;

}  // namespace

Committer::Committer(std::unique_ptr<Core> core, Store* store, Clock* clock, Options options)
    : store_(store), clock_(clock), options_(std::move(options)), core_(std::move(core)) {
  thread_ = std::thread([this] { Run(); });
}

Committer::~Committer() {
  EndWaits();
  {
    absl::MutexLock lock(&mu_);
    stopping_ = true;
  }
  thread_.join();
}

template <typename Step>
absl::Status Committer::WithRecords(Step step) {
  Reads reads;
  while (true) {
    {
      absl::MutexLock lock(&mu_);
      if (!failure_.ok()) return failure_;
      step(clock_->Now(), reads);
      if (!reads.wanted()) return absl::OkStatus();
    }
    if (absl::Status loaded = reads.Load(*store_); !loaded.ok()) {
      absl::MutexLock lock(&mu_);
      core_->Abandon(reads);
      return loaded;
    }
  }
}

void Committer::Do(Event event, Done done) {
  bool queued = false;
  const absl::Status status = WithRecords([&](absl::Time now, Reads& reads) {
    mu_.AssertHeld();
    event(*core_, now, reads);
    if (reads.wanted()) return;
    WakeAfterEvent(now);
    queued = QueueReply(done);
  });
  if (!queued) done(status);
}

void Committer::Await(Changed kind, absl::Duration wait, Attempt attempt, Done done) {
  Try({.kind = kind,
       .deadline = clock_->Now() + std::min(wait, kMaxWait),
       .attempt = std::move(attempt),
       .done = std::move(done)});
}

void Committer::Try(Waiter waiter) {
  bool queued = false;
  const absl::Status status = WithRecords([&](absl::Time now, Reads& reads) {
    mu_.AssertHeld();
    // A call that arrives during the shutdown gets the answer of a call whose time is over.
    const bool last = waiter.deadline <= now || waits_ended_;
    const bool answered = waiter.attempt(*core_, now, last, reads);
    if (reads.wanted()) return;
    if (answered) {
      WakeAfterEvent(now);
      queued = QueueReply(waiter.done);
    } else {
      waiters_[waiter.kind].push_back(std::move(waiter));
      queued = true;
    }
  });
  if (!queued) waiter.done(status);
}

void Committer::Submit(absl::Span<Submission> submissions, const std::shared_ptr<AckSink>& sink) {
  // Outside of the step: where one of them wants a record, those before it are not repeated.
  auto next = submissions.begin();
  const absl::Status status = WithRecords([&](absl::Time now, Reads& reads) {
    mu_.AssertHeld();
    for (; next != submissions.end(); ++next) {
      SubmitReply::Ack ack = core_->Submit(*next, now, reads);
      if (reads.wanted()) return;
      replies_.acks.emplace_back(sink, std::move(ack));
      WakeAfterEvent(now);
    }
  });
  if (!status.ok()) sink->Flush(status);
}

void Committer::EndWaits() {
  absl::MutexLock lock(&mu_);
  waits_ended_ = true;
  Wake(0, absl::InfiniteFuture());
}

bool Committer::QueueReply(Done& done) {
  // The event may have seen what another one left to be written, or what is being written now.
  if (!committing_ && !core_->HasWrites()) return false;
  replies_.done.push_back(std::move(done));
  return true;
}

void Committer::WakeAfterEvent(absl::Time now) {
  if (const uint32_t changed = core_->TakeChanged()) {
    changed_ |= changed;
    Wake(changed, now);
  }
}

// Batches that are applied are read from the store. A call for one whose record is still to be
// written waits, and no later event need concern it.
void Committer::WakeAfterCommit() {
  const uint32_t written = std::exchange(written_, 0) & kBatchesChanged;
  Wake(written | core_->TakeChanged(), clock_->Now());
}

// The waiters that Wake could not answer without the store.
void Committer::TryReading() {
  std::list<Waiter> reading;
  {
    absl::MutexLock lock(&mu_);
    reading.swap(reading_);
  }
  for (Waiter& waiter : reading) Try(std::move(waiter));
}

void Committer::Wake(uint32_t changed, absl::Time now) {
  for (auto& [kind, waiters] : waiters_) {
    bool try_all = (changed & kind) != 0;
    for (auto it = waiters.begin(); it != waiters.end();) {
      const bool last = it->deadline <= now;
      Reads reads;
      if ((try_all || last) && it->attempt(*core_, clock_->Now(), last, reads) && !reads.wanted()) {
        replies_.done.push_back(std::move(it->done));
        it = waiters.erase(it);
        continue;
      }
      if (reads.wanted()) {
        reading_.splice(reading_.end(), waiters, it++);
        continue;
      }
      // Every actor asks for the same work: when the first one in line gets none, nobody does.
      if (kind == kWorkChanged) try_all = false;
      ++it;
    }
  }
}

bool Committer::HasWork() const {
  return stopping_ || !replies_.empty() || !reading_.empty() || core_->HasWrites();
}

bool Committer::IsFull() const {
  return stopping_ || core_->WriteBytes() >= kFullBytes || replies_.acks.size() >= kFullAcks;
}

bool Committer::PrepareCommit(Writes* writes, Replies* replies) {
  absl::MutexLock lock(&mu_);
  // Without work the loop still runs fifty times a second: leases expire, and calls that wait get
  // their last attempt.
  mu_.AwaitWithTimeout(absl::Condition(this, &Committer::HasWork), kClockTick);
  // Replies alone need no sync, so they do not wait for others to join. Nor does an event after a
  // pause, or after a write that took longer than the tick: others have joined during that.
  if (core_->HasWrites()) {
    mu_.AwaitWithDeadline(absl::Condition(this, &Committer::IsFull), begun_ + options_.sync_tick);
    begun_ = absl::Now();
  }
  const absl::Time now = clock_->Now();
  core_->Tick(now);
  // Also without a change: Wake answers the calls whose time is over.
  const uint32_t changed = core_->TakeChanged();
  changed_ |= changed;
  Wake(changed, now);
  if (stopping_ && replies_.empty() && reading_.empty() && !core_->HasWrites()) return false;
  *writes = core_->TakeWrites();
  *replies = std::exchange(replies_, {});
  written_ = std::exchange(changed_, 0);
  // Set under the lock under which the writes were taken. An event that runs during the write sees
  // state that is not durable yet although HasWrites() is false; its reply must wait for the next
  // commit.
  committing_ = true;
  return true;
}

void Committer::Run() {
  while (true) {
    TryReading();
    absl::Status status;
    Writes writes;
    Replies replies;
    options_.metrics->activity.Enter(CoordinatorMetrics::kIdle);
    if (!PrepareCommit(&writes, &replies)) return;
    options_.metrics->activity.Enter(CoordinatorMetrics::kCommit);
    if (!writes.empty()) {
      const absl::Time begin = absl::Now();
      status = store_->Write(writes);
      options_.metrics->commit_seconds.Observe(absl::ToDoubleSeconds(absl::Now() - begin));
    }
    if (!status.ok()) {
      Fail(status);
      status = absl::UnavailableError("the store failed");
    }
    // Without the lock, so that events run while gRPC takes the replies.
    replies.Send(status);
    absl::MutexLock lock(&mu_);
    committing_ = false;
    // After an error it is unknown what the store holds (store.h), so nothing more is written to
    // it; from now on Do, Await and Submit answer at once with the failure.
    if (!failure_.ok()) return;
    core_->Committed();
    WakeAfterCommit();
  }
}

void Committer::Replies::Send(const absl::Status& status) {
  for (const Done& reply : done) reply(status);
  std::set<AckSink*> sinks;
  for (auto& [sink, ack] : acks) {
    if (status.ok()) sink->Add(std::move(ack));
  }
  for (auto& [sink, ack] : acks) {
    // Once a stream and after all its acknowledgements were added, so that they leave in one
    // message.
    if (sinks.insert(sink.get()).second) sink->Flush(status);
  }
}

void Committer::Fail(const absl::Status& status) {
  LOG(ERROR) << "the coordinator stops: " << status.message();
  options_.metrics->activity.SetReady(false);
  const absl::Status reply =
      absl::UnavailableError(absl::StrCat("the coordinator stopped: ", status.message()));
  Replies replies;
  {
    absl::MutexLock lock(&mu_);
    failure_ = reply;
    replies = std::exchange(replies_, {});
    for (auto& [kind, waiters] : waiters_) {
      for (Waiter& waiter : waiters) replies.done.push_back(std::move(waiter.done));
      waiters.clear();
    }
    for (Waiter& waiter : reading_) replies.done.push_back(std::move(waiter.done));
    reading_.clear();
  }
  replies.Send(reply);
  if (options_.on_failure) options_.on_failure(status);
}

}  // namespace reckon
