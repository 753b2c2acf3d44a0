#ifndef RECKON_COORDINATOR_CORE_EVICTIONS_H_
#define RECKON_COORDINATOR_CORE_EVICTIONS_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "coordinator/store/store.h"
#include "proto/rollout.pb.h"

namespace reckon {

// Rollouts to delete, except those that a selection names: of a batch, or those of a plan that were
// in no batch when it was closed.
struct EvictedBatch {
  std::string plan;
  uint64_t batch = 0;
  std::string
      loose;  // a serialized BatchHeader that lists them; empty: the batch's own record does
};

// What the eviction of a batch does to the store.
struct Eviction {
  EvictedBatch batch;
  // Keys of the rollouts that it deletes. Shared, so that the last owner frees them without a lock.
  std::shared_ptr<absl::flat_hash_set<std::string>> rollouts;
  Writes deletes;  // of these, and of the records of the batch and of the request
};

// Which batches wait for eviction (retention SELECTED; with ALL there are none), and what must not
// go wrong between evictions and selections. Part of CoreState; not thread-safe.
//
// One batch can have 65,536 rollouts, so looking up which of them are selected must neither happen
// under the lock that every call needs nor hold up a commit. A thread of the committer evicts one
// batch at a time:
//
//   1. under the lock    Next()          a batch whose request (key 'v') is on the disk
//   2. without it        ReadEviction()  its rollouts that no selection names, by the store
//   3. under the lock    Core::Evict()   deletes those that no selection has named since
//   4. the commit that deletes them      then the next one
//
// No selection loses a rollout: its mark (key 'n') was on the disk before step 1 and step 2 sees
// it, or it is in `unwritten_marks_` or `recent_marks_` and step 3 sees it. Conversely, a selection
// cannot name a rollout that step 3 deleted: IsDeleted() refuses it until step 4 is done, and from
// then on the store does not have it. A selection reads the store without the lock (reads.h), so
// what it has read must not become false: from Hold to Release step 4 counts as not done.
//
// Rollouts and the request for their eviction are deleted in one commit. A coordinator that is
// killed before it finds the request again and repeats the eviction.
class Evictions {
 public:
  // The batch may be evicted as of the next commit.
  void Add(EvictedBatch batch) { waiting_.push_back(std::move(batch)); }
  // A request that the store holds.
  void Restore(EvictedBatch batch);

  // True when Next has one.
  bool ready() const { return written_ > 0 && !reading_ && deleted_ == nullptr; }
  // Step 1.
  std::optional<EvictedBatch> Next();
  // Step 3: the batch of Next is evicted and these are deleted in the next commit.
  void Evicted(std::shared_ptr<const absl::flat_hash_set<std::string>> rollouts);

  // A selection of the next commit names this rollout.
  void AddMark(const RolloutKey& rollout);
  // A selection named it after step 1 of the eviction in progress, or shortly before.
  bool HasRecentMark(const std::string& rollout_key) const;
  bool has_recent_marks() const { return !unwritten_marks_.empty() || !recent_marks_.empty(); }
  // The rollout is deleted, perhaps not yet on the disk.
  bool IsDeleted(const RolloutKey& rollout) const;
  // A selection reads the store; it is done.
  void Hold() { ++holds_; }
  void Release();

  // The writes so far are one commit; it is on the disk.
  void WritesTaken();
  void Committed();

 private:
  enum class Deletion { kUnwritten, kTaken, kWritten };

  std::deque<EvictedBatch> waiting_;
  // Of waiting_, from the front: requests that are on the disk, and that a commit has.
  size_t written_ = 0, taken_ = 0;
  bool reading_ = false;                              // between steps 1 and 3
  absl::flat_hash_set<std::string> unwritten_marks_;  // since the last commit
  absl::flat_hash_set<std::string> recent_marks_;     // of the commit in progress, or since step 1
  std::shared_ptr<const absl::flat_hash_set<std::string>> deleted_;  // from step 3 to step 4
  Deletion deletion_ = Deletion::kUnwritten;                         // of deleted_
  int holds_ = 0;
};

// Step 2. DATA_LOSS when the batch's record is damaged.
absl::StatusOr<Eviction> ReadEviction(const Store& store, EvictedBatch batch);

}  // namespace reckon

#endif  // RECKON_COORDINATOR_CORE_EVICTIONS_H_
