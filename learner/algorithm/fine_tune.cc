#include "learner/algorithm/fine_tune.h"

#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "common/base/rng.h"
#include "common/base/status_macros.h"
#include "learner/context/shared_device.h"
#include "learner/parallel/c10d_work.h"
#include "learner/run/resume.h"
#include "learner/run/versions.h"
#include "learner/update/policy_update.h"
#include "learner/update/schedule.h"

namespace reckon {
namespace {

// Actors sampled some of these tokens, and the model does not check what it is given.
absl::Status CheckTokens(const std::vector<TrainingSequence>& sequences, const ModelConfig& model) {
  for (size_t i = 0; i < sequences.size(); ++i) {
    for (uint32_t token : sequences[i].tokens) {
      if (model.HasToken(token)) continue;
      return absl::InvalidArgumentError(absl::StrCat("training sequence ", i, ": token ", token,
                                                     " is not in the model's vocabulary of ",
                                                     model.num_tokens()));
    }
  }
  return absl::OkStatus();
}

absl::Status LoadStart(RunState& run, Parallel& parallel, Stage::RestartFrom restart_from) {
  if (restart_from == Stage::PREVIOUS) return ContinueFromNewest(run, parallel);
  const uint64_t version = restart_from == Stage::BASE ? 0 : run.cursor.stage_version();
  return LoadForStage(run, parallel, version);
}

// Which sequences each optimizer step gets: a function of (seed, round, epoch), so that a resumed
// fine-tuning gets the same. The last batch of an epoch may be smaller.
class Batches {
 public:
  Batches(const RunState& run, const std::vector<TrainingSequence>& sequences)
      : sequences_(sequences),
        seed_(run.config.seed()),
        name_(absl::StrCat("order/", RoundName(run))),
        size_(run.stage().training().batch_size()),
        steps_per_epoch_((sequences.size() + size_ - 1) / size_) {}

  int64_t steps_per_epoch() const { return steps_per_epoch_; }

  std::vector<const TrainingSequence*> At(int64_t step) {
    int64_t epoch = step / steps_per_epoch_;
    if (epoch != epoch_) {
      epoch_ = epoch;
      order_.resize(sequences_.size());
      std::iota(order_.begin(), order_.end(), size_t{0});
      Shuffle(order_, StreamKey(seed_, name_, epoch));
    }
    size_t begin = (step % steps_per_epoch_) * size_;
    std::vector<const TrainingSequence*> batch;
    for (size_t i = begin; i < std::min(begin + size_, order_.size()); ++i) {
      batch.push_back(&sequences_[order_[i]]);
    }
    return batch;
  }

 private:
  const std::vector<TrainingSequence>& sequences_;
  const uint64_t seed_;
  const std::string name_;
  const size_t size_;
  const int64_t steps_per_epoch_;
  int64_t epoch_ = -1;
  std::vector<size_t> order_;
};

absl::Status Report(RunState& run, const UpdateResult& result, size_t num_sequences, int64_t step,
                    int64_t total, double epoch) {
  RETURN_IF_ERROR(
      run.reporter->Write({{"loss", result.loss},
                           {"grad_norm", result.grad_norm},
                           {"lr", result.learning_rate},
                           {"epoch", epoch},
                           {"num_samples", double(num_sequences)},
                           {"num_tokens", double(result.tokens)},
                           {"perf/throughput", result.tokens_per_s},
                           {"timing_s/update_policy", result.tokens / result.tokens_per_s}}));
  run.reporter->AddStep(
      absl::StrFormat("%s: step %d/%d  loss %.4f  grad_norm %.3f  lr %.2e  %.0f tok/s",
                      RoundTitle(run), step + 1, total, result.loss, result.grad_norm,
                      result.learning_rate, result.tokens_per_s),
      "loss", result.loss);
  run.reporter->Update(step + 1, result.tokens_per_s);
  return absl::OkStatus();
}

// The optimizer steps from cursor.train_step on.
absl::Status Train(RankContext& ranks, Batches& batches, PolicyUpdate& update, SequenceLoss* loss) {
  RunState& run = ranks.run;
  const TrainingSettings& training = run.stage().training();
  const int64_t total = training.epochs() * batches.steps_per_epoch();
  run.reporter->BeginPhase(absl::StrCat(RoundTitle(run), ": train"), total, "steps");
  run.reporter->Update(run.cursor.train_step(), 0);
  absl::Time saved = absl::Now();
  const int64_t begin = run.cursor.train_step();
  for (int64_t step = begin; step < total; ++step) {
    RETURN_IF_ERROR(SettleSave(ranks, /*wait=*/false));
    const bool now = absl::Now() - saved > run.checkpoint_interval ||
                     (run.checkpoint_steps > 0 && step % run.checkpoint_steps == 0);
    ASSIGN_OR_RETURN(const bool due, AsLeader(ranks, now));
    ASSIGN_OR_RETURN(const bool stops, AnyStops(ranks));
    if ((due || stops) && step > begin) {
      RETURN_IF_ERROR(SaveRun(ranks, &update.moments()));
      saved = absl::Now();
    }
    if (stops) {
      RETURN_IF_ERROR(SettleSave(ranks, /*wait=*/true));
      return Stopped(run);
    }
    CheckHasDevice(run);
    const std::vector<const TrainingSequence*> batch = batches.At(step);
    const absl::StatusOr<UpdateResult> result =
        update.Step(batch, LearningRate(training, step, total), loss);
    if (!result.ok()) {
      // A step that failed because a rank is gone, or took longer than ranks that are stopped have,
      // changed no parameter.
      const bool intact = run.stop.stop_requested() || IsCollectiveError(result.status());
      if (intact && step > begin && !run.model->sharded()) {
        RETURN_IF_ERROR(SaveRun(ranks, &update.moments(), SavedBy::kLeader));
        RETURN_IF_ERROR(SettleSave(ranks, /*wait=*/true));
      }
      return result.status();
    }
    run.trained_at = absl::Now();
    RETURN_IF_ERROR(Report(run, *result, batch.size(), step, total,
                           double(step + 1) / batches.steps_per_epoch()));
    run.cursor.set_train_step(step + 1);
  }
  // The last optimizer step is not saved here: the round's own checkpoint follows it.
  return absl::OkStatus();
}

}  // namespace

absl::Status BroadcastSequences(Parallel& parallel, std::vector<TrainingSequence>* sequences) {
  if (parallel.world() == 1) return absl::OkStatus();
  std::string bytes;
  if (parallel.rank() == 0) bytes = SerializeSequences(*sequences);
  RETURN_IF_ERROR(parallel.Broadcast(&bytes));
  // The leader keeps the sequences that it has instead of parsing its own bytes.
  if (parallel.rank() == 0) return absl::OkStatus();
  ASSIGN_OR_RETURN(*sequences, ParseSequences(bytes));
  return absl::OkStatus();
}

absl::Status FineTune(RankContext& ranks, std::vector<TrainingSequence> sequences,
                      const FineTuneOptions& options) {
  RunState& run = ranks.run;
  RETURN_IF_ERROR(LeaveToLeader(ranks));  // it may still sample them
  RETURN_IF_ERROR(BroadcastSequences(ranks.parallel, &sequences));
  // Every rank checks the same sequences, so all of them return the error; none is left waiting in
  // a collective.
  RETURN_IF_ERROR(CheckTokens(sequences, run.model->config()));
  RETURN_IF_ERROR(AllNeedDevices(ranks));
  // In TRAIN the parameters were restored from the checkpoint and are ahead of every version.
  if (run.cursor.phase() != Cursor::TRAIN) {
    RETURN_IF_ERROR(LoadStart(run, ranks.parallel, options.restart_from));
    run.cursor.set_train_step(0);
  }
  ASSIGN_OR_RETURN(const std::shared_ptr<PolicyUpdate> update, MakePolicyUpdate(ranks));
  // After MakePolicyUpdate, because a checkpoint in this phase must hold the optimizer's moments.
  run.cursor.set_phase(Cursor::TRAIN);
  Batches batches(run, sequences);
  return Train(ranks, batches, *update, options.loss);
}

}  // namespace reckon
