#ifndef RECKON_TESTS_SUPPORT_CORE_HARNESS_H_
#define RECKON_TESTS_SUPPORT_CORE_HARNESS_H_

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/base/rng.h"
#include "tests/support/stored_core.h"

namespace reckon {

// For tests: valid requests, which a test may spoil, and a core that is committed by hand.

inline PlanSpec MakeSpec(const std::string& name, uint32_t samples, uint32_t groups_per_batch,
                         uint32_t max_open_batches = 1) {
  PlanSpec spec;
  spec.set_name(name);
  spec.set_samples_per_group(samples);
  spec.mutable_sampling()->set_temperature(1);
  spec.mutable_sampling()->set_top_p(1);
  spec.mutable_sampling()->set_max_new_tokens(8);
  RewardSpec* reward = spec.add_rewards();
  reward->set_name("exact");
  reward->set_kind(RewardSpec::EXACT_MATCH_STRICT);
  reward->set_weight(1);
  spec.set_groups_per_batch(groups_per_batch);
  spec.set_max_open_batches(max_open_batches);
  return spec;
}

inline WorkItem MakeItem(uint64_t group) {
  WorkItem item;
  item.set_group(group);
  item.add_prompt_tokens(7);
  item.add_prompt_tokens(100 + static_cast<uint32_t>(group));
  item.mutable_reference()->set_answer("18");
  return item;
}

// A function of its arguments, as a sampler's output is. Another `variant` simulates an actor whose
// output differs although it must not.
inline Rollout MakeRollout(const std::string& plan, uint64_t group, uint32_t sample,
                           uint64_t version, uint32_t variant = 0) {
  Rollout rollout;
  rollout.mutable_key()->set_plan(plan);
  rollout.mutable_key()->set_group(group);
  rollout.mutable_key()->set_sample(sample);
  TokenSpan* prompt = rollout.add_spans();
  prompt->set_kind(TokenSpan::PROMPT);
  *prompt->mutable_tokens() = MakeItem(group).prompt_tokens();
  TokenSpan* sampled = rollout.add_spans();
  sampled->set_kind(TokenSpan::SAMPLED);
  sampled->set_weight_version(version);
  for (uint32_t i = 0; i < 1 + (group + sample) % 3; ++i) {
    sampled->add_tokens(StreamKey(version, plan, group, sample * 8 + i) % 1000 + variant);
    sampled->add_logprobs(-0.5f * (i + 1));
  }
  rollout.set_finish(FINISH_STOP);
  RewardValue* reward = rollout.add_rewards();
  reward->set_name("exact");
  reward->set_value((group + sample) % 2);
  rollout.set_reward(reward->value());
  return rollout;
}

inline WeightManifest MakeManifest(uint64_t version, uint64_t term = 0) {
  WeightManifest manifest;
  manifest.set_version(version);
  manifest.set_term(term);
  manifest.set_total_bytes(6);
  TensorEntry* tensor = manifest.add_tensors();
  tensor->set_name("w");
  tensor->set_dtype("BF16");
  tensor->add_shape(3);
  manifest.set_chunk_bytes(4);
  manifest.add_chunk_sha256(std::string(32, 'a' + static_cast<char>(version % 26)));
  manifest.add_chunk_sha256(std::string(32, 'b'));
  manifest.add_sources("127.0.0.1:1");
  return manifest;
}

inline OpenPlanRequest OpenRequest(const PlanSpec& spec, uint64_t term = 0) {
  OpenPlanRequest request;
  *request.mutable_spec() = spec;
  request.set_term(term);
  return request;
}

inline AppendGroupsRequest AppendRequest(const std::string& plan, uint64_t first, uint64_t count,
                                         bool end = false, uint64_t term = 0) {
  AppendGroupsRequest request;
  request.set_plan(plan);
  request.set_first_group(first);
  for (uint64_t i = 0; i < count; ++i) *request.add_items() = MakeItem(first + i);
  request.set_end_of_plan(end);
  request.set_term(term);
  return request;
}

inline PublishWeightsRequest PublishRequest(uint64_t version, uint64_t term = 0) {
  PublishWeightsRequest request;
  *request.mutable_manifest() = MakeManifest(version, term);
  return request;
}

inline LeaseRequest WantLease(const std::string& actor, uint32_t samples,
                              uint64_t held_version = 0) {
  LeaseRequest request;
  request.set_actor(actor);
  request.set_max_samples(samples);
  request.set_held_version(held_version);
  return request;
}

inline SubmitRequest SubmitOf(const std::string& actor, uint64_t lease, Rollout rollout) {
  SubmitRequest request;
  request.set_actor(actor);
  rollout.set_actor(actor);
  SubmitRequest::LeasedRollout& leased = *request.add_rollouts();
  leased.set_lease(lease);
  leased.set_rollout(rollout.SerializeAsString());
  return request;
}

inline NextBatchRequest BatchRequest(const std::string& plan, uint64_t batch) {
  NextBatchRequest request;
  request.set_plan(plan);
  request.set_batch(batch);
  return request;
}

inline MarkAppliedRequest AppliedRequest(const std::string& plan, uint64_t batch, uint64_t version,
                                         uint64_t term = 0) {
  MarkAppliedRequest request;
  request.set_plan(plan);
  request.set_batch(batch);
  request.set_version(version);
  request.set_term(term);
  return request;
}

// A core over a store that outlives it, committed by hand; time passes only in Advance.
class CoreHarness {
 public:
  explicit CoreHarness(Store* store, CoreOptions options = {}) : store_(store), options_(options) {
    options_.run = "test";
    Restart();
  }

  StoredCore* operator->() { return core_.get(); }
  absl::Time now() const { return now_; }

  // See StoredCore.
  void Commit() {
    const absl::Status status = core_->Commit();
    ASSERT_TRUE(status.ok()) << status;
  }
  // Loses what was not committed, as a kill does.
  void Restart() {
    core_.reset();
    auto core = StoredCore::Recover(store_, options_);
    ASSERT_TRUE(core.ok()) << core.status();
    core_ = *std::move(core);
  }
  void Advance(absl::Duration by) {
    now_ += by;
    core_->Tick(now_);
  }

  std::vector<Lease> LeaseWork(const std::string& actor, uint32_t samples, uint64_t held = 0) {
    auto reply = core_->Lease(WantLease(actor, samples, held), now_);
    EXPECT_TRUE(reply.ok()) << reply.status();
    if (!reply.ok()) return {};
    return {reply->leases().begin(), reply->leases().end()};
  }
  SubmitReply::Ack Submit(const std::string& actor, uint64_t lease, const Rollout& rollout) {
    return core_->Submit(SubmitOf(actor, lease, rollout), now_);
  }
  // Submits every sample of a lease.
  void Finish(const std::string& actor, const Lease& lease) {
    for (uint32_t sample : lease.samples()) {
      const auto ack =
          Submit(actor, lease.id(),
                 MakeRollout(lease.plan(), lease.item().group(), sample, lease.weight_version()));
      EXPECT_EQ(ack.outcome(), SubmitReply::Ack::ACCEPTED) << ack.message();
    }
  }
  // The groups of a batch; empty when it is not cut.
  std::vector<uint64_t> Batch(const std::string& plan, uint64_t batch) {
    auto reply = core_->NextBatch(BatchRequest(plan, batch));
    EXPECT_TRUE(reply.ok()) << reply.status();
    std::vector<uint64_t> groups;
    if (!reply.ok() || !reply->has_value()) return groups;
    for (const RolloutHeader& rollout : (*reply)->header().rollouts()) {
      if (groups.empty() || groups.back() != rollout.key().group()) {
        groups.push_back(rollout.key().group());
      }
    }
    return groups;
  }

 private:
  Store* const store_;
  CoreOptions options_;
  std::unique_ptr<StoredCore> core_;
  absl::Time now_ = absl::FromUnixSeconds(1000);
};

inline uint64_t CountKeys(const Store& store, const std::string& prefix) {
  uint64_t count = 0;
  EXPECT_TRUE(store
                  .Scan(prefix, "",
                        [&](absl::string_view, absl::string_view) {
                          ++count;
                          return true;
                        })
                  .ok());
  return count;
}

}  // namespace reckon

#endif  // RECKON_TESTS_SUPPORT_CORE_HARNESS_H_
