#ifndef RECKON_LEARNER_CHECKPOINT_CHECKPOINT_H_
#define RECKON_LEARNER_CHECKPOINT_CHECKPOINT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "proto/checkpoint.pb.h"

namespace reckon {

// A run resumes from its newest checkpoint that is whole. On disk:
//
//   <run_dir>/checkpoints/step_<cursor.step>/
//     manifest.json        SHA-256 of the rest of the file, newline, CheckpointManifest as JSON
//     parameters_<r>.bin   what rank r wrote of the fp32 parameters, which follow one another
//     adam_first_<r>.bin, adam_second_<r>.bin   in the middle of a fine-tuning (Cursor::TRAIN) or
//                                               ppo stage
//     part_<r>.json        sizes and digests of the three; also in manifest.json
//     replay.bin           cursor.replay as ReplayState, in a ppo stage with prompt replay
//
// How it is made (checkpoint_writer.h):
//
//   BeginCheckpoint    the leader makes step_<s>.<term>.tmp
//   WritePart          each rank that reaches the folder writes and syncs its files, and last
//                      part_<r>.json, which exists only when all before it is durable
//   CommitCheckpoint   the leader, when all parts are there: manifest.json, and the rename
//
// So the folder exists as a whole or not at all, whoever dies when; the digests find what a disk
// damaged later. Which rank wrote what does not matter to a reader: any number of ranks loads it.

// The numbers that a checkpoint has of each element.
enum class CheckpointArray { kParameters, kFirst, kSecond };

// A checkpoint that was opened: what it holds, and where. Copyable; any thread.
struct Checkpoint {
  std::string path;  // of the folder
  CheckpointManifest manifest;

  const Cursor& cursor() const { return manifest.cursor(); }
  bool has_moments() const { return manifest.has_adam_steps(); }
  int64_t elements() const;  // of all parameters
  // Reads elements `begin` .. of an array from the folder, and no others. DATA_LOSS names the file.
  absl::Status Read(CheckpointArray array, int64_t begin, absl::Span<float> to) const;
};

// What one rank writes.
struct CheckpointPiece {
  std::vector<CheckpointPart::Range> ranges;  // of the elements of all parameters
  bool moments = false;
  std::vector<float> parameters, first, second;  // of the ranges; without moments only the first
};

// Makes the folder that the parts of the checkpoint of `step` are written to, and returns its path.
// What an earlier attempt at the same step of the same term left is deleted.
absl::StatusOr<std::string> BeginCheckpoint(const std::string& run_dir, int64_t step,
                                            uint64_t term);
// Writes a rank's part into that folder. Durable when it returns OK.
absl::Status WritePart(const std::string& folder, int rank, const CheckpointPiece& piece);
// Whether the part of `rank` exists.
bool HasPart(const std::string& folder, int rank);
// Makes a checkpoint of the parts of ranks 0 .. parts - 1, which are there, and the rest of
// `manifest`. FAILED_PRECONDITION: that is more than could be read again. Then deletes all but the
// newest `keep_last`, and those of later steps, which belong to an attempt that was given up.
absl::Status CommitCheckpoint(const std::string& run_dir, const std::string& folder,
                              CheckpointManifest manifest, int parts, int keep_last);

// Checks all digests. DATA_LOSS names the file that is missing or damaged, UNIMPLEMENTED a format
// of another program version.
absl::StatusOr<Checkpoint> OpenCheckpoint(const std::string& run_dir, int64_t step);

// The newest one that can be opened; older ones are tried with a warning. Nothing when there is
// none, the last error when none can be opened.
absl::StatusOr<std::optional<Checkpoint>> OpenNewestCheckpoint(const std::string& run_dir);

}  // namespace reckon

#endif  // RECKON_LEARNER_CHECKPOINT_CHECKPOINT_H_
