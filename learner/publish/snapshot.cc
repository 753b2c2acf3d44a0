#include "learner/publish/snapshot.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <utility>

#include "ATen/core/Tensor.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/base/thread_pool.h"
#include "common/model/files/weight_bytes.h"
#include "learner/publish/exported_texts.h"

namespace reckon {
namespace {

// One tensor and its place in the buffer.
struct Placed {
  at::Tensor values;  // on the host, contiguous: fp32, or what is packed as it is
  uint64_t begin = 0, end = 0;
};

// The parameters in the order of the manifest. Those of shards are rounded already.
absl::StatusOr<std::vector<Placed>> Place(const WeightManifest& manifest, Dtype compute,
                                          const NamedTensors& parameters) {
  const int64_t element = BytesOf(compute);
  const at::ScalarType type = ScalarTypeOf(compute);
  const std::map<std::string, at::Tensor> by_name(parameters.begin(), parameters.end());
  std::vector<Placed> placed;
  for (const TensorEntry& tensor : manifest.tensors()) {
    const auto parameter = by_name.find(tensor.name());
    const uint64_t next = placed.size() + 1;
    const uint64_t end = next < static_cast<uint64_t>(manifest.tensors_size())
                             ? manifest.tensors(static_cast<int>(next)).offset()
                             : manifest.total_bytes();
    if (parameter == by_name.end() ||
        static_cast<uint64_t>(parameter->second.numel() * element) != end - tensor.offset()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "tensor ", tensor.name(), " of the model folder is not a parameter of the model"));
    }
    at::Tensor values = parameter->second.detach();
    // Rounded where they are, so that half the bytes leave a GPU.
    if (!values.is_cpu()) values = values.to(type);
    values = values.to(at::kCPU, values.scalar_type() == type ? type : at::kFloat).contiguous();
    placed.push_back({std::move(values), tensor.offset(), end});
  }
  return placed;
}

// Rounds what belongs into bytes [begin, end) of the buffer `to`. Parameters are never NaN, which
// ToBf16 could not round: PolicyUpdate takes no step of a gradient that is not finite.
void PackRange(const std::vector<Placed>& placed, Dtype compute, uint64_t begin, uint64_t end,
               char* to) {
  auto tensor = std::partition_point(placed.begin(), placed.end(),
                                     [begin](const Placed& p) { return p.end <= begin; });
  for (; tensor != placed.end() && tensor->begin < end; ++tensor) {
    const uint64_t first = std::max(begin, tensor->begin), last = std::min(end, tensor->end);
    const uint64_t at = first - tensor->begin;
    if (tensor->values.scalar_type() == ScalarTypeOf(compute)) {
      const auto* from = static_cast<const char*>(tensor->values.const_data_ptr());
      std::memcpy(to + first, from + at, last - first);
    } else {
      ToBf16(tensor->values.const_data_ptr<float>() + at / sizeof(uint16_t),
             static_cast<int64_t>((last - first) / sizeof(uint16_t)),
             reinterpret_cast<uint16_t*>(to + first));
    }
  }
}

// Gives the tensors of a manifest, whose names and shapes are set, their type and places.
absl::Status LayOutAs(Dtype compute, WeightManifest* manifest) {
  for (TensorEntry& tensor : *manifest->mutable_tensors()) {
    tensor.set_dtype(compute == Dtype::kBf16 ? "BF16" : "F32");
  }
  return LayOut(manifest);
}

// The tensors of a manifest of adapters, without their type and places.
void AddEntries(const NamedTensors& adapters, WeightManifest* manifest) {
  for (const auto& [name, values] : adapters) {
    TensorEntry& entry = *manifest->add_tensors();
    entry.set_name(name);
    entry.mutable_shape()->Assign(values.sizes().begin(), values.sizes().end());
  }
}

// Packs the parameters of a manifest that is laid out.
absl::Status Fill(const NamedTensors& parameters, const SnapshotOptions& options,
                  VersionBuffers* buffers, Weights* out) {
  WeightManifest& manifest = out->manifest;
  ASSIGN_OR_RETURN(const std::vector<Placed> placed, Place(manifest, options.compute, parameters));
  ASSIGN_OR_RETURN(out->bytes, buffers->Take(manifest.total_bytes()));
  BeginDigests(options.digests, &manifest);
  ParallelFor(static_cast<int64_t>(Chunks(manifest)), [&](int64_t chunk) {
    const uint64_t begin = static_cast<uint64_t>(chunk) * kChunkBytes;
    PackRange(placed, options.compute, begin,
              begin + ChunkSize(manifest, static_cast<uint64_t>(chunk)), out->bytes->data());
    // While the chunk is in the cache.
    SetDigest(static_cast<uint64_t>(chunk), out->bytes->bytes(), &manifest);
  });
  out->bytes->EndFill();
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Weights> TakeSnapshot(const Weights& base, const NamedTensors& parameters,
                                     const SnapshotOptions& options, VersionBuffers* buffers) {
  const bool bf16 = options.compute == Dtype::kBf16;
  Weights out = {base.manifest, nullptr, base.side_files};
  RETURN_IF_ERROR(LayOutAs(options.compute, &out.manifest));
  RETURN_IF_ERROR(SetTrainedFacts({.dtype = bf16 ? "bfloat16" : "float32",
                                   .end_ids = options.end_ids,
                                   .end_token = options.end_token},
                                  out.manifest.mutable_texts(), &out.side_files));
  RETURN_IF_ERROR(Fill(parameters, options, buffers, &out));
  return out;
}

absl::StatusOr<Weights> TakeAdapters(uint64_t base_version, const NamedTensors& adapters,
                                     const SnapshotOptions& options, VersionBuffers* buffers) {
  Weights out;
  out.manifest.set_base_version(base_version);
  AddEntries(adapters, &out.manifest);
  RETURN_IF_ERROR(LayOutAs(options.compute, &out.manifest));
  RETURN_IF_ERROR(Fill(adapters, options, buffers, &out));
  return out;
}

absl::StatusOr<uint64_t> SnapshotBytes(const Weights& base, Dtype compute) {
  WeightManifest manifest;
  *manifest.mutable_tensors() = base.manifest.tensors();
  RETURN_IF_ERROR(LayOutAs(compute, &manifest));
  return manifest.total_bytes();
}

absl::StatusOr<uint64_t> AdapterBytes(const NamedTensors& adapters, Dtype compute) {
  WeightManifest manifest;
  AddEntries(adapters, &manifest);
  RETURN_IF_ERROR(LayOutAs(compute, &manifest));
  return manifest.total_bytes();
}

}  // namespace reckon
