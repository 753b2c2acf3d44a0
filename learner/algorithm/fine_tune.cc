#include "learner/algorithm/fine_tune.h"

#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "common/base/rng.h"
#include "common/base/status_macros.h"
#include "learner/update/policy_update.h"
#include "learner/update/schedule.h"

namespace reckon {
namespace {

// Other processes sampled some of these tokens; the model trusts what it is given.
absl::Status CheckTokens(const std::vector<TrainingSequence>& sequences, int64_t vocab_size) {
  for (size_t i = 0; i < sequences.size(); ++i) {
    for (uint32_t token : sequences[i].tokens) {
      if (token < vocab_size) continue;
      return absl::InvalidArgumentError(absl::StrCat("training sequence ", i, ": token ", token,
                                                     " is not in the model's vocabulary of ",
                                                     vocab_size));
    }
  }
  return absl::OkStatus();
}

absl::Status LoadStart(LearnerContext& context, EiSettings::RestartFrom restart) {
  if (restart == EiSettings::PREVIOUS) return GoOn(context);
  const uint64_t version = restart == EiSettings::BASE ? 0 : context.cursor.stage_version;
  RETURN_IF_ERROR(LoadVersion(context, version));
  Adapt(context, version);
  return absl::OkStatus();
}

// The epochs' sequences, one optimizer step after another.
class Batches {
 public:
  Batches(const LearnerContext& context, const std::vector<TrainingSequence>& sequences)
      : sequences_(sequences),
        seed_(context.config.seed()),
        name_(absl::StrCat("order/", RoundName(context))),
        size_(context.stage().training().batch_size()),
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

absl::Status Report(LearnerContext& context, const UpdateResult& result, size_t num_sequences,
                    int64_t step, int64_t total, double epoch) {
  RETURN_IF_ERROR(
      context.reporter->Write({{"loss", result.loss},
                               {"grad_norm", result.grad_norm},
                               {"lr", result.learning_rate},
                               {"epoch", epoch},
                               {"num_samples", double(num_sequences)},
                               {"num_tokens", double(result.tokens)},
                               {"perf/throughput", result.tokens_per_s},
                               {"timing_s/update_policy", result.tokens / result.tokens_per_s}},
                              &context.cursor.step));
  context.reporter->AddLine(absl::StrFormat(
      "%s: step %d/%d  loss %.4f  grad_norm %.3f  lr %.2e  %.0f tok/s", RoundTitle(context),
      step + 1, total, result.loss, result.grad_norm, result.learning_rate, result.tokens_per_s));
  context.reporter->Update(step + 1, result.tokens_per_s);
  return absl::OkStatus();
}

}  // namespace

absl::Status ShareSequences(LearnerContext& context, std::vector<TrainingSequence>* sequences) {
  if (context.parallel->world() == 1) return absl::OkStatus();
  std::string bytes;
  if (context.parallel->rank() == 0) bytes = SerializeSequences(*sequences);
  RETURN_IF_ERROR(context.parallel->Broadcast(&bytes));
  if (context.parallel->rank() == 0) return absl::OkStatus();
  ASSIGN_OR_RETURN(*sequences, ParseSequences(bytes));
  return absl::OkStatus();
}

absl::Status FineTune(LearnerContext& context, EiSettings::RestartFrom restart,
                      std::vector<TrainingSequence> sequences, SequenceLoss* loss) {
  const TrainingSettings& training = context.stage().training();
  RETURN_IF_ERROR(ShareSequences(context, &sequences));
  RETURN_IF_ERROR(CheckTokens(sequences, context.model->config().vocab_size));
  Batches batches(context, sequences);
  int64_t total = training.epochs() * batches.steps_per_epoch(), step = 0;

  bool resumed = context.resume.has_value() && context.cursor.phase == Cursor::kTrain;
  if (resumed) {
    RETURN_IF_ERROR(Restore(context));
  } else {
    RETURN_IF_ERROR(LoadStart(context, restart));
  }
  std::unique_ptr<PolicyUpdate> update =
      PolicyUpdate::Create(context.model, context.parallel, training,
                           context.config.learner().micro_batch_tokens(), context.extra);
  if (resumed) {
    if (!context.resume->moments.has_value() ||
        context.resume->moments->first.size() != update->moments().first.size()) {
      return absl::DataLossError(
          absl::StrCat("checkpoint ", context.resume->path, " lacks the optimizer's moments"));
    }
    update->moments() = *std::move(context.resume->moments);
    step = context.cursor.train_step;
  }
  context.resume.reset();

  context.cursor.phase = Cursor::kTrain;
  context.reporter->BeginPhase(absl::StrCat(RoundTitle(context), ": train"), total, "steps");
  context.reporter->Update(step, 0);
  absl::Time saved = absl::Now();
  for (; step < total; ++step) {
    context.cursor.train_step = step;
    std::vector<const TrainingSequence*> batch = batches.At(step);
    double rate = LearningRate(training, step, total);
    absl::StatusOr<UpdateResult> result = absl::CancelledError("stopped");
    if (!context.stop->stopped()) result = update->Step(batch, rate, loss);
    if (!result.ok()) {
      // A step that did not end has changed nothing.
      if (context.stop->stopped() && step > 0) RETURN_IF_ERROR(Save(context, &update->moments()));
      return result.status();
    }
    RETURN_IF_ERROR(Report(context, *result, batch.size(), step, total,
                           double(step + 1) / batches.steps_per_epoch()));
    context.cursor.train_step = step + 1;
    bool due = absl::Now() - saved > context.checkpoint_interval ||
               (context.checkpoint_steps > 0 && (step + 1) % context.checkpoint_steps == 0);
    if (due && step + 1 < total) {
      RETURN_IF_ERROR(Save(context, &update->moments()));
      saved = absl::Now();
    }
  }
  return absl::OkStatus();
}

}  // namespace reckon
