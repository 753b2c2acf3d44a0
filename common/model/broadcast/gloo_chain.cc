#include "common/model/broadcast/gloo_chain.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>

#include <algorithm>
#include <chrono>
#include <deque>
#include <thread>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/cleanup/cleanup.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "common/base/status_macros.h"
#include "common/model/broadcast/gloo_group.h"
#include "common/model/torch_status.h"

namespace reckon {
namespace {

// Small, because a chain of n members is n pieces long.
constexpr uint64_t kPieceBytes = 1 << 20;
// Pieces that a member has asked for, or has sent, and that are not done: enough to fill a link
// while one of them waits for a thread.
constexpr size_t kUnderWay = 8;

// Tags of messages.
constexpr int kPieces = 0, kDone = 1;

using WorkPtr = c10::intrusive_ptr<c10d::Work>;

// Why a pass must end early, told by any thread to the one that waits for a work. Thread-safe.
class Interrupt {
 public:
  void Raise(const absl::Status& why) {
    absl::MutexLock lock(&mu_);
    if (why_.ok()) why_ = why;
    for (const WorkPtr& work : waited_for_) work->abort();
  }
  absl::Status why() {
    absl::MutexLock lock(&mu_);
    return why_;
  }
  // Waits for a work, for `limit` at most. Throws its error; a wait that lasts too long is one, and
  // breaks all connections of the group.
  absl::Status Wait(const WorkPtr& work, absl::Duration limit) {
    {
      absl::MutexLock lock(&mu_);
      RETURN_IF_ERROR(why_);
      waited_for_.push_back(work);
    }
    const auto leave = absl::MakeCleanup([&] {
      absl::MutexLock lock(&mu_);
      std::erase(waited_for_, work);
    });
    // c10d means no limit by zero.
    if (limit < absl::Milliseconds(1)) return absl::DeadlineExceededError("too slow");
    if (!work->wait(absl::ToChronoMilliseconds(limit))) return absl::CancelledError("aborted");
    return absl::OkStatus();
  }

 private:
  absl::Mutex mu_;
  absl::Status why_ ABSL_GUARDED_BY(mu_);
  std::vector<WorkPtr> waited_for_ ABSL_GUARDED_BY(mu_);
};

class GlooChain : public BroadcastGroup {
 public:
  GlooChain(c10::intrusive_ptr<c10d::ProcessGroupGloo> group, absl::Duration silence)
      : group_(std::move(group)),
        silence_(silence),
        rank_(group_->getRank()),
        last_(group_->getSize() - 1) {}

  // Neighbours tell each other when they are done. Each waits for that from the start on, on
  // threads of its own: when a connection breaks, Gloo tells it to who has asked for a message that
  // has not begun to come, but not to who waits for the rest of one that is half there, or half
  // sent.
  absl::Status Pass(absl::Span<char> bytes, absl::Time deadline, const std::stop_token& stop,
                    absl::FunctionRef<void(uint64_t)> arrived) override {
    Interrupt interrupt;
    const std::stop_callback on_stop(stop,
                                     [&] { interrupt.Raise(absl::CancelledError("stopped")); });
    std::vector<std::thread> watches;
    absl::Status status = CatchTorchErrors("broadcast", [&] {
      for (const int neighbour : Neighbours()) {
        std::vector<at::Tensor> one = {at::empty({1}, at::kByte)};
        const WorkPtr done = group_->recv(one, neighbour, kDone);
        watches.emplace_back([&interrupt, done, deadline] {
          const absl::Status alive = CatchTorchErrors(
              "broadcast", [&] { return interrupt.Wait(done, deadline - absl::Now()); });
          if (!alive.ok()) interrupt.Raise(alive);
        });
      }
      return Move(bytes, deadline, &interrupt, arrived);
    });
    if (!status.ok()) interrupt.Raise(status);
    for (std::thread& watch : watches) watch.join();
    return interrupt.why();
  }

 private:
  absl::Status Move(absl::Span<char> bytes, absl::Time deadline, Interrupt* interrupt,
                    absl::FunctionRef<void(uint64_t)> arrived) {
    std::deque<WorkPtr> coming, going;
    const auto finish = [&](std::deque<WorkPtr>* works) -> absl::Status {
      RETURN_IF_ERROR(interrupt->Wait(works->front(), std::min(silence_, deadline - absl::Now())));
      works->pop_front();
      return absl::OkStatus();
    };
    uint64_t asked = 0;
    for (uint64_t at = 0; at < bytes.size(); at += kPieceBytes) {
      if (rank_ > 0) {
        for (; asked < bytes.size() && coming.size() < kUnderWay; asked += kPieceBytes) {
          std::vector<at::Tensor> piece = Piece(bytes, asked);
          coming.push_back(group_->recv(piece, rank_ - 1, kPieces));
        }
        RETURN_IF_ERROR(finish(&coming));
        arrived(std::min<uint64_t>(at + kPieceBytes, bytes.size()));
      }
      if (rank_ == last_) continue;
      if (going.size() == kUnderWay) RETURN_IF_ERROR(finish(&going));
      std::vector<at::Tensor> piece = Piece(bytes, at);
      going.push_back(group_->send(piece, rank_ + 1, kPieces));
    }
    for (const int neighbour : Neighbours()) {
      std::vector<at::Tensor> one = {at::empty({1}, at::kByte)};
      going.push_back(group_->send(one, neighbour, kDone));
    }
    while (!going.empty()) RETURN_IF_ERROR(finish(&going));
    return absl::OkStatus();
  }

  std::vector<int> Neighbours() const {
    std::vector<int> out;
    if (rank_ > 0) out.push_back(rank_ - 1);
    if (rank_ < last_) out.push_back(rank_ + 1);
    return out;
  }

  static std::vector<at::Tensor> Piece(absl::Span<char> bytes, uint64_t at) {
    const absl::Span<char> piece = bytes.subspan(at, kPieceBytes);
    return {at::from_blob(piece.data(), {static_cast<int64_t>(piece.size())}, at::kByte)};
  }

  const c10::intrusive_ptr<c10d::ProcessGroupGloo> group_;
  const absl::Duration silence_;
  const int rank_, last_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<BroadcastGroup>> MakeGlooChain(const BroadcastPlace& place) {
  using Made = absl::StatusOr<std::unique_ptr<BroadcastGroup>>;
  return CatchTorchErrors("connecting a broadcast", [&]() -> Made {
    const GlooGroupOptions options = {.rank = place.rank,
                                      .world = place.world,
                                      .host = place.host,
                                      .timeout = absl::ToChronoMilliseconds(place.silence)};
    const auto store = c10::make_intrusive<RendezvousStore>(place.meet, place.silence);
    return std::make_unique<GlooChain>(MakeGlooGroup(options, store), place.silence);
  });
}

}  // namespace reckon
