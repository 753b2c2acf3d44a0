#include "learner/publish/broadcaster.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/types/span.h"
#include "common/base/status_macros.h"
#include "common/model/broadcast/broadcast_group.h"
#include "common/model/files/manifest.h"
#include "common/model/transfer/chunk_delta.h"
// Last.
#include "common/base/log.h"

namespace reckon {
namespace {

constexpr uint64_t kFewChunks = 4;
constexpr int kMostDoublings = 6;

absl::Span<const char> ChunkOf(const Weights& weights, uint64_t chunk) {
  return weights.bytes->bytes().subspan(chunk * weights.manifest.chunk_bytes(),
                                        ChunkSize(weights.manifest, chunk));
}

}  // namespace

Broadcaster::Broadcaster(BroadcasterOptions options)
    : options_(std::move(options)),
      meeting_(options_.window, options_.gpu),
      thread_([this] { Loop(); }) {
  LOG(INFO) << "weights: broadcast from " << options_.host << " by "
            << (options_.gpu ? "NCCL" : "Gloo")
            << ", which neither authenticates nor encrypts; every chunk is checked";
}

Broadcaster::~Broadcaster() {
  stop_.request_stop();
  meeting_.End();
  {
    absl::MutexLock lock(&mu_);
    ends_ = true;
  }
  thread_.join();
}

bool Broadcaster::Gains(const Weights& weights) const {
  const WeightManifest& manifest = weights.manifest;
  const uint64_t chunks = Chunks(manifest);
  if (chunks < kFewChunks) return false;
  if (!before_.has_value() || before_->manifest.total_bytes() != manifest.total_bytes() ||
      before_->manifest.chunk_bytes() != manifest.chunk_bytes()) {
    return true;
  }
  // A step moves all tensors alike, so three chunks tell.
  for (const uint64_t chunk : {uint64_t{0}, chunks / 2, chunks - 1}) {
    if (ChunkDelta(ChunkOf(*before_, chunk), ChunkOf(weights, chunk)).empty()) return true;
  }
  return false;
}

void Broadcaster::Begin(uint64_t version, const Weights& weights) {
  const bool gains = Gains(weights);
  before_ = weights;
  std::optional<Task> former;  // its weights are freed without the lock
  absl::MutexLock lock(&mu_);
  former.swap(next_);
  if (gains && left_out_ == 0) {
    meeting_.Open(version);
    next_ = Task{version, weights};
  } else {
    if (gains) --left_out_;
    meeting_.Open(std::nullopt);
  }
}

void Broadcaster::Loop() {
  while (true) {
    std::optional<Task> task;
    {
      absl::MutexLock lock(&mu_);
      mu_.Await(absl::Condition(this, &Broadcaster::HasTask));
      if (ends_) return;
      task.swap(next_);
    }
    const absl::Status status = Broadcast(*task);
    // Nobody has come before the next version, or the learner stops.
    if (absl::IsNotFound(status) || stop_.stop_requested()) continue;
    {
      absl::MutexLock lock(&mu_);
      failures_ = status.ok() ? 0 : failures_ + 1;
      if (failures_ > 1) left_out_ = (1 << std::min(failures_ - 1, kMostDoublings)) - 1;
      LOG_IF(WARNING, !status.ok())
          << "weights: version " << task->version << ", broadcast: " << status
          << "; actors fetch what is missing; the next " << left_out_
          << " versions are not broadcast";
    }
    if (status.ok()) continue;
    group_.reset();
    meeting_.Disband();
  }
}

absl::Status Broadcaster::Broadcast(const Task& task) {
  ASSIGN_OR_RETURN(const BroadcastMeeting::Group members,
                   meeting_.Gather(task.version, stop_.get_token()));
  ++tried_;
  const absl::Time begin = absl::Now();
  if (!members.kept) {
    group_.reset();
    BroadcastPlace place;
    place.world = static_cast<int>(members.members.size()) + 1;
    place.host = options_.host;
    place.gpu = options_.gpu;
    place.silence = options_.silence;
    place.meet = [this](const RendezvousRequest& request, absl::Duration patience,
                        RendezvousReply* reply) { return meeting_.Meet(request, patience, reply); };
    ASSIGN_OR_RETURN(group_, MakeBroadcastGroup(place));
  }
  const absl::Time connected = absl::Now();
  const absl::Span<const char> bytes = task.weights.bytes->bytes();
  // Only read, of rank 0.
  RETURN_IF_ERROR(group_->Pass(absl::MakeSpan(const_cast<char*>(bytes.data()), bytes.size()),
                               connected + BroadcastLimit(bytes.size(), options_.silence),
                               stop_.get_token(), [](uint64_t) {}));
  bytes_sent_ += bytes.size();
  LOG(INFO) << "weights: version " << task.version << " broadcast to " << members.members.size()
            << " actors in " << absl::ToDoubleSeconds(absl::Now() - connected) << " s, "
            << (members.kept ? "connected before"
                             : absl::StrCat("connected in ",
                                            absl::ToDoubleSeconds(connected - begin), " s"));
  return absl::OkStatus();
}

}  // namespace reckon
