#include "coordinator/committer.h"

#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "common/base/log.h"

namespace reckon {
namespace {

constexpr absl::Duration kMaxWait = absl::Seconds(30);
constexpr absl::Duration kClockTick = absl::Milliseconds(20);
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
      AfterEvent(now);
      if (committing_ || core_->HasWrites()) {
        replies_.push_back(std::move(done));
        return;
      }
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
      const bool last = wait <= absl::ZeroDuration() || waits_ended_;
      if (!attempt(*core_, now, last)) {
        const absl::Time deadline = now + std::min(wait, kMaxWait);
        waiters_[kind].push_back({deadline, std::move(attempt), std::move(done)});
        return;
      }
      AfterEvent(now);
      if (committing_ || core_->HasWrites()) {
        replies_.push_back(std::move(done));
        return;
      }
    }
  }
  done(failure);
}

void Committer::Submit(const SubmitRequest& request, const std::shared_ptr<AckSink>& sink) {
  absl::Status failure;
  {
    absl::MutexLock lock(&mu_);
    failure = failure_;
    if (failure.ok()) {
      const absl::Time now = clock_->Now();
      acks_.emplace_back(sink, core_->Submit(request, now));
      AfterEvent(now);
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

void Committer::AfterEvent(absl::Time now) {
  if (const uint32_t changed = core_->TakeChanged()) Wake(changed, now);
}

void Committer::Wake(uint32_t changed, absl::Time now) {
  for (auto& [kind, waiters] : waiters_) {
    bool try_all = (changed & kind) != 0;
    for (auto it = waiters.begin(); it != waiters.end();) {
      const bool last = it->deadline <= now;
      if ((try_all || last) && it->attempt(*core_, clock_->Now(), last)) {
        replies_.push_back(std::move(it->done));
        it = waiters.erase(it);
        continue;
      }
      // Work is the same for all: when the first in line gets none, nobody does.
      if (kind == kWorkChanged) try_all = false;
      ++it;
    }
  }
}

bool Committer::HasWork() const {
  return stopping_ || !replies_.empty() || !acks_.empty() || core_->HasWrites();
}

bool Committer::ShouldCommitNow() const {
  return stopping_ || core_->WriteBytes() >= kFullBytes || acks_.size() >= kFullAcks;
}

void Committer::Run() {
  while (true) {
    Writes writes;
    std::vector<Done> replies;
    std::vector<std::pair<std::shared_ptr<AckSink>, SubmitReply::Ack>> acks;
    absl::Status status;
    {
      absl::MutexLock lock(&mu_);
      mu_.AwaitWithTimeout(absl::Condition(this, &Committer::HasWork), kClockTick);
      if (core_->HasWrites()) {
        // Gives others the time to join this sync.
        mu_.AwaitWithTimeout(absl::Condition(this, &Committer::ShouldCommitNow),
                             options_.sync_tick);
      }
      const absl::Time now = clock_->Now();
      core_->Tick(now);
      status = core_->EvictOneBatch();
      Wake(core_->TakeChanged(), now);
      if (stopping_ && replies_.empty() && acks_.empty() && !core_->HasWrites()) return;
      writes = core_->TakeWrites();
      replies.swap(replies_);
      acks.swap(acks_);
      committing_ = true;
    }
    if (status.ok() && !writes.empty()) status = store_->Write(writes);
    if (!status.ok()) {
      Fail(status);
      status = absl::UnavailableError("the store failed");
    }
    for (const Done& done : replies) done(status);
    std::set<AckSink*> sinks;
    for (auto& [sink, ack] : acks) {
      if (status.ok()) sink->Add(std::move(ack));
    }
    for (auto& [sink, ack] : acks) {
      if (sinks.insert(sink.get()).second) sink->Flush(status);
    }
    absl::MutexLock lock(&mu_);
    committing_ = false;
    if (!failure_.ok()) return;
  }
}

void Committer::Fail(const absl::Status& status) {
  LOG(ERROR) << "stopping: " << status.message();
  const absl::Status reply = absl::UnavailableError(absl::StrCat("stopped: ", status.message()));
  std::vector<Done> replies;
  std::vector<std::pair<std::shared_ptr<AckSink>, SubmitReply::Ack>> acks;
  {
    absl::MutexLock lock(&mu_);
    failure_ = reply;
    replies.swap(replies_);
    acks.swap(acks_);
    for (auto& [kind, waiters] : waiters_) {
      for (Waiter& waiter : waiters) replies.push_back(std::move(waiter.done));
      waiters.clear();
    }
  }
  for (const Done& done : replies) done(reply);
  for (auto& [sink, ack] : acks) sink->Flush(reply);
  if (options_.on_failure) options_.on_failure(status);
}

}  // namespace reckon
