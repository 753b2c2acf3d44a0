#ifndef RECKON_LEARNER_RUN_VERSIONS_H_
#define RECKON_LEARNER_RUN_VERSIONS_H_

#include <cstdint>
#include <functional>

#include "absl/status/statusor.h"
#include "common/model/files/model_folder.h"
#include "learner/context/context.h"

namespace reckon {

// The versions of the policy, from the model to the folder to the actors and back into the model.
// Version 0 is the model folder that the run began with; version v > 0 is published from memory, in
// the type that the learner computes in: whole, or as the adapters over a version that actors have.
// A folder holds whole weights, into which adapters are merged. Of the versions of a run, those
// that a checkpoint was saved with are on disk as well, in <run_dir>/weights/<cursor.folders[v -
// 1]>: at the ends of rounds and stages, where a version is evaluated, every checkpoint_interval
// between, and when a run is stopped.

// A version on every rank: the leader reads its folder, after a save that may be writing it, and
// shares it; a collective. NOT_FOUND after
// DropOldFolders deleted it, or when it was never written.
absl::StatusOr<Weights> OpenVersion(const RunState& run, Parallel& parallel, uint64_t version);

// Loads a version into the model, all of it trainable and without adapters. A collective.
absl::Status LoadVersion(RunState& run, Parallel& parallel, uint64_t version);

// Loads a version into the model as the stage trains it: the same or, with LoRA, frozen under new
// adapters of the stage. A collective.
absl::Status LoadForStage(RunState& run, Parallel& parallel, uint64_t version);

// Prepares the model to be trained from the newest version. A model that neither had nor gets
// adapters keeps its fp32 parameters, which are more precise than the version that was published. A
// collective.
absl::Status ContinueFromNewest(RunState& run, Parallel& parallel);

// The model's weights with their adapters merged, for the leader, from the ranks that
// HelpsWithWholeModel. In an actor's turn they are merged in host memory. With shards a collective
// of all ranks. Throws StatusError.
NamedTensors WeightsForLeader(RankContext& ranks);

// Packs `merged`, the model's, as version cursor.version and publishes it. The model may be trained
// on at once.
absl::Status PublishPolicy(LeaderContext& leader, const NamedTensors& merged);

// Begins to make the memory that the versions of the stage's next `rounds` are packed into, before
// the first samples are there; see VersionBuffers::Prepare.
absl::Status PrepareVersions(LeaderContext& leader, int64_t rounds, bool as_adapters);

// Publishes the model's adapters as version cursor.version, over cursor.adapted_version.
absl::Status PublishAdapters(LeaderContext& leader);

// Publishes version cursor.version from its folder, when a learner starts; or `as_adapters`, those
// of the checkpoint, after the version that they are over.
absl::Status PublishStored(LeaderContext& leader, bool as_adapters);

// What writes the folder of the version that was published last, for the thread of a
// CheckpointWriter; nothing if it is on disk. It holds what it writes: the bytes that
// were published or, of adapters, `merged`, the model's weights with them, and, for PEFT, the
// model's adapters beside them in the subfolder adapter/, which names the folder that they were
// trained over: the model, a version, or, for a run over an adapter, the merged model, written once
// as weights/merged_base. Of SaveRun, which writes it before a checkpoint refers to it, while the
// model still is that version.
absl::StatusOr<std::function<absl::Status()>> KeepPublished(LeaderContext& leader,
                                                            const NamedTensors& merged);

// Reads the run's evaluations, sets leader.kept_versions, and with keep_evaluated: BEST makes
// <run_dir>/best a link to the folder of the best version. After each evaluation, and when a run
// resumes.
absl::Status KeepEvaluated(LeaderContext& leader);

// Deletes old folders, all but: the newest keep_last of them, leader.kept_versions, the one that
// the stage began with (a KL penalty and restart_from refer to it), what a restart from the
// newest durable checkpoint reads, which may be of an earlier stage, and those over which PEFT
// applies the adapters of all these.
void DropOldFolders(LeaderContext& leader);

}  // namespace reckon

#endif  // RECKON_LEARNER_RUN_VERSIONS_H_
