#include "common/model/decoder_weights.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "common/base/log.h"
#include "common/base/rng.h"
#include "common/base/status_macros.h"

namespace reckon {
namespace {

TensorEntry Entry(const std::string& name, std::vector<int64_t> shape) {
  TensorEntry entry;
  entry.set_name(name);
  for (int64_t n : shape) entry.add_shape(n);
  return entry;
}

// A starts as torch's Linear does, uniform within 1 / sqrt(k), B at zero (Hu et al. 2021, section
// 4.1; PEFT): nothing changes at first.
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

at::Tensor RopeTensor(const ModelConfig& config, Backend backend) {
  std::vector<float> rope = config.RopeFrequencies();
  return at::from_blob(rope.data(), {static_cast<int64_t>(rope.size())}, at::kFloat)
      .clone()
      .to(DeviceOf(backend));
}

}  // namespace

DecoderWeights::DecoderWeights(const ModelConfig& config, Element element, Backend backend,
                               int64_t first_layer)
    : config_(config),
      element_(element),
      backend_(backend),
      first_layer_(first_layer),
      rope_(RopeTensor(config, backend)),
      layers_(config.num_layers - first_layer) {}

std::vector<TensorEntry> DecoderWeights::Expected(const ModelConfig& c, int64_t first_layer) {
  const int64_t q = c.num_heads * c.head_dim, kv = c.num_kv_heads * c.head_dim;
  std::vector<TensorEntry> out;
  if (first_layer == 0) {
    out.push_back(Entry("model.embed_tokens.weight", {c.vocab_size, c.hidden_size}));
  }
  for (int64_t i = first_layer; i < c.num_layers; ++i) {
    std::string p = absl::StrCat("model.layers.", i, ".");
    out.push_back(Entry(p + "input_layernorm.weight", {c.hidden_size}));
    for (const auto& [name, size] : {std::pair("q", q), std::pair("k", kv), std::pair("v", kv)}) {
      out.push_back(
          Entry(absl::StrCat(p, "self_attn.", name, "_proj.weight"), {size, c.hidden_size}));
      if (!c.qkv_bias) continue;
      out.push_back(Entry(absl::StrCat(p, "self_attn.", name, "_proj.bias"), {size}));
    }
    if (c.qk_norm) {
      out.push_back(Entry(p + "self_attn.q_norm.weight", {c.head_dim}));
      out.push_back(Entry(p + "self_attn.k_norm.weight", {c.head_dim}));
    }
    out.push_back(Entry(p + "self_attn.o_proj.weight", {c.hidden_size, q}));
    out.push_back(Entry(p + "post_attention_layernorm.weight", {c.hidden_size}));
    out.push_back(Entry(p + "mlp.gate_proj.weight", {c.intermediate_size, c.hidden_size}));
    out.push_back(Entry(p + "mlp.up_proj.weight", {c.intermediate_size, c.hidden_size}));
    out.push_back(Entry(p + "mlp.down_proj.weight", {c.hidden_size, c.intermediate_size}));
  }
  out.push_back(Entry("model.norm.weight", {c.hidden_size}));
  if (first_layer == 0 && !c.tie_word_embeddings) {
    out.push_back(Entry("lm_head.weight", {c.vocab_size, c.hidden_size}));
  }
  return out;
}

absl::Status DecoderWeights::Load(const WeightManifest& manifest, absl::Span<const char> bytes,
                                  bool trainable) {
  ASSIGN_OR_RETURN(tensors_, Read(manifest, bytes));
  trainable_ = trainable;
  adapters_.clear();
  for (auto& [name, tensor] : tensors_) {
    tensor = tensor.to(DeviceOf(backend_));
    if (trainable) tensor = tensor.to(at::kFloat).set_requires_grad(true);
  }
  Bind();
  Pack();
  if (!trainable) {
    // The packed copies are all that the forward pass reads.
    tensors_.clear();
    sources_.clear();
    tables_.clear();
  }
  return absl::OkStatus();
}

void DecoderWeights::AddAdapters(int64_t rank, double alpha, uint64_t seed) {
  CHECK(trainable_);
  tensors_ = Merged();
  adapters_.clear();
  adapters_on_ = true;
  for (auto& [name, tensor] : tensors_) {
    tensor = tensor.to(ScalarOf(element_));
    if (!absl::StrContains(name, "_proj.weight")) continue;
    adapters_.emplace(name, NewAdapter(tensor, rank, alpha, StreamKey(seed, name)));
  }
  Bind();
  Pack();
}

void DecoderWeights::SwitchAdapters(bool on) {
  if (!adapted() || adapters_on_ == on) return;
  adapters_on_ = on;
  Pack();
}

NamedTensors DecoderWeights::Parameters() const {
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

NamedTensors DecoderWeights::Merged() const {
  NamedTensors out;
  for (const auto& [name, tensor] : tensors_) {
    auto it = adapters_.find(name);
    out.emplace_back(name, it != adapters_.end() ? reckon::Merged(tensor, it->second)
                                                 : tensor.detach().to(at::kFloat));
  }
  return out;
}

// The tensors of the manifest in canonical order, copied; each exactly once, in its shape.
absl::StatusOr<NamedTensors> DecoderWeights::Read(const WeightManifest& manifest,
                                                  absl::Span<const char> bytes) const {
  std::map<std::string, const TensorEntry*> given;
  for (const TensorEntry& entry : manifest.tensors()) {
    if (!given.emplace(entry.name(), &entry).second) {
      return absl::InvalidArgumentError(absl::StrCat("weights: ", entry.name(), " given twice"));
    }
  }
  NamedTensors out;
  for (const TensorEntry& expected : Expected(config_, first_layer_)) {
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
    if (entry.dtype() != "BF16" && entry.dtype() != "F32") {
      return absl::InvalidArgumentError(absl::StrCat("weights: ", entry.name(), " has dtype ",
                                                     entry.dtype(), "; BF16 and F32 are read"));
    }
    // Against the buffer before any memory is asked for: the shape is only as true as
    // config.json.
    uint64_t left = bytes.size(), needed = entry.dtype() == "BF16" ? 2 : 4;
    left -= std::min<uint64_t>(left, entry.offset());
    for (int64_t n : shape) needed = n > 0 && needed <= left / n ? needed * n : left + 1;
    if (needed > left) {
      return absl::InvalidArgumentError(
          absl::StrCat("weights: ", entry.name(), " lies beyond the end of the buffer"));
    }
    at::Tensor tensor = at::empty(shape, entry.dtype() == "BF16" ? at::kBFloat16 : at::kFloat);
    std::memcpy(tensor.mutable_data_ptr(), bytes.data() + entry.offset(), tensor.nbytes());
    out.emplace_back(entry.name(), std::move(tensor));
    given.erase(it);
  }
  if (first_layer_ == 0 && !given.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("weights: unexpected tensor ", given.begin()->first));
  }
  return out;
}

// Points the layers at their tensors, which stand in canonical order.
void DecoderWeights::Bind() {
  const ModelConfig& c = config_;
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
  for (DecoderLayer& layer : layers_) {
    table(layer.input_norm);
    linear(layer.qkv, 3, c.qkv_bias);
    if (c.qk_norm) {
      table(layer.query_norm);
      table(layer.key_norm);
    }
    linear(layer.output, 1);
    table(layer.post_norm);
    linear(layer.gate_up, 2);
    linear(layer.down, 1);
  }
  table(final_norm_);
  if (first_layer_ > 0) return;
  add({&head_, {tensors_[c.tie_word_embeddings ? 0 : next].second}});
}

void DecoderWeights::Pack() {
  if (!trainable_ && sources_.empty()) return;
  for (auto& [weight, parts, bias, adapters] : sources_) {
    std::vector<at::Tensor> packed = parts;
    for (size_t i = 0; i < adapters.size() && adapters_on_; ++i) {
      packed[i] = reckon::Merged(parts[i], adapters[i]);
    }
    PackLinear(*weight, packed);
    if (bias.empty()) continue;
    std::vector<at::Tensor> rounded;
    for (const at::Tensor& part : bias) rounded.push_back(part.detach().to(ScalarOf(element_)));
    weight->bias = at::cat(rounded).to(at::kFloat);
  }
  for (auto& [table, source] : tables_) {
    // Rounded to the compute type, as a published version is; norms are then held in fp32.
    at::Tensor values = source.detach().to(ScalarOf(element_));
    table->values = source.dim() == 1 ? values.to(at::kFloat) : values;
  }
}

void DecoderWeights::PackLinear(LinearWeight& weight, const std::vector<at::Tensor>& parts) const {
  if (backend_ != Backend::kOwn) {
    std::vector<at::Tensor> rounded;
    for (const at::Tensor& part : parts) rounded.push_back(part.detach().to(ScalarOf(element_)));
    weight.device_weight = at::cat(rounded);
    return;
  }
  int64_t n = 0, k = parts[0].size(1), first = 0;
  for (const at::Tensor& part : parts) n += part.size(0);
  weight.forward.Reset(element_, k, n);
  if (trainable_) weight.backward.Reset(element_, n, k);
  for (const at::Tensor& part : parts) {
    int64_t rows = part.size(0);
    if (part.scalar_type() == at::kBFloat16) {
      const auto* w = static_cast<const uint16_t*>(part.const_data_ptr());
      weight.forward.PackTransposed(w, rows, first);
      if (trainable_) weight.backward.PackRows(w, rows, first, k);
    } else {
      const float* w = part.const_data_ptr<float>();
      weight.forward.PackTransposed(w, rows, first);
      if (trainable_) weight.backward.PackRows(w, rows, first, k);
    }
    first += rows;
  }
}

}  // namespace reckon
