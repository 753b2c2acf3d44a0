#include "coordinator/service/submit_stream.h"

#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "common/net/channel.h"

namespace reckon {
namespace {

// The state of a stream. It is shared with the committer and may outlive the reactor, whose
// callbacks run on any thread: hence the lock, and a pointer to the reactor that OnDone clears. At
// most one read and one write are in progress. The stream finishes when a read has failed (the
// client closed its half) and every rollout is acknowledged.
class Stream : public AckSink, public std::enable_shared_from_this<Stream> {
 public:
  using Reactor = grpc::ServerBidiReactor<SubmitRequest, SubmitReply>;

  Stream(Reactor* reactor, Committer* committer) : committer_(committer), reactor_(reactor) {}

  void StartRead() {
    absl::MutexLock lock(&mu_);
    reactor_->StartRead(&request_);
  }

  void ReadDone(bool ok) {
    if (!ok) {
      absl::MutexLock lock(&mu_);
      reads_ended_ = true;
      Proceed();
      return;
    }
    {
      absl::MutexLock lock(&mu_);
      ++unacknowledged_;
      reading_ = false;
    }
    // No read is in progress, so nothing else uses request_.
    committer_->Submit(std::move(request_), shared_from_this());
    absl::MutexLock lock(&mu_);
    // Not at `reading_ = false` above: between the two, the committer's thread may flush and run
    // Proceed, which must not start a read into request_ while Submit still moves out of it.
    may_read_ = true;
    Proceed();
  }

  void WriteDone(bool ok) {
    absl::MutexLock lock(&mu_);
    writing_ = false;
    // Counted here and not when the write starts: the window bounds what a client that does not
    // read its acknowledgements can make the coordinator hold.
    unacknowledged_ -= sent_.acks_size();
    if (!ok) broken_ = true;
    Proceed();
  }

  void Done() {
    absl::MutexLock lock(&mu_);
    // The committer may still hold acknowledgements of this stream. They are added to it and go
    // nowhere; the actor sends those rollouts again on its next stream.
    reactor_ = nullptr;
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
    if (may_read_ && !reading_ && !reads_ended_ && unacknowledged_ < kSubmitWindow) {
      may_read_ = false;
      reading_ = true;
      reactor_->StartRead(&request_);
    }
    // A broken stream cannot send the acknowledgements that are pending.
    const bool drained = unacknowledged_ == (broken_ ? pending_.acks_size() : 0);
    if (reads_ended_ && drained && !writing_) {
      finished_ = true;
      reactor_->Finish(grpc::Status::OK);
    }
  }

  Committer* const committer_;
  absl::Mutex mu_;
  Reactor* reactor_ ABSL_GUARDED_BY(mu_);
  SubmitRequest request_;  // of the read in progress, then of ReadDone
  SubmitReply pending_ ABSL_GUARDED_BY(mu_);
  SubmitReply sent_;                             // of the write in progress
  int unacknowledged_ ABSL_GUARDED_BY(mu_) = 0;  // rollouts read, acknowledgement not sent
  bool reading_ ABSL_GUARDED_BY(mu_) = true;
  bool may_read_ ABSL_GUARDED_BY(mu_) = false;
  bool reads_ended_ ABSL_GUARDED_BY(mu_) = false;
  bool writing_ ABSL_GUARDED_BY(mu_) = false;
  bool broken_ ABSL_GUARDED_BY(mu_) = false;
  bool finished_ ABSL_GUARDED_BY(mu_) = false;
  absl::Status error_ ABSL_GUARDED_BY(mu_);
};

class SubmitReactor : public grpc::ServerBidiReactor<SubmitRequest, SubmitReply> {
 public:
  explicit SubmitReactor(Committer* committer)
      : stream_(std::make_shared<Stream>(this, committer)) {
    stream_->StartRead();
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

grpc::ServerBidiReactor<SubmitRequest, SubmitReply>* NewSubmitStream(Committer* committer) {
  return new SubmitReactor(committer);
}

}  // namespace reckon
