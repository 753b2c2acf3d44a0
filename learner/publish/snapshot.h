#ifndef RECKON_LEARNER_PUBLISH_SNAPSHOT_H_
#define RECKON_LEARNER_PUBLISH_SNAPSHOT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/model/files/manifest.h"
#include "common/model/files/model_folder.h"
#include "common/model/kernels/dtype.h"
#include "common/model/weights.h"
#include "learner/publish/version_buffers.h"

namespace reckon {

// What a snapshot has that is not of its base.
struct SnapshotOptions {
  Dtype compute = Dtype::kBf16;
  DigestKind digests = DigestKind::kSha256;
  std::vector<uint32_t> end_ids = {};  // as TrainedFacts; empty: the base's ends are left
  std::string end_token = {};
};

// Packs parameters, fp32 or rounded already, as a weight version with the tensors, their order,
// config, tokenizer and side files of `base`, whose texts then say what was trained
// (exported_texts.h). Values are rounded to the type that the learner's matrix products use (BF16
// or F32), so that actors compute with the same numbers as the learner. Each chunk is rounded and
// digested on the compute threads; parameters of a GPU are copied to the host in fp32 first.
// INVALID_ARGUMENT names a tensor of `base` that is not among the parameters, or is of another
// size.
absl::StatusOr<Weights> TakeSnapshot(const Weights& base, const NamedTensors& parameters,
                                     const SnapshotOptions& options, VersionBuffers* buffers);

// The same for the ScaledAdapters of a model over this version: they alone, without texts.
absl::StatusOr<Weights> TakeAdapters(uint64_t base_version, const NamedTensors& adapters,
                                     const SnapshotOptions& options, VersionBuffers* buffers);

// The bytes of what TakeSnapshot makes, and of what TakeAdapters makes, for
// VersionBuffers::Prepare. Errors as theirs.
absl::StatusOr<uint64_t> SnapshotBytes(const Weights& base, Dtype compute);
absl::StatusOr<uint64_t> AdapterBytes(const NamedTensors& adapters, Dtype compute);

}  // namespace reckon

#endif  // RECKON_LEARNER_PUBLISH_SNAPSHOT_H_
