#ifndef RECKON_LEARNER_CHECKPOINT_CHECKPOINT_H_
#define RECKON_LEARNER_CHECKPOINT_CHECKPOINT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "learner/update/adamw.h"

namespace reckon {

// What prioritised replay knows of a ppo stage's problems.
struct ReplayState {
  struct Seen {
    uint64_t problem = 0;  // index in the training data
    double score = 0;      // what its last samples taught
    int64_t step = 0;      // when that was
    bool operator==(const Seen&) const = default;
  };
  int64_t fresh = 0;       // new prompts used
  std::vector<Seen> seen;  // by problem
  bool operator==(const ReplayState&) const = default;
};

// Where a run is: everything else it needs to go on is in the config, the data, the coordinator's
// store, or follows from these.
struct Cursor {
  enum Phase {
    kBegin = 0,    // nothing of this stage's round is done
    kTrain = 1,    // in the middle of its fine-tuning
    kTrained = 2,  // fine-tuned, weight folder written; to be published and evaluated
  };
  int64_t stage = 0;  // index in the config
  int64_t round = 0;  // of an ei stage, from 0
  Phase phase = kBegin;
  int64_t train_step = 0;      // kTrain: optimizer steps done of this fine-tuning
  int64_t step = 0;            // next line of metrics.jsonl
  int64_t evals = 0;           // evaluations done
  uint64_t version = 0;        // newest weight version
  uint64_t stage_version = 0;  // version the stage began with
  double kl_coef = 0;          // of a ppo stage, as far as it was steered
  int64_t batches = 0;         // of a ppo stage, that its steps have taken
  // What the adapters that are the checkpoint's parameters lie on. None: they are whole weights.
  std::optional<uint64_t> adapted_version;
  ReplayState replay;                // of a ppo stage that replays prompts
  std::vector<std::string> folders;  // version v > 0 lies in weights/<folders[v - 1]>
  std::vector<std::string> lines;    // of the progress display

  bool operator==(const Cursor&) const = default;
};

struct Checkpoint {
  std::string path;
  Cursor cursor;
  std::vector<std::pair<std::string, std::vector<float>>> parameters;
  std::optional<AdamMoments> moments;  // in kTrain
};

// Writes <run_dir>/checkpoints/step_<cursor.step>: binary files, then a manifest with their
// digests, in a temporary folder that is renamed when all is synced. Then deletes all but the
// newest `keep_last`. `moments` may be null.
absl::Status SaveCheckpoint(
    const std::string& run_dir, const Cursor& cursor,
    absl::Span<const std::pair<std::string, absl::Span<const float>>> parameters,
    const AdamMoments* moments, int keep_last);

// Steps of the checkpoints that are there, oldest first, good or not.
std::vector<int64_t> ListCheckpoints(const std::string& run_dir);

// DATA_LOSS names the file that is damaged.
absl::StatusOr<Checkpoint> LoadCheckpoint(const std::string& run_dir, int64_t step);

// The newest one that is whole; older ones are tried with a warning. Nothing when there is none at
// all, DATA_LOSS when all are damaged.
absl::StatusOr<std::optional<Checkpoint>> LoadNewestCheckpoint(const std::string& run_dir);

}  // namespace reckon

#endif  // RECKON_LEARNER_CHECKPOINT_CHECKPOINT_H_
