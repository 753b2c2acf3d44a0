#ifndef RECKON_ACTOR_ENGINE_ENGINE_H_
#define RECKON_ACTOR_ENGINE_ENGINE_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "actor/engine/work.h"
#include "actor/policy/policy.h"
#include "common/text/tokenizer.h"
#include "proto/coordinator.pb.h"
#include "proto/rollout.pb.h"

namespace reckon {

struct EngineOptions {
  int64_t max_batch = 64;           // samples generated at once
  int64_t max_prefill_rows = 1024;  // rows of one forward pass over contexts
};

struct EngineStats {
  int64_t sampled_tokens = 0;
  int64_t prefilled_tokens = 0;
  int64_t finished_samples = 0;
  int64_t decode_steps = 0;
};

struct FinishedSample {
  uint64_t lease = 0;
  Rollout rollout;
  std::shared_ptr<const Group> group;  // for rewards: the item and the plan
};

// The batch engine: keeps up to max_batch samples of many groups in flight at one weight version.
// A group's context is run once, several groups packed in a forward pass; samples fork from it,
// first come first served, and a finished sample's slot is taken by the next in the same Step.
//
// A group starts only when the pages of its context and of the samples that start with it are free,
// so nothing in flight ever waits for memory. Results depend on (seed, key, weights, sampling
// parameters) only. Used by one thread. Policy and tokenizer must outlive it.
class Engine {
 public:
  const Tokenizer& tokenizer() const { return *tokenizer_; }

  Engine(Policy* policy, const Tokenizer* tokenizer, EngineOptions options)
      : policy_(policy), tokenizer_(tokenizer), options_(options) {}
  ~Engine() { Clear(); }
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Takes a lease into the queue. An error means that it can never be run here.
  absl::Status Admit(const Lease& lease, std::shared_ptr<const PlanSpec> plan);

  // Starts what fits, then draws one token for every sample in flight. Returns what finished. After
  // an error (the policy failed) everything in flight is suspect: Clear, and fail the leases.
  absl::StatusOr<std::vector<FinishedSample>> Step();

  // Forgets a lease's unfinished samples. No-op for a lease it does not have.
  void Drop(uint64_t lease);
  void Clear();

  bool idle() const { return waiting_.empty() && live_.empty(); }
  int64_t running() const { return live_.size(); }
  int64_t waiting() const;  // samples admitted and not yet started
  const EngineStats& stats() const { return stats_; }

 private:
  struct Start {
    std::shared_ptr<Group> group;
    int64_t samples = 0;
  };

  absl::StatusOr<std::vector<Start>> Plan();
  absl::Status Prefill(const std::vector<Start>& starts);
  absl::Status RunRows(const std::vector<Policy::Row>& rows, const std::vector<Group*>& owners);
  absl::Status Launch(const Start& start, std::vector<FinishedSample>* finished);
  absl::Status Decode(std::vector<FinishedSample>* finished);
  void ForgetContext(Group* group);

  Policy* const policy_;
  const Tokenizer* const tokenizer_;
  const EngineOptions options_;
  // Groups with samples to start, in order of arrival. Only the first may be prefilled.
  std::deque<std::shared_ptr<Group>> waiting_;
  std::vector<LiveSample> live_;
  EngineStats stats_;
};

}  // namespace reckon

#endif  // RECKON_ACTOR_ENGINE_ENGINE_H_
