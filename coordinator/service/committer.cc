#include "coordinator/service/committer.h"

#include <algorithm>
#include <optional>
#include <set>

#include "absl/strings/str_cat.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"

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

void Committer::Do(Event event, Done done) {
  absl::Status failure;
  {
    absl::MutexLock lock(&mu_);
    failure = failure_;
    if (failure.ok()) {
      const absl::Time now = clock_->Now();
      event(*core_, now);
      WakeAfterEvent(now);
      if (QueueReply(done)) return;
    }
  }
  done(failure);
}

void Committer::Await(Changed kind, absl::Duration wait, Attempt attempt, Done done) {
  absl::Status failure;
  {
    absl::MutexLock lock(&mu_);
    failure = failure_;
    if (failure.ok()) {
      const absl::Time now = clock_->Now();
      // A call that arrives during the shutdown gets the answer of a call whose time is over.
      const bool last = wait <= absl::ZeroDuration() || waits_ended_;
      if (!attempt(*core_, now, last)) {
        waiters_[kind].push_back({.deadline = now + std::min(wait, kMaxWait),
                                  .attempt = std::move(attempt),
                                  .done = std::move(done)});
        return;
      }
      WakeAfterEvent(now);
      if (QueueReply(done)) return;
    }
  }
  done(failure);
}

void Committer::Submit(SubmitRequest request, const std::shared_ptr<AckSink>& sink) {
  absl::Status failure;
  {
    absl::MutexLock lock(&mu_);
    failure = failure_;
    if (failure.ok()) {
      const absl::Time now = clock_->Now();
      replies_.acks.emplace_back(sink, core_->Submit(std::move(request), now));
      WakeAfterEvent(now);
      return;
    }
  }
  sink->Flush(failure);
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

// Batches that are applied and versions that are not the newest are read from the store. A call for
// one whose record is still to be written waits, and no later event need concern it.
void Committer::WakeAfterCommit() {
  Wake(std::exchange(written_, 0) & (kBatchesChanged | kWeightsChanged), clock_->Now());
}

void Committer::Wake(uint32_t changed, absl::Time now) {
  for (auto& [kind, waiters] : waiters_) {
    bool try_all = (changed & kind) != 0;
    for (auto it = waiters.begin(); it != waiters.end();) {
      const bool last = it->deadline <= now;
      if ((try_all || last) && it->attempt(*core_, clock_->Now(), last)) {
        replies_.done.push_back(std::move(it->done));
        it = waiters.erase(it);
        continue;
      }
      // Every actor asks for the same work: when the first one in line gets none, nobody does.
      if (kind == kWorkChanged) try_all = false;
      ++it;
    }
  }
}

bool Committer::HasWork() const { return stopping_ || !replies_.empty() || core_->HasWrites(); }

bool Committer::IsFull() const {
  return stopping_ || core_->WriteBytes() >= kFullBytes || replies_.acks.size() >= kFullAcks;
}

absl::Status Committer::EvictOneBatch() {
  std::optional<EvictedBatch> batch;
  {
    absl::MutexLock lock(&mu_);
    batch = core_->NextEviction();
  }
  if (!batch.has_value()) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::vector<RolloutKey> unselected, ReadEviction(*store_, *batch));
  absl::MutexLock lock(&mu_);
  core_->Evict(*batch, unselected);
  return absl::OkStatus();
}

bool Committer::PrepareCommit(Writes* writes, Replies* replies) {
  absl::MutexLock lock(&mu_);
  // Without work the loop still runs fifty times a second: leases expire, and calls that wait get
  // their last attempt.
  mu_.AwaitWithTimeout(absl::Condition(this, &Committer::HasWork), kClockTick);
  // Replies alone need no sync, so they do not wait for others to join.
  if (core_->HasWrites()) {
    mu_.AwaitWithTimeout(absl::Condition(this, &Committer::IsFull), options_.sync_tick);
  }
  const absl::Time now = clock_->Now();
  core_->Tick(now);
  // Also without a change: Wake answers the calls whose time is over.
  const uint32_t changed = core_->TakeChanged();
  changed_ |= changed;
  Wake(changed, now);
  if (stopping_ && replies_.empty() && !core_->HasWrites()) return false;
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
    // No write is in progress here, as eviction needs.
    absl::Status status = EvictOneBatch();
    Writes writes;
    Replies replies;
    options_.metrics->activity.Enter(CoordinatorMetrics::kIdle);
    if (!PrepareCommit(&writes, &replies)) return;
    options_.metrics->activity.Enter(CoordinatorMetrics::kCommit);
    if (status.ok() && !writes.empty()) {
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
  }
  replies.Send(reply);
  if (options_.on_failure) options_.on_failure(status);
}

}  // namespace reckon
