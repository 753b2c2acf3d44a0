#include "coordinator/service/evictor.h"

#include <algorithm>
#include <utility>

#include "absl/synchronization/notification.h"
#include "common/base/log.h"

namespace reckon {
namespace {

constexpr absl::Duration kWait = absl::Seconds(30);
// About a gigabyte: RocksDB by itself holds some hundred megabytes of what was deleted.
constexpr uint64_t kCompactRollouts = 1 << 19;

}  // namespace

Evictor::Evictor(Committer* committer, Store* store)
    : committer_(committer),
      store_(store),
      thread_([this](const std::stop_token& stop) { Run(stop); }) {}

Evictor::~Evictor() {
  thread_.request_stop();
  thread_.join();
}

void Evictor::Run(const std::stop_token& stop) {
  bool works = true;
  while (works && !stop.stop_requested()) {
    std::optional<EvictedBatch> batch;
    absl::Status status;
    absl::Notification done;
    committer_->Await(
        kEvictionsChanged, kWait,
        [&](Core& core, absl::Time, bool last, Reads&) {
          // Not during the shutdown: what is taken here must be evicted.
          if (!last) batch = core.NextEviction();
          return last || batch.has_value();
        },
        [&](const absl::Status& answered) {
          status = answered;
          done.Notify();
        });
    done.WaitForNotification();
    works = status.ok() && (!batch.has_value() || Evict(*std::move(batch)));
  }
}

bool Evictor::Evict(EvictedBatch batch) {
  absl::StatusOr<Eviction> eviction = ReadEviction(*store_, std::move(batch));
  if (!eviction.ok()) {
    LOG(ERROR) << "nothing more is evicted: " << eviction.status().message();
    return false;
  }
  uint64_t left = 0;
  absl::Status status;
  absl::Notification done;
  committer_->Do(
      [&](Core& core, absl::Time, Reads&) {
        freed_ += eviction->rollouts->size();
        core.Evict(*std::move(eviction));
        left = core.ledger().accepted() - core.evicted();
      },
      [&](const absl::Status& durable) {
        status = durable;
        done.Notify();
      });
  done.WaitForNotification();
  if (!status.ok()) return false;
  if (freed_ < std::max(kCompactRollouts, left)) return true;
  freed_ = 0;
  if (const absl::Status compacted = store_->Compact(); !compacted.ok()) {
    LOG(WARNING) << compacted.message();
  }
  return true;
}

}  // namespace reckon
