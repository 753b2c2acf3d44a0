#include "coordinator/service/submit_stream.h"

#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "common/net/channel.h"

namespace reckon {
namespace {

constexpr size_t kReusedBytes = 64 << 10;  // of a message whose memory the next one takes

// The state of a stream. It is shared with the committer and may outlive the reactor, whose
// callbacks run on any thread: hence the lock, and a pointer to the reactor that OnDone clears. At
// most one read and one write are in progress. The stream finishes when a read has failed (the
// client closed its half) and every rollout is acknowledged.
class Stream : public AckSink, public std::enable_shared_from_this<Stream> {
 public:
  using Reactor = grpc::ServerBidiReactor<SubmitRequest, SubmitReply>;

  Stream(Reactor* reactor, Committer* committer, std::shared_ptr<const Security> security,
         SubmitLimits* limits)
      : committer_(committer),
        security_(std::move(security)),
        changes_(security_->changes()),
        limits_(limits),
        reactor_(reactor) {}

  void Start() {
    const absl::Status opened = limits_->Open();
    absl::MutexLock lock(&mu_);
    open_ = opened.ok();
    if (open_) {
      reactor_->StartRead(&request_);
    } else {
      finished_ = true;
      reactor_->Finish(ToGrpc(opened));
    }
  }

  void ReadDone(bool ok) {
    {
      absl::MutexLock lock(&mu_);
      if (ok) end_ = Admit();
      if (!ok || !end_.ok()) {
        reads_ended_ = true;
        Proceed();
        return;
      }
      for (const SubmitRequest::LeasedRollout& leased : request_.rollouts()) {
        unacknowledged_.push_back(leased.rollout().size());
        unacknowledged_bytes_ += leased.rollout().size();
      }
      reading_ = false;
    }
    SubmitAll();
    absl::MutexLock lock(&mu_);
    // Not at `reading_ = false` above: between the two, the committer's thread may flush and run
    // Proceed, which must not start a read into request_ while SubmitAll still uses it.
    may_read_ = true;
    Proceed();
  }

  void WriteDone(bool ok) {
    absl::MutexLock lock(&mu_);
    writing_ = false;
    // Counted here and not when the write starts: the window bounds what a client that does not
    // read its acknowledgements can make the coordinator hold.
    for (int i = 0; i < sent_.acks_size(); ++i) {
      unacknowledged_bytes_ -= unacknowledged_.front();
      unacknowledged_.pop_front();
    }
    if (!ok) broken_ = true;
    Proceed();
  }

  void Done() {
    absl::MutexLock lock(&mu_);
    // The committer may still hold acknowledgements of this stream. They are added to it and go
    // nowhere; the actor sends those rollouts again on its next stream.
    reactor_ = nullptr;
    if (open_) limits_->Close(actor_);
  }

  void Add(SubmitReply::Ack ack) override {
    absl::MutexLock lock(&mu_);
    *pending_.add_acks() = std::move(ack);
  }

  void Flush(const absl::Status& status) override {
    absl::MutexLock lock(&mu_);
    if (!status.ok()) {
      error_ = status;
    }
    Proceed();
  }

 private:
  // What was read. No read is in progress, so nothing else uses the request.
  void SubmitAll() {
    const size_t bytes = request_.ByteSizeLong();
    submissions_.resize(request_.rollouts_size());
    for (size_t i = 0; i < submissions_.size(); ++i) {
      submissions_[i].actor = request_.actor();
      submissions_[i].leased.Swap(request_.mutable_rollouts(static_cast<int>(i)));
      submissions_[i].Parse();
    }
    committer_->Submit(absl::MakeSpan(submissions_), shared_from_this());
    // The next ones are parsed into the same memory, but a stream that waits shall hold little.
    if (bytes > kReusedBytes) submissions_.clear();
  }

  // Whether the rollouts that were read may be submitted.
  absl::Status Admit() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    if (security_->changes() != changes_) {
      return absl::UnavailableError("certificates or tokens have changed; open a new stream");
    }
    if (request_.rollouts_size() > kSubmitWindow) {
      return absl::InvalidArgumentError(absl::StrCat("a message of ", request_.rollouts_size(),
                                                     " rollouts; the most are ", kSubmitWindow));
    }
    if (actor_.empty()) {
      const absl::Status entered = limits_->Enter(request_.actor());
      if (entered.ok()) actor_ = request_.actor();
      return entered;
    }
    if (request_.actor() == actor_) return absl::OkStatus();
    return absl::InvalidArgumentError("a stream has the rollouts of one actor");
  }

  // Starts the next read and write if they may start, or finishes.
  void Proceed() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    if (reactor_ == nullptr || finished_) return;
    if (!error_.ok()) {
      if (writing_) return;  // WriteDone finishes
      finished_ = true;
      reactor_->Finish(ToGrpc(error_));
      return;
    }
    if (!writing_ && !broken_ && pending_.acks_size() > 0) {
      // gRPC reads `sent_` until WriteDone, so acknowledgements that arrive meanwhile need a
      // message of their own.
      sent_.Swap(&pending_);
      pending_.Clear();
      writing_ = true;
      reactor_->StartWrite(&sent_);
    }
    if (may_read_ && !reading_ && !reads_ended_ && unacknowledged_.size() < kSubmitWindow &&
        unacknowledged_bytes_ < kSubmitWindowBytes) {
      may_read_ = false;
      reading_ = true;
      reactor_->StartRead(&request_);
    }
    // A broken stream cannot send the acknowledgements that are pending.
    const size_t unsent = broken_ ? pending_.acks_size() : 0;
    const bool drained = unacknowledged_.size() == unsent;
    if (reads_ended_ && drained && !writing_) {
      finished_ = true;
      reactor_->Finish(ToGrpc(end_));
    }
  }

  Committer* const committer_;
  const std::shared_ptr<const Security> security_;
  const uint64_t changes_;  // of security_, when the stream began
  SubmitLimits* const limits_;
  absl::Mutex mu_;
  Reactor* reactor_ ABSL_GUARDED_BY(mu_);
  SubmitRequest request_;                // of the read in progress, then of ReadDone
  std::vector<Submission> submissions_;  // of ReadDone
  SubmitReply pending_ ABSL_GUARDED_BY(mu_);
  SubmitReply sent_;                        // of the write in progress
  std::string actor_ ABSL_GUARDED_BY(mu_);  // of the first message
  // Sizes of the rollouts that were read and whose acknowledgement was not sent, and their sum.
  std::deque<size_t> unacknowledged_ ABSL_GUARDED_BY(mu_);
  size_t unacknowledged_bytes_ ABSL_GUARDED_BY(mu_) = 0;
  bool open_ ABSL_GUARDED_BY(mu_) = false;  // counted by limits_
  bool reading_ ABSL_GUARDED_BY(mu_) = true;
  bool may_read_ ABSL_GUARDED_BY(mu_) = false;
  bool reads_ended_ ABSL_GUARDED_BY(mu_) = false;
  bool writing_ ABSL_GUARDED_BY(mu_) = false;
  bool broken_ ABSL_GUARDED_BY(mu_) = false;
  bool finished_ ABSL_GUARDED_BY(mu_) = false;
  absl::Status error_ ABSL_GUARDED_BY(mu_);  // of the committer: ends the stream at once
  absl::Status end_ ABSL_GUARDED_BY(mu_);    // ends it when everything is acknowledged
};

class SubmitReactor : public grpc::ServerBidiReactor<SubmitRequest, SubmitReply> {
 public:
  SubmitReactor(Committer* committer, std::shared_ptr<const Security> security,
                SubmitLimits* limits)
      : stream_(std::make_shared<Stream>(this, committer, std::move(security), limits)) {
    stream_->Start();
  }
  void OnReadDone(bool ok) override { stream_->ReadDone(ok); }
  void OnWriteDone(bool ok) override { stream_->WriteDone(ok); }
  void OnDone() override {
    stream_->Done();
    delete this;
  }

 private:
  const std::shared_ptr<Stream> stream_;
};

}  // namespace

grpc::ServerBidiReactor<SubmitRequest, SubmitReply>* NewSubmitStream(
    Committer* committer, std::shared_ptr<const Security> security, SubmitLimits* limits) {
  return new SubmitReactor(committer, std::move(security), limits);
}

}  // namespace reckon
