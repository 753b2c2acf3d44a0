#include "common/model/weights.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/tensor.h>

#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/rng.h"
#include "common/base/status_macros.h"
#include "common/model/manifest_tensors.h"
// Last.
#include "common/base/log.h"

namespace reckon {
namespace {

at::Tensor RopeTensor(const ModelConfig& config, Backend backend) {
  std::vector<float> rope = config.RopeFrequencies();
  return at::from_blob(rope.data(), {static_cast<int64_t>(rope.size())}, at::kFloat)
      .clone()
      .to(DeviceOf(backend));
}

}  // namespace

TrainedTensors WholeTensors(const NamedTensors& tensors) {
  TrainedTensors out;
  for (const auto& [name, values] : tensors) {
    out.push_back({.tensors = {{name, values.sizes().vec()}}, .values = values});
  }
  return out;
}

TransformerWeights::TransformerWeights(const ModelConfig& config, Dtype dtype, Backend backend,
                                       int64_t first_layer, const ModelMemory& memory)
    : config_(config),
      dtype_(dtype),
      backend_(backend),
      form_(dtype, backend),
      first_layer_(first_layer),
      memory_(memory),
      rope_(RopeTensor(config, backend)) {
  if (!config_.gaps.empty()) {
    head_.masked = at::tensor(config_.gaps, at::kLong).to(DeviceOf(backend_));
  }
  if (memory_.shard_group == nullptr) layers_.resize(config_.num_layers - first_layer_);
}

absl::Status TransformerWeights::Load(const WeightManifest& manifest, absl::Span<const char> bytes,
                                      bool trainable) {
  RETURN_IF_ERROR(LoadAs(manifest, bytes, trainable, /*whole=*/trainable));
  if (trainable || sharded()) return absl::OkStatus();
  // The caller's bytes may go.
  for (auto& [table, source] : sources_.tables) {
    if (table->values.is_alias_of(source)) table->values = table->values.clone();
  }
  ForgetSources();
  return absl::OkStatus();
}

void TransformerWeights::PackInto(PackedMemoryMaker make) {
  make_packed_ = std::move(make);
  if (!sources_.linear.empty()) Pack();
}

int64_t TransformerWeights::packed_size() const {
  CHECK(!sources_.linear.empty() && !sharded() && !adapted());
  return static_cast<int64_t>(form_.Bytes(sources_));
}

absl::Status TransformerWeights::Adopt(const at::Tensor& packed) {
  CHECK(!sharded());
  trainable_ = false;
  ++generation_;
  adapters_.clear();
  adapters_on_ = true;
  tensors_.clear();
  // Of shapes alone, from which the places follow.
  for (const TensorEntry& entry : config_.Tensors(first_layer_)) {
    const std::vector<int64_t> sizes(entry.shape().begin(), entry.shape().end());
    tensors_.emplace_back(entry.name(), at::empty(sizes, at::TensorOptions().device(at::kMeta)));
  }
  Bind();
  absl::Status status;
  if (const int64_t size = packed_size(); size == packed.numel()) {
    Pieces pieces = PiecesOf(packed);
    form_.Place(sources_, &pieces);
  } else {
    status = absl::InvalidArgumentError(absl::StrCat(
        "weights: the packed form has ", packed.numel(), " bytes, and the model takes ", size));
  }
  ForgetSources();
  return status;
}

// The forward pass reads the packed form only.
void TransformerWeights::ForgetSources() {
  tensors_.clear();
  sources_ = {};
}

absl::Status TransformerWeights::LoadUnderAdapters(const WeightManifest& manifest,
                                                   absl::Span<const char> bytes, int64_t rank,
                                                   double alpha, uint64_t seed) {
  RETURN_IF_ERROR(LoadAs(manifest, bytes, /*trainable=*/true, /*whole=*/false));
  AddAdapters(rank, alpha, seed);
  return absl::OkStatus();
}

absl::Status TransformerWeights::LoadAs(const WeightManifest& manifest,
                                        absl::Span<const char> bytes, bool trainable, bool whole) {
  ASSIGN_OR_RETURN(const std::vector<TensorEntry> entries,
                   FindTensors(config_.Tensors(first_layer_), manifest, bytes,
                               /*others=*/first_layer_ > 0));
  trainable_ = trainable;
  ++generation_;
  adapters_.clear();
  adapters_on_ = true;
  if (memory_.shard_group != nullptr) {
    shards_ = std::make_unique<TransformerUnits>(config_, first_layer_, memory_.shard_group,
                                                 memory_.replicas, dtype_, DeviceOf(backend_));
    shards_->Load(entries, bytes, whole);
    return absl::OkStatus();
  }
  // Both would not fit where one does. Graphs keep what they need.
  sources_ = {};
  tensors_.clear();
  for (const TensorEntry& entry : entries) {
    at::Tensor tensor = ViewOf(entry, bytes);
    if (whole) {
      tensor = tensor.to(DeviceOf(backend_), at::kFloat, /*non_blocking=*/false, /*copy=*/true);
      tensor.set_requires_grad(true);
    } else if (trainable && !TakesAdapter(entry.name())) {
      // What is not kept in packed form alone.
      tensor = tensor.to(DeviceOf(backend_), ScalarTypeOf(dtype_), false, /*copy=*/true);
    }
    tensors_.emplace_back(entry.name(), std::move(tensor));
  }
  Bind();
  PackWhole();
  return absl::OkStatus();
}

void TransformerWeights::AddAdapters(int64_t rank, double alpha, uint64_t seed) {
  CHECK(trainable_ && !adapted());
  ++generation_;
  const auto add = [&](const std::string& name, at::IntArrayRef sizes) {
    if (!TakesAdapter(name)) return;
    adapters_.emplace(name, NewAdapter(sizes[0], sizes[1], rank, alpha, StreamKey(seed, name),
                                       DeviceOf(backend_)));
  };
  if (sharded()) {
    ShardedUnits& units = shards_->all();
    units.Freeze();
    for (size_t unit = 0; unit < units.size(); ++unit) {
      for (const TensorShape& tensor : units.tensors(unit)) add(tensor.name, tensor.sizes);
    }
    return;
  }
  for (auto& [name, tensor] : tensors_) {
    add(name, tensor.sizes());
    // What was packed last stands for it.
    tensor = TakesAdapter(name) ? at::Tensor() : tensor.detach().to(ScalarTypeOf(dtype_));
  }
  Bind();
  form_.PackTables(sources_);
  PackAdapters(&sources_, /*backward=*/true);
}

absl::Status TransformerWeights::LoadAdapters(const TransformerWeights& base,
                                              const WeightManifest& manifest,
                                              absl::Span<const char> bytes) {
  const std::vector<TensorEntry> tensors = config_.Tensors(first_layer_);
  ASSIGN_OR_RETURN(adapters_, ReadAdapters(tensors, manifest, bytes, DeviceOf(backend_)));
  trainable_ = false;
  adapters_on_ = true;
  embedding_ = base.embedding_;
  layers_ = base.layers_;
  final_norm_ = base.final_norm_;
  head_ = base.head_;
  tensors_.clear();
  for (const TensorEntry& entry : tensors) tensors_.emplace_back(entry.name(), at::Tensor());
  Bind();
  PackAdapters(&sources_, /*backward=*/false);
  // The caller's bytes may go, and the forward pass reads packed copies only.
  adapters_.clear();
  ForgetSources();
  return absl::OkStatus();
}

void TransformerWeights::SwitchAdapters(bool on) {
  if (!adapted() || adapters_on_ == on) return;
  adapters_on_ = on;
  for (LinearSource& source : sources_.linear)
    source.weight->adapters = on ? source.packed : nullptr;
}

NamedTensors TransformerWeights::Parameters() const {
  if (!trainable_) return {};
  if (!adapted()) {
    CHECK(!sharded()) << "a rank has no whole tensors";
    return tensors_;
  }
  return TrainedAdapters(adapters_, config_.Tensors(first_layer_));
}

NamedTensors TransformerWeights::ScaledAdapters() const {
  return reckon::ScaledAdapters(adapters_, config_.Tensors(first_layer_));
}

TrainedTensors TransformerWeights::Trained() const {
  if (!trainable_ || !sharded() || adapted()) return WholeTensors(Parameters());
  TrainedTensors out;
  const ShardedUnits& units = shards_->all();
  for (size_t unit = 0; unit < units.size(); ++unit) {
    out.push_back(
        {units.tensors(unit), units.shard(unit), /*sharded=*/true, units.rank(), units.ranks()});
  }
  return out;
}

NamedTensors TransformerWeights::Merged(bool on_host) const {
  const auto from = [on_host](const at::Tensor& tensor) {
    return on_host ? tensor.detach().to(at::kCPU) : tensor.detach();
  };
  const auto merge = [&](const at::Tensor& weight, const Adapter& adapter) {
    return OpsOf(backend_).MergeAdapter(
        weight, {.a = from(adapter.a), .b = from(adapter.b), .scale = adapter.scale});
  };
  // One tensor after another leaves the device: fp32 of all would not fit where frozen weights do.
  // What the CPU's kernels have merged is rounded where it is packed, on all threads.
  const auto leave = [this](const at::Tensor& tensor) {
    if (backend_ == Backend::kCpuKernels) return tensor;
    return tensor.to(ScalarTypeOf(dtype_)).to(at::kCPU);
  };
  NamedTensors out;
  if (sharded()) {
    ShardedUnits& units = shards_->all();
    for (size_t unit = 0; unit < units.size(); ++unit) {
      const NamedTensors whole = on_host ? units.GatherOnHost(unit) : units.Gather(unit);
      if (!on_host && unit + 1 < units.size()) units.Prefetch(unit + 1);
      if (units.rank() != 0) continue;
      for (const auto& [name, tensor] : whole) {
        auto it = adapters_.find(name);
        out.emplace_back(name, leave(it != adapters_.end() ? merge(tensor, it->second) : tensor));
      }
    }
    return out;
  }
  std::map<std::string, at::Tensor> merged;
  for (const LinearSource& source : sources_.linear) {
    if (source.adapters.empty()) continue;
    const at::Tensor frozen = from(OpsOf(backend_).Unpack(*source.weight));
    int64_t first = 0;
    for (size_t i = 0; i < source.adapters.size(); ++i) {
      const int64_t rows = source.adapters[i].b.size(0);
      merged[source.names[i]] = leave(merge(frozen.narrow(0, first, rows), source.adapters[i]));
      first += rows;
    }
  }
  for (const auto& [name, tensor] : tensors_) {
    if (!tensor.defined()) {
      out.emplace_back(name, merged.at(name));
    } else {
      out.emplace_back(name, adapted() ? leave(from(tensor)) : from(tensor));
    }
  }
  return out;
}

// Assigns tensors_ to the weights of the layers.
void TransformerWeights::Bind() {
  sources_ = {};
  std::vector<at::Tensor> leaves;
  // With adapters the tensors are frozen: gradients go to A and B alone.
  if (tensors_[0].second.defined() && tensors_[0].second.requires_grad()) {
    for (const auto& [name, tensor] : tensors_) leaves.push_back(tensor);
  }
  SourceBinder bind(config_, adapters_, tensors_, std::move(leaves), &sources_);
  if (first_layer_ == 0) bind.Table(&embedding_);
  for (LayerWeights& layer : layers_) bind.Layer(&layer);
  bind.Table(&final_norm_);
  if (first_layer_ == 0) bind.Head(&head_);
}

void TransformerWeights::Pack(PackedForm::Change change) {
  ++generation_;
  if (sharded()) {
    shards_->all().Reset();
  } else if (adapted()) {
    PackAdapters(&sources_, trainable_, change);
  } else {
    PackWhole(change);
  }
}

void TransformerWeights::PackWhole(PackedForm::Change change) {
  at::Tensor memory;
  if (make_packed_ != nullptr && trainable_) memory = make_packed_(packed_size());
  if (!memory.defined()) return PackSources(&sources_, trainable_, nullptr, change);
  Pieces pieces = PiecesOf(memory);
  PackSources(&sources_, trainable_, &pieces, change);
}

void TransformerWeights::PackSources(WeightSources* sources, bool backward, Pieces* memory,
                                     PackedForm::Change change) const {
  form_.Pack(*sources, backward, memory, change);
  PackAdapters(sources, backward, change);
}

void TransformerWeights::PackAdapters(WeightSources* sources, bool backward,
                                      PackedForm::Change change) const {
  for (LinearSource& source : sources->linear) {
    if (source.adapters.empty()) continue;
    for (const Adapter& adapter : source.adapters) {
      change(adapter.a);
      change(adapter.b);
    }
    source.packed = OpsOf(backend_).PackAdapters(source.adapters, dtype_, backward);
    source.weight->adapters = adapters_on_ ? source.packed : nullptr;
  }
}

TableWeight TransformerWeights::Embedding() const {
  if (!sharded()) return embedding_;
  TableWeight out = GatherTable(TransformerUnits::kEmbedding);
  shards_->PrefetchLayer(first_layer_);
  return out;
}

const LayerWeights& TransformerWeights::Layer(int64_t index, int64_t ahead) const {
  if (!sharded()) return layers_[index - first_layer_];
  return GatherLayer(index, ahead, /*backward=*/false);
}

const LayerWeights& TransformerWeights::LayerForBackward(int64_t index) const {
  if (!sharded()) return layers_[index - first_layer_];
  return GatherLayer(index, index - 1, /*backward=*/true);
}

const LayerWeights& TransformerWeights::GatherLayer(int64_t index, int64_t ahead,
                                                    bool backward) const {
  const NamedTensors tensors = shards_->Gather(index);
  shards_->PrefetchLayer(ahead);
  WeightSources sources;
  SourceBinder(config_, adapters_, tensors, shards_->leaves(index), &sources).Layer(&gathered_);
  PackSources(&sources, backward);
  // A norm that a graph keeps must not keep the unit.
  for (auto& [table, source] : sources.tables) {
    if (table->values.is_alias_of(source)) table->values = table->values.clone();
  }
  return gathered_;
}

TableWeight TransformerWeights::FinalNorm() const {
  return sharded() ? GatherTable(TransformerUnits::kFinalNorm) : final_norm_;
}

LinearWeight TransformerWeights::Head() const {
  if (!sharded()) return head_;
  const int64_t part = TransformerUnits::kHead;
  const NamedTensors tensors = shards_->Gather(part);
  WeightSources sources;
  LinearWeight head = head_;
  SourceBinder(config_, adapters_, tensors, shards_->leaves(part), &sources).Head(&head);
  PackSources(&sources, trainable_);
  return head;
}

TableWeight TransformerWeights::GatherTable(int64_t part) const {
  const NamedTensors tensors = shards_->Gather(part);
  WeightSources sources;
  TableWeight out;
  SourceBinder(config_, adapters_, tensors, shards_->leaves(part), &sources).Table(&out);
  PackSources(&sources, trainable_);
  return out;
}

void TransformerWeights::BeginBackward(int64_t part) const {
  if (sharded()) shards_->BeginBackward(part);
}

void TransformerWeights::EndBackward(int64_t part) const {
  if (sharded()) shards_->EndBackward(part);
}

void TransformerWeights::DropPending() const {
  if (sharded()) shards_->all().Reset();
}

}  // namespace reckon
