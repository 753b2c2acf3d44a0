#include "coordinator/core/evictions.h"

#include <map>
#include <set>
#include <utility>

#include "common/base/status_macros.h"
#include "coordinator/store/store_keys.h"
#include "proto/coordinator.pb.h"

namespace reckon {
namespace {

absl::StatusOr<std::set<uint32_t>> SamplesUnder(const Store& store, const std::string& prefix) {
  std::set<uint32_t> samples;
  RETURN_IF_ERROR(store.Scan(prefix, "", [&](absl::string_view key, absl::string_view) {
    samples.insert(static_cast<uint32_t>(store_keys::LastNumber(key)));
    return true;
  }));
  return samples;
}

}  // namespace

void Evictions::Restore(EvictedBatch batch) {
  waiting_.push_back(std::move(batch));
  written_ = taken_ = waiting_.size();
}

std::optional<EvictedBatch> Evictions::Next() {
  if (!ready()) return std::nullopt;
  reading_ = true;
  return waiting_.front();
}

void Evictions::Evicted(std::shared_ptr<const absl::flat_hash_set<std::string>> rollouts) {
  deleted_ = std::move(rollouts);
  deletion_ = Deletion::kUnwritten;
  waiting_.pop_front();
  --written_;
  --taken_;
  reading_ = false;
}

void Evictions::AddMark(const RolloutKey& rollout) {
  unwritten_marks_.insert(store_keys::Rollout(rollout));
}

bool Evictions::HasRecentMark(const std::string& rollout_key) const {
  return unwritten_marks_.contains(rollout_key) || recent_marks_.contains(rollout_key);
}

bool Evictions::IsDeleted(const RolloutKey& rollout) const {
  return deleted_ != nullptr && deleted_->contains(store_keys::Rollout(rollout));
}

void Evictions::Release() {
  --holds_;
  if (holds_ == 0 && deletion_ == Deletion::kWritten) deleted_ = nullptr;
}

void Evictions::WritesTaken() {
  taken_ = waiting_.size();
  if (deleted_ != nullptr && deletion_ == Deletion::kUnwritten) deletion_ = Deletion::kTaken;
  // While step 2 reads, it may see them or not.
  if (!reading_) recent_marks_.clear();
  recent_marks_.merge(unwritten_marks_);
  unwritten_marks_.clear();
}

void Evictions::Committed() {
  written_ = taken_;
  if (!reading_) recent_marks_.clear();  // from here on step 2 finds them in the store
  if (deleted_ == nullptr || deletion_ != Deletion::kTaken) return;
  deletion_ = Deletion::kWritten;
  if (holds_ == 0) deleted_ = nullptr;
}

absl::StatusOr<Eviction> ReadEviction(const Store& store, EvictedBatch batch) {
  Eviction eviction;
  eviction.rollouts = std::make_shared<absl::flat_hash_set<std::string>>();
  eviction.deletes.Delete(store_keys::Evict(batch.plan, batch.batch));
  std::string bytes = batch.loose;
  if (bytes.empty()) {
    ASSIGN_OR_RETURN(bytes, store.Get(store_keys::Batch(batch.plan, batch.batch)));
    eviction.deletes.Delete(store_keys::Batch(batch.plan, batch.batch));
  }
  BatchHeader header;
  if (!header.ParseFromString(bytes)) return absl::DataLossError("a batch's record is damaged");
  std::map<uint64_t, std::set<uint32_t>> groups;
  for (const RolloutHeader& rollout : header.rollouts()) {
    groups[rollout.key().group()].insert(rollout.key().sample());
  }
  // The header lists no rollouts of a group that was set aside, but those that arrived before that
  // are stored.
  for (uint64_t group : header.set_aside()) {
    ASSIGN_OR_RETURN(groups[group],
                     SamplesUnder(store, store_keys::GroupRollouts(batch.plan, group)));
  }
  RolloutKey key;
  key.set_plan(batch.plan);
  for (const auto& [group, samples] : groups) {
    // One scan a group instead of one read a rollout.
    ASSIGN_OR_RETURN(const std::set<uint32_t> marked,
                     SamplesUnder(store, store_keys::GroupMarks(batch.plan, group)));
    key.set_group(group);
    for (uint32_t sample : samples) {
      if (marked.count(sample) > 0) continue;
      key.set_sample(sample);
      std::string stored = store_keys::Rollout(key);
      eviction.deletes.Delete(stored);
      eviction.rollouts->insert(std::move(stored));
    }
  }
  eviction.batch = std::move(batch);
  return eviction;
}

}  // namespace reckon
