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
  written_ = waiting_.size();
}

std::optional<EvictedBatch> Evictions::Next() {
  deleted_.clear();  // no write is in progress, so they are gone from the store
  if (written_ == 0) return std::nullopt;
  return waiting_.front();
}

void Evictions::Evicted(const std::vector<std::string>& rollouts) {
  deleted_.insert(rollouts.begin(), rollouts.end());
  waiting_.pop_front();
  --written_;
}

void Evictions::AddMark(const RolloutKey& rollout) {
  unwritten_marks_.insert(store_keys::Rollout(rollout));
}

bool Evictions::HasUnwrittenMark(const RolloutKey& rollout) const {
  return unwritten_marks_.contains(store_keys::Rollout(rollout));
}

bool Evictions::IsDeleted(const RolloutKey& rollout) const {
  return deleted_.contains(store_keys::Rollout(rollout));
}

void Evictions::WritesTaken() {
  written_ = waiting_.size();
  // From here on ReadEviction finds the marks in the store.
  unwritten_marks_.clear();
}

absl::StatusOr<std::vector<RolloutKey>> ReadEviction(const Store& store,
                                                     const EvictedBatch& batch) {
  ASSIGN_OR_RETURN(const std::string bytes, store.Get(store_keys::Batch(batch.plan, batch.batch)));
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
  std::vector<RolloutKey> unselected;
  for (const auto& [group, samples] : groups) {
    // One scan a group instead of one read a rollout.
    ASSIGN_OR_RETURN(const std::set<uint32_t> marked,
                     SamplesUnder(store, store_keys::GroupMarks(batch.plan, group)));
    for (uint32_t sample : samples) {
      if (marked.count(sample) > 0) continue;
      RolloutKey& key = unselected.emplace_back();
      key.set_plan(batch.plan);
      key.set_group(group);
      key.set_sample(sample);
    }
  }
  return unselected;
}

}  // namespace reckon
