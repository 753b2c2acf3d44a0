#include "common/model/weights.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "common/base/rng.h"
#include "common/base/status_macros.h"
#include "common/model/files/safetensors.h"
#include "common/model/kernels/pieces.h"
// Last.
#include "common/base/log.h"

namespace reckon {
namespace {

constexpr absl::string_view kLayers = "model.layers.";

// A is uniform within 1 / sqrt(k), as torch.nn.Linear starts, and B is zero (Hu et al. 2021,
// section 4.1; PEFT).
Adapter NewAdapter(int64_t n, int64_t k, int64_t rank, double alpha, uint64_t key,
                   c10::Device device) {
  Adapter out = {at::empty({rank, k}, at::kFloat), at::zeros({n, rank}, at::kFloat),
                 alpha / static_cast<double>(rank)};
  const CounterRng rng(key);
  const double bound = 1 / std::sqrt(static_cast<double>(k));
  auto* values = out.a.mutable_data_ptr<float>();
  for (int64_t i = 0; i < out.a.numel(); ++i) {
    values[i] = static_cast<float>((2 * rng.Uniform(static_cast<uint64_t>(i)) - 1) * bound);
  }
  for (at::Tensor* leaf : {&out.a, &out.b}) {
    *leaf = leaf->to(device).set_requires_grad(true);
  }
  return out;
}

at::ScalarType StoredAs(const std::string& dtype) {
  return dtype == "BF16" ? at::kBFloat16 : dtype == "F16" ? at::kHalf : at::kFloat;
}

at::Tensor RopeTensor(const ModelConfig& config, Backend backend) {
  std::vector<float> rope = config.RopeFrequencies();
  return at::from_blob(rope.data(), {static_cast<int64_t>(rope.size())}, at::kFloat)
      .clone()
      .to(DeviceOf(backend));
}

// A view of `bytes`, or a copy where those are not aligned.
at::Tensor ViewOf(const TensorEntry& entry, absl::Span<const char> bytes) {
  const std::vector<int64_t> shape(entry.shape().begin(), entry.shape().end());
  const at::ScalarType type = StoredAs(entry.dtype());
  char* const data = const_cast<char*>(bytes.data()) + entry.offset();  // never written
  at::Tensor tensor;
  if (reinterpret_cast<uintptr_t>(data) % c10::elementSize(type) == 0) {
    tensor = at::from_blob(data, shape, type);
  } else {
    tensor = at::empty(shape, type);
    std::memcpy(tensor.mutable_data_ptr(), data, tensor.nbytes());
  }
  // The kernels know bf16 and fp32; fp32 holds every F16 number.
  return tensor.scalar_type() == at::kHalf ? tensor.to(at::kFloat) : tensor;
}

// The PEFT name of a tensor's A or B.
std::string LoraName(absl::string_view name, char half) {
  return absl::StrCat(absl::StripSuffix(name, ".weight"), ".lora_", std::string(1, half),
                      ".weight");
}

// Inputs and outputs of a layer whose weight has these parts.
struct LinearShape {
  int64_t k, n;
};
LinearShape ShapeOf(const std::vector<at::Tensor>& parts) {
  LinearShape out = {parts[0].size(1), 0};
  for (const at::Tensor& part : parts) out.n += part.size(0);
  return out;
}

Pieces PiecesOf(const at::Tensor& bytes) {
  return {std::make_shared<const at::Tensor>(bytes), static_cast<char*>(bytes.mutable_data_ptr()),
          static_cast<uint64_t>(bytes.numel())};
}

// The next piece as a tensor.
at::Tensor InPiece(at::IntArrayRef sizes, at::TensorOptions options, Pieces* memory) {
  const auto elements = static_cast<uint64_t>(c10::multiply_integers(sizes));
  std::shared_ptr<char[]> piece = memory->Take(elements * options.dtype().itemsize());
  return at::from_blob(piece.get(), sizes, [piece](void*) {}, options);
}

// `values`, in the next piece if there is memory for them.
at::Tensor InMemory(const at::Tensor& values, Pieces* memory) {
  if (memory == nullptr) return values;
  return InPiece(values.sizes(), values.options(), memory).copy_(values);
}

bool TakesAdapter(absl::string_view name) {
  // All linear layers but the head, whose tensor is the embedding in models that tie them.
  return absl::StrContains(name, "_proj.weight");
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
  uint64_t bytes = 0;
  for (const Source& source : sources_.linear) {
    const auto [k, n] = ShapeOf(source.parts);
    bytes += Pieces::Aligned(backend_ == Backend::kCpuKernels
                                 ? PackedMatrix::Bytes(dtype_, k, n)
                                 : static_cast<uint64_t>(n * k) * BytesOf(dtype_));
    if (!source.bias.empty()) bytes += Pieces::Aligned(static_cast<uint64_t>(n) * sizeof(float));
  }
  for (const auto& [table, source] : sources_.tables) {
    bytes += Pieces::Aligned(static_cast<uint64_t>(source.numel()) *
                             c10::elementSize(TableType(source)));
  }
  return static_cast<int64_t>(bytes);
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
    PlaceSources(&sources_, &pieces);
  } else {
    status = absl::InvalidArgumentError(absl::StrCat(
        "weights: the packed form has ", packed.numel(), " bytes, and the model takes ", size));
  }
  ForgetSources();
  return status;
}

std::string TransformerWeights::PackedLayout(Backend backend, Dtype dtype) {
  return absl::StrCat(backend == Backend::kCpuKernels
                          ? absl::StrCat("panels of ", kPanelColumns, " columns, ")
                          : "rows, ",
                      dtype == Dtype::kBf16 ? "BF16" : "F32");
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
                   Check(config_.Tensors(first_layer_), manifest, bytes));
  trainable_ = trainable;
  ++generation_;
  adapters_.clear();
  adapters_on_ = true;
  if (memory_.shard_group != nullptr) {
    LoadShards(entries, bytes, whole);
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

void TransformerWeights::LoadShards(const std::vector<TensorEntry>& entries,
                                    absl::Span<const char> bytes, bool whole) {
  shards_ = std::make_unique<ShardedUnits>(memory_.shard_group, memory_.replicas, dtype_,
                                           DeviceOf(backend_));
  for (size_t begin = 0, end = 0; begin < entries.size(); begin = end) {
    // "model.layers.7." of a layer's tensors; every other tensor is a unit of its own.
    const std::string& name = entries[begin].name();
    const std::string layer =
        absl::StartsWith(name, kLayers) ? name.substr(0, name.find('.', kLayers.size()) + 1) : name;
    std::vector<TensorShape> tensors;
    for (; end < entries.size() && absl::StartsWith(entries[end].name(), layer); ++end) {
      const auto& shape = entries[end].shape();
      tensors.push_back({entries[end].name(), {shape.begin(), shape.end()}});
    }
    shards_->Add(std::move(tensors), whole,
                 [&, begin](size_t i) { return ViewOf(entries[begin + i], bytes); });
  }
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
    shards_->Freeze();
    for (size_t unit = 0; unit < shards_->size(); ++unit) {
      for (const TensorShape& tensor : shards_->tensors(unit)) add(tensor.name, tensor.sizes);
    }
    return;
  }
  for (auto& [name, tensor] : tensors_) {
    add(name, tensor.sizes());
    // What was packed last stands for it.
    tensor = TakesAdapter(name) ? at::Tensor() : tensor.detach().to(ScalarTypeOf(dtype_));
  }
  Bind();
  PackTables(&sources_);
  PackAdapters(&sources_, /*backward=*/true);
}

absl::Status TransformerWeights::LoadAdapters(const TransformerWeights& base,
                                              const WeightManifest& manifest,
                                              absl::Span<const char> bytes) {
  std::vector<TensorEntry> wanted;
  // Every adapter has the rank of the first.
  const int64_t rank = manifest.tensors_size() > 0 && manifest.tensors(0).shape_size() > 0
                           ? manifest.tensors(0).shape(0)
                           : 0;
  NamedTensors tensors;
  for (const TensorEntry& entry : config_.Tensors(first_layer_)) {
    tensors.emplace_back(entry.name(), at::Tensor());
    if (!TakesAdapter(entry.name())) continue;
    TensorEntry& a = wanted.emplace_back();
    a.set_name(LoraName(entry.name(), 'A'));
    a.add_shape(rank);
    a.add_shape(entry.shape(1));
    TensorEntry& b = wanted.emplace_back();
    b.set_name(LoraName(entry.name(), 'B'));
    b.add_shape(entry.shape(0));
    b.add_shape(rank);
  }
  ASSIGN_OR_RETURN(const std::vector<TensorEntry> entries, Check(wanted, manifest, bytes));
  trainable_ = false;
  adapters_on_ = true;
  adapters_.clear();
  embedding_ = base.embedding_;
  layers_ = base.layers_;
  final_norm_ = base.final_norm_;
  head_ = base.head_;
  size_t next = 0;
  for (const auto& [name, unread] : tensors) {
    if (!TakesAdapter(name)) continue;
    const at::Tensor a = ViewOf(entries[next++], bytes).to(DeviceOf(backend_));
    const at::Tensor b = ViewOf(entries[next++], bytes).to(DeviceOf(backend_));
    adapters_.emplace(name, Adapter{a, b, /*scale=*/1});
  }
  tensors_ = std::move(tensors);
  Bind();
  PackAdapters(&sources_, /*backward=*/false);
  // The caller's bytes may go, and the forward pass reads packed copies only.
  tensors_.clear();
  adapters_.clear();
  sources_ = {};
  return absl::OkStatus();
}

void TransformerWeights::SwitchAdapters(bool on) {
  if (!adapted() || adapters_on_ == on) return;
  adapters_on_ = on;
  for (Source& source : sources_.linear) source.weight->adapters = on ? source.packed : nullptr;
}

NamedTensors TransformerWeights::Parameters() const {
  if (!trainable_) return {};
  if (!adapted()) {
    CHECK(!sharded()) << "a rank has no whole tensors";
    return tensors_;
  }
  NamedTensors out;
  for (const TensorEntry& entry : config_.Tensors(first_layer_)) {
    auto it = adapters_.find(entry.name());
    if (it == adapters_.end()) continue;
    out.emplace_back(LoraName(entry.name(), 'A'), it->second.a);
    out.emplace_back(LoraName(entry.name(), 'B'), it->second.b);
  }
  return out;
}

NamedTensors TransformerWeights::ScaledAdapters() const {
  NamedTensors out;
  for (const TensorEntry& entry : config_.Tensors(first_layer_)) {
    auto it = adapters_.find(entry.name());
    if (it == adapters_.end()) continue;
    const auto& [a, b, scale] = it->second;
    out.emplace_back(LoraName(entry.name(), 'A'), a.detach());
    out.emplace_back(LoraName(entry.name(), 'B'), b.detach().mul(scale));
  }
  return out;
}

TrainedTensors TransformerWeights::Trained() const {
  if (!trainable_ || !sharded() || adapted()) return WholeTensors(Parameters());
  TrainedTensors out;
  for (size_t unit = 0; unit < shards_->size(); ++unit) {
    out.push_back({shards_->tensors(unit), shards_->shard(unit), /*sharded=*/true, shards_->rank(),
                   shards_->ranks()});
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
  NamedTensors out;
  if (sharded()) {
    for (size_t unit = 0; unit < shards_->size(); ++unit) {
      const NamedTensors whole = on_host ? shards_->GatherOnHost(unit) : shards_->Gather(unit);
      if (!on_host && unit + 1 < shards_->size()) shards_->Prefetch(unit + 1);
      if (shards_->rank() != 0) continue;
      for (const auto& [name, tensor] : whole) {
        auto it = adapters_.find(name);
        out.emplace_back(name,
                         (it != adapters_.end() ? merge(tensor, it->second) : tensor).to(at::kCPU));
      }
    }
    return out;
  }
  std::map<std::string, at::Tensor> merged;
  for (const Source& source : sources_.linear) {
    if (source.adapters.empty()) continue;
    const at::Tensor frozen = from(OpsOf(backend_).Unpack(*source.weight));
    int64_t first = 0;
    for (size_t i = 0; i < source.adapters.size(); ++i) {
      const int64_t rows = source.adapters[i].b.size(0);
      merged[source.names[i]] = merge(frozen.narrow(0, first, rows), source.adapters[i]);
      first += rows;
    }
  }
  for (const auto& [name, tensor] : tensors_) {
    out.emplace_back(name, tensor.defined() ? from(tensor).to(at::kFloat) : merged.at(name));
  }
  return out;
}

// The tensors as they were given, in canonical order, after checking that each is given once and in
// its shape.
absl::StatusOr<std::vector<TensorEntry>> TransformerWeights::Check(
    const std::vector<TensorEntry>& wanted, const WeightManifest& manifest,
    absl::Span<const char> bytes) const {
  std::map<std::string, const TensorEntry*> given;
  for (const TensorEntry& entry : manifest.tensors()) {
    if (!given.emplace(entry.name(), &entry).second) {
      return absl::InvalidArgumentError(absl::StrCat("weights: ", entry.name(), " given twice"));
    }
  }
  std::vector<TensorEntry> out;
  for (const TensorEntry& expected : wanted) {
    auto it = given.find(expected.name());
    if (it == given.end()) {
      return absl::InvalidArgumentError(absl::StrCat("weights: missing ", expected.name()));
    }
    const TensorEntry& entry = *it->second;
    std::vector<int64_t> shape(entry.shape().begin(), entry.shape().end());
    if (!std::equal(shape.begin(), shape.end(), expected.shape().begin(), expected.shape().end())) {
      return absl::InvalidArgumentError(
          absl::StrCat("weights: ", entry.name(), " has shape [", absl::StrJoin(shape, ", "),
                       "], config.json asks for [", absl::StrJoin(expected.shape(), ", "), "]"));
    }
    const std::optional<uint64_t> element = DtypeBytes(entry.dtype());
    if (!element) {
      return absl::InvalidArgumentError(absl::StrCat(
          "weights: ", entry.name(), " has type ", entry.dtype(), "; F32, BF16 and F16 are read"));
    }
    // Checked before the allocation, because a hostile config.json may ask for any size.
    uint64_t left = bytes.size(), needed = *element;
    left -= std::min<uint64_t>(left, entry.offset());
    for (int64_t n : shape) needed = n > 0 && needed <= left / n ? needed * n : left + 1;
    if (needed > left) {
      return absl::InvalidArgumentError(
          absl::StrCat("weights: ", entry.name(), " ends beyond the end of the buffer"));
    }
    out.push_back(entry);
    // What is left at the end is unexpected. A model with a tensor that nothing reads would compute
    // something else than its authors' code.
    given.erase(it);
  }
  if (first_layer_ == 0 && !given.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("weights: unexpected tensor ", given.begin()->first));
  }
  return out;
}

// Assigns tensors_ to the weights of the layers, in the order of ModelConfig::Tensors.
void TransformerWeights::Bind() {
  sources_ = {};
  Cursor cursor = {tensors_};
  // With adapters the tensors are frozen: gradients go to A and B alone.
  if (tensors_[0].second.defined() && tensors_[0].second.requires_grad()) {
    for (const auto& [name, tensor] : tensors_) cursor.leaves.push_back(tensor);
  }
  if (first_layer_ == 0) BindTable(&cursor, &embedding_, &sources_);
  for (LayerWeights& layer : layers_) BindLayer(&cursor, &layer, &sources_);
  BindTable(&cursor, &final_norm_, &sources_);
  if (first_layer_ > 0) return;
  // Tied: the head's part is the embedding's leaf itself, so both add to one gradient and the
  // optimizer steps it once.
  const size_t head = config_.tie_word_embeddings ? 0 : cursor.next;
  BindHead(tensors_[head].second, cursor.leaves.empty() ? at::Tensor() : cursor.leaves[head],
           &head_, &sources_);
}

void TransformerWeights::BindTable(Cursor* from, TableWeight* weight, Sources* to) const {
  weight->leaf = from->leaves.empty() ? at::Tensor() : from->leaves[from->next];
  to->tables.emplace_back(weight, from->tensors[from->next++].second);
}

void TransformerWeights::BindLinear(Cursor* from, int count, bool bias, LinearWeight* weight,
                                    Sources* to) const {
  Source source = {weight};
  weight->parts.clear();
  weight->bias_parts.clear();
  weight->adapters = nullptr;
  const auto take = [&](std::vector<at::Tensor>* tensors, std::vector<at::Tensor>* leaves) {
    if (!from->leaves.empty()) leaves->push_back(from->leaves[from->next]);
    tensors->push_back(from->tensors[from->next++].second);
  };
  for (int i = 0; i < count; ++i) {
    if (adapted()) {
      source.names.push_back(from->tensors[from->next].first);
      source.adapters.push_back(adapters_.at(source.names.back()));
    }
    take(&source.parts, &weight->parts);
    if (bias) take(&source.bias, &weight->bias_parts);
  }
  to->linear.push_back(std::move(source));
}

void TransformerWeights::BindLayer(Cursor* from, LayerWeights* layer, Sources* to) const {
  const ModelConfig& c = config_;
  BindTable(from, &layer->input_norm, to);
  BindLinear(from, c.fused ? 1 : 3, c.qkv_bias, &layer->qkv, to);
  if (c.qk_norm) {
    BindTable(from, &layer->query_norm, to);
    BindTable(from, &layer->key_norm, to);
  }
  BindLinear(from, 1, c.output_bias, &layer->output, to);
  BindTable(from, &layer->post_norm, to);
  BindLinear(from, c.fused ? 1 : 2, c.mlp_bias, &layer->gate_up, to);
  BindLinear(from, 1, c.mlp_bias, &layer->down, to);
}

void TransformerWeights::BindHead(const at::Tensor& tensor, const at::Tensor& leaf,
                                  LinearWeight* head, Sources* to) const {
  head->parts.clear();
  if (leaf.defined()) head->parts.push_back(leaf);
  // What is not packed has no logit: it is never drawn, and no part of any softmax. Gaps are
  // packed, so that a column stays a token's id, and masked.
  Source source = {head};
  if (tensor.defined()) source.parts.push_back(tensor.detach().narrow(0, 0, config_.num_tokens()));
  to->linear.push_back(std::move(source));
}

void TransformerWeights::Pack(Change change) {
  ++generation_;
  if (sharded()) {
    shards_->Reset();
  } else if (adapted()) {
    PackAdapters(&sources_, trainable_, change);
  } else {
    PackWhole(change);
  }
}

void TransformerWeights::PackWhole(Change change) {
  at::Tensor memory;
  if (make_packed_ != nullptr && trainable_) memory = make_packed_(packed_size());
  if (!memory.defined()) return PackSources(&sources_, trainable_, nullptr, change);
  Pieces pieces = PiecesOf(memory);
  PackSources(&sources_, trainable_, &pieces, change);
}

at::ScalarType TransformerWeights::TableType(const at::Tensor& table) const {
  return table.dim() == 1 ? at::kFloat : ScalarTypeOf(dtype_);
}

void TransformerWeights::PlaceSources(Sources* sources, Pieces* memory) const {
  const at::TensorOptions here = at::TensorOptions().device(DeviceOf(backend_));
  for (const Source& source : sources->linear) {
    const auto [k, n] = ShapeOf(source.parts);
    if (backend_ == Backend::kCpuKernels) {
      source.weight->forward.Place(dtype_, k, n, memory);
    } else {
      source.weight->torch_weight = InPiece({n, k}, here.dtype(ScalarTypeOf(dtype_)), memory);
    }
    if (!source.bias.empty()) source.weight->bias = InPiece({n}, here.dtype(at::kFloat), memory);
  }
  for (const auto& [table, source] : sources->tables) {
    table->values = InPiece(source.sizes(), here.dtype(TableType(source)), memory);
  }
}

void TransformerWeights::PackSources(Sources* sources, bool backward, Pieces* memory,
                                     Change change) const {
  for (const Source& source : sources->linear) {
    for (const at::Tensor& part : source.parts) change(part);
    for (const at::Tensor& part : source.bias) change(part);
    // To the device one layer after another: of the model there is no second copy.
    std::vector<at::Tensor> parts;
    for (const at::Tensor& part : source.parts) parts.push_back(part.to(DeviceOf(backend_)));
    const auto [k, n] = ShapeOf(parts);
    const bool panels = backend_ == Backend::kCpuKernels;
    if (memory != nullptr && panels) source.weight->forward.Place(dtype_, k, n, memory);
    OpsOf(backend_).Pack(parts, dtype_, backward, source.weight);
    if (!panels) source.weight->torch_weight = InMemory(source.weight->torch_weight, memory);
    if (source.bias.empty()) continue;
    std::vector<at::Tensor> rounded;
    for (const at::Tensor& part : source.bias) {
      rounded.push_back(part.detach().to(ScalarTypeOf(dtype_)));
    }
    // Rounded like the weights, because a published version is, and widened again, because the
    // kernels add it to fp32 sums.
    const at::Tensor bias = at::cat(rounded).to(DeviceOf(backend_), at::kFloat);
    source.weight->bias = InMemory(bias, memory);
  }
  PackTables(sources, memory, change);
  PackAdapters(sources, backward, change);
}

void TransformerWeights::PackAdapters(Sources* sources, bool backward, Change change) const {
  for (Source& source : sources->linear) {
    if (source.adapters.empty()) continue;
    for (const Adapter& adapter : source.adapters) {
      change(adapter.a);
      change(adapter.b);
    }
    source.packed = OpsOf(backend_).PackAdapters(source.adapters, dtype_, backward);
    source.weight->adapters = adapters_on_ ? source.packed : nullptr;
  }
}

void TransformerWeights::PackTables(Sources* sources, Pieces* memory, Change change) const {
  for (const auto& [table, source] : sources->tables) {
    change(source);
    // Norms are rounded too, although kernels read them as fp32: actors only have rounded ones.
    const at::Tensor values = source.detach().to(DeviceOf(backend_), ScalarTypeOf(dtype_));
    table->values = InMemory(values.to(TableType(source)), memory);
  }
}

TableWeight TransformerWeights::Embedding() const {
  if (!sharded()) return embedding_;
  TableWeight out = GatherTable(kEmbedding);
  shards_->Prefetch(UnitOf(first_layer_));
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
  NamedTensors tensors;
  Cursor cursor = GatherUnit(index, &tensors);
  if (ahead >= first_layer_) {
    shards_->Prefetch(UnitOf(ahead < config_.num_layers ? ahead : int64_t{kFinalNorm}));
  }
  Sources sources;
  BindLayer(&cursor, &gathered_, &sources);
  PackSources(&sources, backward);
  // A norm that a graph keeps must not keep the unit.
  for (auto& [table, source] : sources.tables) {
    if (table->values.is_alias_of(source)) table->values = table->values.clone();
  }
  return gathered_;
}

TableWeight TransformerWeights::FinalNorm() const {
  return sharded() ? GatherTable(kFinalNorm) : final_norm_;
}

LinearWeight TransformerWeights::Head() const {
  if (!sharded()) return head_;
  NamedTensors tensors;
  const Cursor cursor = GatherUnit(kHead, &tensors);
  Sources sources;
  LinearWeight head = head_;
  BindHead(tensors[0].second, cursor.leaves.empty() ? at::Tensor() : cursor.leaves[0], &head,
           &sources);
  PackSources(&sources, trainable_);
  return head;
}

size_t TransformerWeights::UnitOf(int64_t part) const {
  if (part == kEmbedding) return 0;
  const int64_t layers = config_.num_layers - first_layer_, before = first_layer_ == 0 ? 1 : 0;
  if (part == kFinalNorm) return before + layers;
  if (part == kHead) return config_.tie_word_embeddings ? 0 : before + layers + 1;
  return before + part - first_layer_;
}

TransformerWeights::Cursor TransformerWeights::GatherUnit(int64_t part,
                                                          NamedTensors* tensors) const {
  *tensors = shards_->Gather(UnitOf(part));
  return {*tensors, shards_->leaves(UnitOf(part))};
}

TableWeight TransformerWeights::GatherTable(int64_t part) const {
  NamedTensors tensors;
  Cursor cursor = GatherUnit(part, &tensors);
  Sources sources;
  TableWeight out;
  BindTable(&cursor, &out, &sources);
  PackSources(&sources, trainable_);
  return out;
}

void TransformerWeights::BeginBackward(int64_t part) const {
  if (!sharded()) return;
  // What comes before the layers in a backward pass; each of them names the next.
  if (part == kHead || part == kFinalNorm) shards_->Prefetch(UnitOf(config_.num_layers - 1));
  shards_->BeginBackward(UnitOf(part));
}

void TransformerWeights::EndBackward(int64_t part) const {
  if (!sharded()) return;
  const int64_t last = first_layer_ == 0 ? int64_t{kEmbedding} : first_layer_;
  // Of tied weights the embedding adds to the same gradient.
  const bool whole = part != kHead || !config_.tie_word_embeddings;
  shards_->EndBackward(UnitOf(part), whole, part == last);
}

void TransformerWeights::DropPending() const {
  if (sharded()) shards_->Reset();
}

}  // namespace reckon
