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
#include "absl/strings/strip.h"
#include "common/base/log.h"
#include "common/base/rng.h"
#include "common/base/status_macros.h"
#include "common/model/files/safetensors.h"

namespace reckon {
namespace {

// A is uniform within 1 / sqrt(k), as torch.nn.Linear starts, and B is zero (Hu et al. 2021,
// section 4.1; PEFT).
Adapter NewAdapter(const at::Tensor& weight, int64_t rank, double alpha, uint64_t key) {
  const int64_t n = weight.size(0), k = weight.size(1);
  Adapter out = {at::empty({rank, k}, at::kFloat), at::zeros({n, rank}, at::kFloat),
                 alpha / static_cast<double>(rank)};
  const CounterRng rng(key);
  const double bound = 1 / std::sqrt(static_cast<double>(k));
  auto* values = out.a.mutable_data_ptr<float>();
  for (int64_t i = 0; i < out.a.numel(); ++i) {
    values[i] = static_cast<float>((2 * rng.Uniform(static_cast<uint64_t>(i)) - 1) * bound);
  }
  for (at::Tensor* leaf : {&out.a, &out.b}) {
    *leaf = leaf->to(weight.device()).set_requires_grad(true);
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

}  // namespace

TransformerWeights::TransformerWeights(const ModelConfig& config, Dtype dtype, Backend backend,
                                       int64_t first_layer)
    : config_(config),
      dtype_(dtype),
      backend_(backend),
      first_layer_(first_layer),
      rope_(RopeTensor(config, backend)),
      layers_(config.num_layers - first_layer) {}

absl::Status TransformerWeights::Load(const WeightManifest& manifest, absl::Span<const char> bytes,
                                      bool trainable) {
  ASSIGN_OR_RETURN(tensors_, View(manifest, bytes));
  trainable_ = trainable;
  adapters_.clear();
  for (auto& [name, tensor] : tensors_) {
    const at::Tensor view = tensor;
    tensor = tensor.to(DeviceOf(backend_));
    if (trainable) tensor = tensor.to(at::kFloat);
    if (trainable && tensor.is_same(view)) tensor = tensor.clone();
    if (trainable) tensor.set_requires_grad(true);
  }
  Bind();
  Pack();
  if (!trainable) {
    // The caller's bytes may go.
    for (auto& [table, source] : tables_) {
      if (table->values.is_alias_of(source)) table->values = table->values.clone();
    }
    // The forward pass reads the packed copies only.
    tensors_.clear();
    sources_.clear();
    tables_.clear();
  }
  return absl::OkStatus();
}

void TransformerWeights::AddAdapters(int64_t rank, double alpha, uint64_t seed) {
  CHECK(trainable_);
  // In fp32 and before the rounding below, so that earlier adapters count in full.
  tensors_ = Merged();
  adapters_.clear();
  adapters_on_ = true;
  for (auto& [name, tensor] : tensors_) {
    tensor = tensor.to(ScalarTypeOf(dtype_));
    // All linear layers but the head, whose tensor is the embedding in models that tie them.
    if (!absl::StrContains(name, "_proj.weight")) continue;
    adapters_.emplace(name, NewAdapter(tensor, rank, alpha, StreamKey(seed, name)));
  }
  Bind();
  Pack();
}

void TransformerWeights::SwitchAdapters(bool on) {
  if (!adapted() || adapters_on_ == on) return;
  adapters_on_ = on;
  Pack();
}

NamedTensors TransformerWeights::Parameters() const {
  if (!trainable_ || !adapted()) return trainable_ ? tensors_ : NamedTensors();
  NamedTensors out;
  for (const auto& [name, tensor] : tensors_) {
    auto it = adapters_.find(name);
    if (it == adapters_.end()) continue;
    const std::string layer(absl::StripSuffix(name, ".weight"));
    out.emplace_back(layer + ".lora_A.weight", it->second.a);
    out.emplace_back(layer + ".lora_B.weight", it->second.b);
  }
  return out;
}

NamedTensors TransformerWeights::Merged() const {
  NamedTensors out;
  for (const auto& [name, tensor] : tensors_) {
    auto it = adapters_.find(name);
    out.emplace_back(name, it != adapters_.end() ? OpsOf(backend_).MergeAdapter(tensor, it->second)
                                                 : tensor.detach().to(at::kFloat));
  }
  return out;
}

// The tensors in canonical order, after checking that each is given once and in its shape: views of
// `bytes`, or copies where those are not aligned.
absl::StatusOr<NamedTensors> TransformerWeights::View(const WeightManifest& manifest,
                                                      absl::Span<const char> bytes) const {
  std::map<std::string, const TensorEntry*> given;
  for (const TensorEntry& entry : manifest.tensors()) {
    if (!given.emplace(entry.name(), &entry).second) {
      return absl::InvalidArgumentError(absl::StrCat("weights: ", entry.name(), " given twice"));
    }
  }
  NamedTensors out;
  for (const TensorEntry& expected : config_.Tensors(first_layer_)) {
    auto it = given.find(expected.name());
    if (it == given.end()) {
      return absl::InvalidArgumentError(absl::StrCat("weights: missing ", expected.name()));
    }
    const TensorEntry& entry = *it->second;
    std::vector<int64_t> shape(entry.shape().begin(), entry.shape().end());
    std::vector<int64_t> wanted(expected.shape().begin(), expected.shape().end());
    if (shape != wanted) {
      return absl::InvalidArgumentError(
          absl::StrCat("weights: ", entry.name(), " has shape [", absl::StrJoin(shape, ", "),
                       "], config.json asks for [", absl::StrJoin(wanted, ", "), "]"));
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
    char* const data = const_cast<char*>(bytes.data()) + entry.offset();  // never written
    at::Tensor tensor;
    if (reinterpret_cast<uintptr_t>(data) % *element == 0) {
      tensor = at::from_blob(data, shape, StoredAs(entry.dtype()));
    } else {
      tensor = at::empty(shape, StoredAs(entry.dtype()));
      std::memcpy(tensor.mutable_data_ptr(), data, tensor.nbytes());
    }
    // The kernels know bf16 and fp32; fp32 holds every F16 number.
    if (tensor.scalar_type() == at::kHalf) tensor = tensor.to(at::kFloat);
    out.emplace_back(entry.name(), std::move(tensor));
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
  const ModelConfig& c = config_;
  // With adapters the tensors are frozen: gradients go to A and B alone.
  const bool leaves = trainable_ && !adapted();
  size_t next = 0;
  tables_.clear();
  sources_.clear();
  auto table = [&](TableWeight& weight) {
    const at::Tensor& tensor = tensors_[next++].second;
    weight.leaf = leaves ? tensor : at::Tensor();
    tables_.emplace_back(&weight, tensor);
  };
  auto add = [&](Source source) {
    source.weight->parts = leaves ? source.parts : std::vector<at::Tensor>();
    source.weight->bias_parts = leaves ? source.bias : std::vector<at::Tensor>();
    source.weight->adapters = source.adapters;
    sources_.push_back(std::move(source));
  };
  auto linear = [&](LinearWeight& weight, int count, bool bias = false) {
    Source source = {&weight};
    for (int i = 0; i < count; ++i) {
      const auto& [name, tensor] = tensors_[next++];
      source.parts.push_back(tensor);
      if (adapted()) source.adapters.push_back(adapters_.at(name));
      if (bias) source.bias.push_back(tensors_[next++].second);
    }
    add(std::move(source));
  };
  if (first_layer_ == 0) table(embedding_);
  for (LayerWeights& layer : layers_) {
    table(layer.input_norm);
    linear(layer.qkv, c.fused ? 1 : 3, c.qkv_bias);
    if (c.qk_norm) {
      table(layer.query_norm);
      table(layer.key_norm);
    }
    linear(layer.output, 1, c.output_bias);
    table(layer.post_norm);
    linear(layer.gate_up, c.fused ? 1 : 2, c.mlp_bias);
    linear(layer.down, 1, c.mlp_bias);
  }
  table(final_norm_);
  if (first_layer_ > 0) return;
  if (!c.gaps.empty()) head_.masked = at::tensor(c.gaps, at::kLong).to(DeviceOf(backend_));
  // Tied: the head's part is the embedding's leaf itself, so both add to one gradient and the
  // optimizer steps it once.
  add({&head_, {tensors_[c.tie_word_embeddings ? 0 : next].second}});
}

void TransformerWeights::Pack() {
  if (!trainable_ && sources_.empty()) return;
  for (auto& [weight, parts, bias, adapters] : sources_) {
    std::vector<at::Tensor> packed = parts;
    for (size_t i = 0; i < adapters.size() && adapters_on_; ++i) {
      packed[i] = OpsOf(backend_).MergeAdapter(parts[i], adapters[i]);
    }
    // What is not packed has no logit: it is never drawn, and no part of any softmax. Gaps are
    // packed, so that a column stays a token's id, and masked.
    if (weight == &head_) packed[0] = packed[0].narrow(0, 0, config_.num_tokens());
    OpsOf(backend_).Pack(packed, dtype_, trainable_, weight);
    if (bias.empty()) continue;
    std::vector<at::Tensor> rounded;
    for (const at::Tensor& part : bias) rounded.push_back(part.detach().to(ScalarTypeOf(dtype_)));
    // Rounded like the weights, because a published version is, and widened again, because the
    // kernels add it to fp32 sums.
    weight->bias = at::cat(rounded).to(at::kFloat);
  }
  for (auto& [table, source] : tables_) {
    // Norms are rounded too, although kernels read them as fp32: actors only have rounded ones.
    at::Tensor values = source.detach().to(ScalarTypeOf(dtype_));
    table->values = source.dim() == 1 ? values.to(at::kFloat) : values;
  }
}

}  // namespace reckon
