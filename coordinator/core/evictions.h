#ifndef RECKON_COORDINATOR_CORE_EVICTIONS_H_
#define RECKON_COORDINATOR_CORE_EVICTIONS_H_

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "coordinator/store/store.h"
#include "proto/rollout.pb.h"

namespace reckon {

// A durable batch whose rollouts are deleted, except those that a selection names.
struct EvictedBatch {
  std::string plan;
  uint64_t batch = 0;
};

// Which batches wait for eviction (retention SELECTED; with ALL there are none), and what must not
// go wrong between eviction and selections. Part of CoreState; not thread-safe.
//
// One batch can have 65,536 rollouts, so looking up which of them are selected must not happen
// under the lock that every call needs. The committer evicts one batch before a commit:
//
//   1. under the lock    Next()          the batch
//   2. without the lock  ReadEviction()  the batch's rollouts that no selection names, by the store
//   3. under the lock    Core::Evict()   deletes those that no selection has named since
//
// No selection loses a rollout: its mark (key 'n') is on the disk and step 2 sees it, or it is in
// `unwritten_marks_` and step 3 sees it. There is no third case, because the committer's thread is
// the only one that writes, and it writes nothing between steps 1 and 3. Conversely, a selection
// cannot name a rollout whose deletion is on its way to the disk: IsDeleted() refuses it.
//
// Rollouts and the request for their eviction (key 'v') are deleted in one commit. A coordinator
// that is killed before it finds the request again and repeats the eviction.
class Evictions {
 public:
  // The batch is durable as of the next commit.
  void Add(EvictedBatch batch) { waiting_.push_back(std::move(batch)); }
  // A request that the store holds.
  void Restore(EvictedBatch batch);

  // The next batch to evict, if one waits whose records are on the disk. Call when no write is in
  // progress.
  std::optional<EvictedBatch> Next();
  // The front batch is evicted and `rollouts`, by their store keys, are deleted in the next commit.
  void Evicted(const std::vector<std::string>& rollouts);

  // A selection of the next commit names this rollout.
  void AddMark(const RolloutKey& rollout);
  bool HasUnwrittenMark(const RolloutKey& rollout) const;
  // The rollout is deleted, perhaps not yet on the disk.
  bool IsDeleted(const RolloutKey& rollout) const;

  // The writes so far are one commit.
  void WritesTaken();

 private:
  std::deque<EvictedBatch> waiting_;
  size_t written_ = 0;  // of waiting_, from the front: their requests are in the store
  absl::flat_hash_set<std::string> unwritten_marks_;  // since the last commit
  absl::flat_hash_set<std::string> deleted_;          // by the last eviction: one batch at most
};

// Reads the rollouts of a batch, its groups that were set aside included, that no selection in the
// store names. Runs without the core's lock. DATA_LOSS when the batch's record is damaged.
absl::StatusOr<std::vector<RolloutKey>> ReadEviction(const Store& store, const EvictedBatch& batch);

}  // namespace reckon

#endif  // RECKON_COORDINATOR_CORE_EVICTIONS_H_
