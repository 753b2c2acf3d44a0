#ifndef RECKON_ACTOR_ENGINE_ENGINE_H_
#define RECKON_ACTOR_ENGINE_ENGINE_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "actor/engine/live_sample.h"
#include "actor/engine/prompt_group.h"
#include "actor/runner/model_runner.h"
#include "common/text/tokenizer.h"
#include "proto/coordinator.pb.h"
#include "proto/rollout.pb.h"

namespace reckon {

struct EngineOptions {
  // Samples in flight at once, and rows of a decoding pass. Each costs pages of the KV cache. 0: as
  // many as the runner says.
  int64_t max_batch = 0;
  // Rows of one pass over contexts. More rows use the cores better but delay the samples in flight.
  int64_t max_prefill_rows = 1024;
};

struct EngineStats {
  int64_t sampled_tokens = 0;
  int64_t prefilled_tokens = 0;
  int64_t finished_samples = 0;
  int64_t decode_passes = 0;
};

struct FinishedSample {
  uint64_t lease = 0;
  Rollout rollout;                           // without rewards and actor
  std::shared_ptr<const PromptGroup> group;  // the item and the plan, from which rewards follow
  absl::Duration took;                       // from its start to its end
  std::vector<std::vector<RankedToken>> ranked = {};  // of each token, where they were asked for
};

// Generates the samples of many prompt groups at once (continuous batching).
//
//   Admit --> waiting --> prefilled --> in flight --> returned by RunPass as finished
//              (groups)    (first group)  (samples)
//
// RunPass does:
//   1. ChooseStarts: which waiting groups start, first come first served, and with how many samples
//   2. Prefill:      run the shared contexts of new groups, several packed in one pass
//   3. Launch:       fork a sequence for each sample that starts
//   4. Decode:       starts one pass that draws one token for every sample in flight, and finishes
//                    the oldest that was started, as soon as the runner lets no more be started
// The slot of a finished sample is taken by the next sample at the next RunPass.
//
// A runner on a GPU is one pass ahead (ModelRunner::decodes_ahead):
//
//   device    | pass 1 | pass 2 | pass 3 | ...        it never waits for the host
//   host      start 1, start 2, finish 1, start 3, finish 2 ...
//
// So a sample that ends with pass n is in pass n+1 as well. What that one draws for it is dropped,
// and no sample changes by it (LiveSample).
//
// Page invariant, so that no sample in flight ever waits for memory (see ChooseStarts):
//   pages reserved + pages counted <= free pages
// A group starts only when the pages of its context and of at least one sample are free.
//
// A rollout depends on the seed, its key, the weights and the sampling parameters, never on the
// batch around it. While samples are in flight, ChangeRunner may give the engine a newer version,
// unless one of them is of a pinned version; then the tokens after that are the newer version's,
// and where the change comes depends on time. Used by one thread. Runner and tokenizer must outlive
// the engine.
class Engine {
 public:
  // `version`: of the runner's weights, for the record.
  Engine(ModelRunner* runner, const Tokenizer* tokenizer, EngineOptions options,
         uint64_t version = 0)
      : runner_(runner),
        tokenizer_(tokenizer),
        options_(options),
        max_batch_(options.max_batch > 0 ? options.max_batch : runner->default_batch()),
        version_(version) {}
  ~Engine() { Clear(); }
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Queues the samples of a lease. `ranked`: how many of the likeliest tokens are kept with each
  // token that is drawn (LiveSample::ranked). An error means that they can never run here.
  absl::Status Admit(const Lease& lease, std::shared_ptr<const PlanSpec> plan, uint32_t ranked = 0);

  // Starts what fits and draws one token for every sample in flight. Returns the finished samples,
  // of which there may be none yet where passes run ahead.
  // After an error of the runner, call Clear: what was in flight is lost and its leases have
  // failed.
  absl::StatusOr<std::vector<FinishedSample>> RunPass();

  // Whether all that is here may continue with a newer version.
  bool MayChangeVersion() const;
  // Finishes the passes that were started, which are the present version's. After an error call
  // Clear.
  absl::Status FinishStarted();
  // Continues with another version of the weights over the same cache, when no pass is started that
  // is not finished: `runner` knows the sequences of the present one. What is in the cache of a
  // sample in flight is kept, or with `recompute` computed again; shared contexts are computed
  // again when further samples start from them. An error is the new version's; after it call Clear.
  absl::Status ChangeRunner(ModelRunner* runner, uint64_t version, bool recompute);

  // Drops the unfinished samples of a lease. Does nothing when it has none.
  void Drop(uint64_t lease);
  // Drops everything.
  void Clear();

  const Tokenizer& tokenizer() const { return *tokenizer_; }
  bool idle() const { return waiting_.empty() && live_.empty() && finished_.empty(); }
  int64_t max_batch() const { return max_batch_; }
  int64_t running() const { return live_.size(); }
  // The samples in flight, between two passes.
  const std::vector<LiveSample>& live() const { return live_; }
  int64_t waiting() const;  // samples that were admitted and have not started
  const EngineStats& stats() const { return stats_; }

 private:
  struct Start {
    std::shared_ptr<PromptGroup> group;
    int64_t samples = 0;
  };

  absl::StatusOr<std::vector<Start>> ChooseStarts();
  absl::Status Prefill(const std::vector<Start>& starts);
  // One pass over context rows. scored[i] is the group to which the i-th log-probability belongs.
  absl::Status RunContextRows(const std::vector<ModelRunner::Row>& rows,
                              const std::vector<PromptGroup*>& scored);
  absl::Status Launch(const Start& start);
  absl::Status Decode();
  absl::Status StartDecode();
  // Appends what the oldest started pass has drawn.
  absl::Status FinishDecode();
  void Finish(const LiveSample& sample, FinishReason why);
  // Gives the samples in flight new sequences, with the tokens that they have.
  absl::Status Recompute();
  void RemoveContext(PromptGroup* group);

  ModelRunner* runner_;
  const Tokenizer* const tokenizer_;
  const EngineOptions options_;
  const int64_t max_batch_;
  uint64_t version_;
  // Groups with pending samples, in order of arrival. Only the first may be prefilled.
  std::deque<std::shared_ptr<PromptGroup>> waiting_;
  std::vector<LiveSample> live_;  // by id, ascending
  uint64_t next_id_ = 0;
  // Decode passes that are not finished, oldest first: the samples of their rows, ascending. Some
  // may be gone.
  struct StartedDecode {
    std::vector<uint64_t> ids;
    uint64_t version = 0;
  };
  std::deque<StartedDecode> started_;
  std::vector<FinishedSample> finished_;  // for RunPass to return
  EngineStats stats_;
};

}  // namespace reckon

#endif  // RECKON_ACTOR_ENGINE_ENGINE_H_
