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
#include "proto/checkpoint.pb.h"

namespace reckon {

// A run resumes from its newest checkpoint that is whole. On disk:
//
//   <run_dir>/checkpoints/step_<cursor.step>/
//     manifest.json    SHA-256 of the rest of the file, newline, CheckpointManifest as JSON
//     parameters.bin   fp32 parameters, one after another
//     adam_first.bin, adam_second.bin   in the middle of a fine-tuning (Cursor::TRAIN) or ppo stage
//
// The folder is written under another name, synced and renamed, so it exists as a whole or not at
// all; the digests find what a disk damaged later. Rank 0 alone writes and reads; the others get it
// from there (shared_checkpoint.h).
struct Checkpoint {
  std::string path;  // of the folder
  Cursor cursor;
  std::vector<std::pair<std::string, std::vector<float>>> parameters;
  std::optional<AdamMoments> moments;
};

// Writes the checkpoint of cursor.step(). Then deletes all but the newest `keep_last`, and those of
// later steps, which belong to an attempt that was given up. `moments` may be null.
absl::Status SaveCheckpoint(
    const std::string& run_dir, const Cursor& cursor,
    absl::Span<const std::pair<std::string, absl::Span<const float>>> parameters,
    const AdamMoments* moments, int keep_last);

// Steps of the checkpoint folders, oldest first, whole or damaged.
std::vector<int64_t> ListCheckpoints(const std::string& run_dir);

// DATA_LOSS names the file that is missing or damaged, UNIMPLEMENTED a format of another program
// version.
absl::StatusOr<Checkpoint> LoadCheckpoint(const std::string& run_dir, int64_t step);

// The newest one that can be loaded; older ones are tried with a warning. Nothing when there is
// none, the last error when none can be loaded.
absl::StatusOr<std::optional<Checkpoint>> LoadNewestCheckpoint(const std::string& run_dir);

}  // namespace reckon

#endif  // RECKON_LEARNER_CHECKPOINT_CHECKPOINT_H_
