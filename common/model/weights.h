#ifndef RECKON_COMMON_MODEL_WEIGHTS_H_
#define RECKON_COMMON_MODEL_WEIGHTS_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/model/adapters.h"
#include "common/model/backend.h"
#include "common/model/config.h"
#include "common/model/kernels/interface.h"
#include "common/model/packed_form.h"
#include "common/model/rank_group.h"
#include "common/model/replica_sums.h"
#include "common/model/sharded_units.h"
#include "common/model/transformer_units.h"
#include "common/model/weight_sources.h"
#include "proto/weights.pb.h"

namespace reckon {

// How much memory a model may take; less takes longer.
struct ModelMemory {
  // Divide the weights, and what an optimizer adds to them, among these ranks (sharded_units.h);
  // null: all of them are here. Outlives the model.
  RankGroup* shard_group = nullptr;
  // With other such groups, each of which holds all: what adds their gradients to this one's; null:
  // there is no other. Outlives the model.
  ReplicaSums* replicas = nullptr;
  // Keep only what enters each layer for a backward pass, which computes the rest again (Chen et
  // al. 2016). The graph then needs the model as it was, as it does with shards.
  bool recompute = false;
};

// What an optimizer steps as one.
struct TrainedTensor {
  // One tensor, or those of a unit, whose elements follow one another.
  std::vector<TensorShape> tensors;
  at::Tensor values;  // fp32, contiguous: all elements, or with `sharded` this rank's shard
  bool sharded = false;
  int shard = 0, shards = 1;  // which one of how many
};
using TrainedTensors = std::vector<TrainedTensor>;
// Of tensors that every rank has.
TrainedTensors WholeTensors(const NamedTensors& tensors);

// The weights of a transformer, or of its top layers, in the forms that kernels/ compute with.
//
//   bytes of a manifest
//     | Load         not trainable: kept only in packed form
//     |              trainable: fp32 tensors that require gradients, in the canonical order of
//     |              ModelConfig::Tensors; the optimizer changes them in place
//     | AddAdapters  freezes the tensors, rounded to the dtype; every *_proj, which from now on is
//     |              kept in packed form alone, gets fp32 matrices A and B, which are trained.
//     |              LoadUnderAdapters does both, without the fp32 tensors in between
//     | Pack         rounds to the dtype, as a published version is, and packs for the matrix
//     v              kernels: all tensors or, with adapters, these alone
//   Embedding(), Layer(), FinalNorm(), Head()
//
// With PackInto the packed form is in memory that another process can map, whose model Adopts it in
// the place of Load: nothing is copied, packed or checked a second time.
//
// With ModelMemory::shard_group this rank keeps its shards alone: the last four gather what they
// return, and Pack has nothing to do. They, Merged and the two for backward passes are collectives
// then, and throw StatusError.
//
// One thread; no change during a forward pass. A recorded graph keeps the packed weights it was
// computed with, unless it recomputes or ranks divide them: then its backward takes each layer from
// LayerForBackward.
class TransformerWeights {
 public:
  // The layers from `first_layer` on; above 0 without the embedding and the head.
  TransformerWeights(const ModelConfig& config, Dtype dtype, Backend backend,
                     int64_t first_layer = 0, const ModelMemory& memory = {});
  TransformerWeights(const TransformerWeights&) = delete;
  TransformerWeights& operator=(const TransformerWeights&) = delete;

  // Copies the weights (F32, BF16 or F16) out of the flat buffer that `manifest` describes.
  // INVALID_ARGUMENT names a tensor that is missing, unexpected or of another shape than
  // config.json asks for. With first_layer > 0, tensors of other layers are ignored.
  absl::Status Load(const WeightManifest& manifest, absl::Span<const char> bytes, bool trainable);
  // Freezes the weights and adds adapters (Hu et al. 2021) of this rank to all linear layers but
  // the head; the weights must be trainable and without adapters. Where A starts depends on the
  // seed and the tensor's name; B starts at zero, so that nothing changes at first.
  void AddAdapters(int64_t rank, double alpha, uint64_t seed);
  // Load and AddAdapters.
  absl::Status LoadUnderAdapters(const WeightManifest& manifest, absl::Span<const char> bytes,
                                 int64_t rank, double alpha, uint64_t seed);
  // The packed weights of `base`, of the same config, which are shared and not copied, with the
  // adapters of `manifest`: those of a model's ScaledAdapters, rounded. Not trainable. Errors as
  // those of Load.
  absl::Status LoadAdapters(const TransformerWeights& base, const WeightManifest& manifest,
                            absl::Span<const char> bytes);
  // false: computes with the frozen weights alone, as a reference policy does. Without adapters, a
  // no-op.
  void SwitchAdapters(bool on);
  // What is trained, fp32, in canonical order: all tensors by their Hugging Face names or, with
  // adapters, A and B of each by their PEFT names. Empty unless trainable. Not of shards.
  NamedTensors Parameters() const;
  // The adapters as a version has them: A and scale * B, in the order and by the names of
  // Parameters. Rounded to the dtype they are what passes compute with.
  NamedTensors ScaledAdapters() const;
  // The same for an optimizer, with shards or without. Adapters are whole on every rank.
  TrainedTensors Trained() const;
  // All tensors with their adapters merged, in canonical order. Empty unless trainable. With
  // shards: a collective, on rank 0 alone.
  //   whole, without adapters: what is trained, fp32
  //   else:                    in host memory; fp32 where the CPU's kernels have merged it, all
  //                            others rounded to the dtype, as a version is
  // on_host: computed in host memory from copies of what is on the device, which needs no further
  // memory there.
  NamedTensors Merged(bool on_host = false) const;
  // Must follow every change of the parameters. `change` may be that change: it is called with each
  // parameter before that is packed, which then reads it from a cache.
  void Pack(PackedForm::Change change = PackedForm::Unchanged);

  // What passes read, in one memory on the device of the backend, which another process maps and
  // computes from as it is. Of whole weights without adapters.
  //
  //   maker:   PackInto(make); from then on Pack, and a trainable Load, pack into memory of
  //            packed_size() bytes that `make` gives (kByte; undefined: into memory of this process
  //            alone). The same memory each time, if no graph outlives a Pack and no reader
  //            computes meanwhile; otherwise other memory.
  //   reader:  Adopt(memory) in the place of Load. Not trainable. INVALID_ARGUMENT: another size.
  using PackedMemoryMaker = std::function<at::Tensor(int64_t bytes)>;
  void PackInto(PackedMemoryMaker make);
  int64_t packed_size() const;  // after a trainable Load
  absl::Status Adopt(const at::Tensor& packed);
  // Grows with every change of what passes read.
  int64_t generation() const { return generation_; }

  const ModelConfig& config() const { return config_; }
  Dtype dtype() const { return dtype_; }
  Backend backend() const { return backend_; }
  const at::Tensor& rope() const { return rope_; }  // [head_dim / 2] fp32, RopeFrequencies
  bool adapted() const { return !adapters_.empty(); }
  int64_t first_layer() const { return first_layer_; }
  bool sharded() const { return shards_ != nullptr; }
  bool recomputes() const { return memory_.recompute; }
  const ModelMemory& memory() const { return memory_; }

  TableWeight Embedding() const;
  // Layer `index` of the whole model, for a forward pass. With shards, valid until the next call of
  // this function or the one below, and `ahead`, if it is another layer of these weights, is
  // gathered meanwhile.
  const LayerWeights& Layer(int64_t index, int64_t ahead) const;
  // The same for a backward pass, in which the layer below comes next.
  const LayerWeights& LayerForBackward(int64_t index) const;
  TableWeight FinalNorm() const;
  LinearWeight Head() const;  // [num_tokens, hidden]; tied: the embedding

  // A backward pass through what these functions returned, of a Part of TransformerUnits, is about
  // to begin or has ended; see ShardedUnits. Without shards, no-ops.
  void BeginBackward(int64_t part) const;
  void EndBackward(int64_t part) const;
  // Forgets what a backward pass that failed has left.
  void DropPending() const;

 private:
  // What Load does to the weights. Those that are `whole` get gradients.
  absl::Status LoadAs(const WeightManifest& manifest, absl::Span<const char> bytes, bool trainable,
                      bool whole);
  void Bind();
  // `memory`: what takes the packed form; null: memory of this process.
  void PackSources(WeightSources* sources, bool backward, Pieces* memory = nullptr,
                   PackedForm::Change change = PackedForm::Unchanged) const;
  void PackWhole(PackedForm::Change change = PackedForm::Unchanged);
  void ForgetSources();
  void PackAdapters(WeightSources* sources, bool backward,
                    PackedForm::Change change = PackedForm::Unchanged) const;
  TableWeight GatherTable(int64_t part) const;
  const LayerWeights& GatherLayer(int64_t index, int64_t ahead, bool backward) const;

  const ModelConfig config_;
  const Dtype dtype_;
  const Backend backend_;
  const PackedForm form_;
  const int64_t first_layer_;
  const ModelMemory memory_;
  const at::Tensor rope_;
  bool trainable_ = false;
  bool adapters_on_ = true;
  TableWeight embedding_, final_norm_;
  std::vector<LayerWeights> layers_;
  LinearWeight head_;
  NamedTensors tensors_;  // empty unless trainable, or with shards
  ModelAdapters adapters_;
  WeightSources sources_;
  PackedMemoryMaker make_packed_;  // or null
  int64_t generation_ = 0;
  std::unique_ptr<TransformerUnits> shards_;  // in place of the weights above
  mutable LayerWeights gathered_;             // the layer that was gathered last
};

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_WEIGHTS_H_
