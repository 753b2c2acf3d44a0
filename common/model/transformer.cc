#include "common/model/transformer.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status_macros.h"
#include "common/model/ops/ops_table.h"

namespace reckon {
namespace {

// One parameter as given: fp32 or bf16 values, and the fp32 leaf when trainable.
using Parameter = std::pair<std::string, at::Tensor>;

struct Layer {
  TableWeight input_norm, post_norm, query_norm, key_norm;
  LinearWeight qkv, output, gate_up, down;
};

TensorEntry Expected(const std::string& name, std::vector<int64_t> shape) {
  TensorEntry entry;
  entry.set_name(name);
  for (int64_t n : shape) entry.add_shape(n);
  return entry;
}

class Llama : public Transformer {
 public:
  Llama(const ModelConfig& config, Compute compute, Backend backend)
      : config_(config),
        compute_(compute),
        element_(compute == Compute::kBf16 ? Element::kBf16 : Element::kFp32),
        backend_(backend),
        ops_(OpsOf(backend)),
        layers_(config.num_layers) {
    std::vector<float> rope = config.RopeFrequencies();
    rope_ = at::from_blob(rope.data(), {static_cast<int64_t>(rope.size())}, at::kFloat)
                .clone()
                .to(DeviceOf(backend));
  }

  std::vector<TensorEntry> ExpectedTensors() const override {
    const ModelConfig& c = config_;
    const int64_t q = c.num_heads * c.head_dim, kv = c.num_kv_heads * c.head_dim;
    std::vector<TensorEntry> out;
    out.push_back(Expected("model.embed_tokens.weight", {c.vocab_size, c.hidden_size}));
    for (int64_t i = 0; i < c.num_layers; ++i) {
      std::string p = absl::StrCat("model.layers.", i, ".");
      out.push_back(Expected(p + "input_layernorm.weight", {c.hidden_size}));
      for (const auto& [name, size] : {std::pair("q", q), std::pair("k", kv), std::pair("v", kv)}) {
        out.push_back(
            Expected(absl::StrCat(p, "self_attn.", name, "_proj.weight"), {size, c.hidden_size}));
        if (!c.qkv_bias) continue;
        out.push_back(Expected(absl::StrCat(p, "self_attn.", name, "_proj.bias"), {size}));
      }
      if (c.qk_norm) {
        out.push_back(Expected(p + "self_attn.q_norm.weight", {c.head_dim}));
        out.push_back(Expected(p + "self_attn.k_norm.weight", {c.head_dim}));
      }
      out.push_back(Expected(p + "self_attn.o_proj.weight", {c.hidden_size, q}));
      out.push_back(Expected(p + "post_attention_layernorm.weight", {c.hidden_size}));
      out.push_back(Expected(p + "mlp.gate_proj.weight", {c.intermediate_size, c.hidden_size}));
      out.push_back(Expected(p + "mlp.up_proj.weight", {c.intermediate_size, c.hidden_size}));
      out.push_back(Expected(p + "mlp.down_proj.weight", {c.hidden_size, c.intermediate_size}));
    }
    out.push_back(Expected("model.norm.weight", {c.hidden_size}));
    if (!c.tie_word_embeddings) {
      out.push_back(Expected("lm_head.weight", {c.vocab_size, c.hidden_size}));
    }
    return out;
  }

  absl::Status Load(const WeightManifest& manifest, absl::Span<const char> bytes,
                    bool trainable) override {
    ASSIGN_OR_RETURN(parameters_, Read(manifest, bytes));
    trainable_ = trainable;
    for (Parameter& parameter : parameters_) {
      parameter.second = parameter.second.to(DeviceOf(backend_));
      if (trainable) parameter.second = parameter.second.to(at::kFloat).set_requires_grad(true);
    }
    Bind();
    Pack();
    if (!trainable) {
      // The packed copies are all that the forward pass reads.
      parameters_.clear();
    }
    return absl::OkStatus();
  }

  std::vector<Parameter> Parameters() override {
    return trainable_ ? parameters_ : std::vector<Parameter>();
  }

  void Repack() override {
    if (trainable_) Pack();
  }

  at::Tensor Forward(const at::Tensor& token_ids, const at::Tensor& row_positions,
                     AttentionSource& attention) override {
    const ModelConfig& c = config_;
    const at::Tensor tokens = token_ids.to(DeviceOf(backend_));
    const at::Tensor positions = row_positions.to(DeviceOf(backend_));
    at::Tensor x = ops_.embed(tokens, embedding_);  // [rows, hidden] fp32, the residual stream
    for (int64_t i = 0; i < c.num_layers; ++i) {
      const Layer& layer = layers_[i];
      at::Tensor normed = ops_.rms_norm(x, layer.input_norm, c.rms_norm_eps, element_);
      at::Tensor qkv = ops_.linear(normed, layer.qkv);  // [rows, q + kv + kv]
      if (c.qk_norm) {
        qkv = ops_.head_norm(qkv, layer.query_norm, layer.key_norm, c.num_heads, c.num_kv_heads,
                             c.head_dim, c.rms_norm_eps);
      }
      qkv = ops_.rope(qkv, positions, c.num_heads + c.num_kv_heads, c.head_dim, rope_);
      at::Tensor mixed = attention.Attend(i, qkv);
      x = ops_.add_linear(x, mixed, layer.output);
      normed = ops_.rms_norm(x, layer.post_norm, c.rms_norm_eps, element_);
      x = ops_.add_linear(x, ops_.swiglu(ops_.linear(normed, layer.gate_up)), layer.down);
    }
    return ops_.rms_norm(x, final_norm_, c.rms_norm_eps, element_);
  }

  at::Tensor Logits(const at::Tensor& hidden) override { return ops_.head_logits(hidden, head_); }

  at::Tensor LogProb(const at::Tensor& hidden, const at::Tensor& targets,
                     double temperature) override {
    return ops_.head_log_prob(hidden, head_, targets.to(hidden.device(), at::kInt), temperature);
  }

  const ModelConfig& config() const override { return config_; }
  Compute compute() const override { return compute_; }
  Backend backend() const override { return backend_; }

 private:
  // The tensors of the manifest in canonical order, copied; each exactly once, in its shape.
  absl::StatusOr<std::vector<Parameter>> Read(const WeightManifest& manifest,
                                              absl::Span<const char> bytes) const {
    std::map<std::string, const TensorEntry*> given;
    for (const TensorEntry& entry : manifest.tensors()) {
      if (!given.emplace(entry.name(), &entry).second) {
        return absl::InvalidArgumentError(absl::StrCat("weights: ", entry.name(), " given twice"));
      }
    }
    std::vector<Parameter> out;
    for (const TensorEntry& expected : ExpectedTensors()) {
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
    if (!given.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("weights: unexpected tensor ", given.begin()->first));
    }
    return out;
  }

  // Points the layers at their parameters, which stand in canonical order.
  void Bind() {
    const ModelConfig& c = config_;
    size_t next = 0;
    auto take = [&] { return parameters_[next++].second; };
    auto table = [&](TableWeight& weight) {
      weight.values = take();
      weight.leaf = trainable_ ? weight.values : at::Tensor();
    };
    sources_.clear();
    auto linear = [&](LinearWeight& weight, std::vector<at::Tensor> parts,
                      std::vector<at::Tensor> bias = {}) {
      weight.parts = trainable_ ? parts : std::vector<at::Tensor>();
      weight.bias_parts = trainable_ ? bias : std::vector<at::Tensor>();
      sources_.push_back({&weight, std::move(parts), std::move(bias)});
    };
    table(embedding_);
    for (Layer& layer : layers_) {
      table(layer.input_norm);
      std::vector<at::Tensor> qkv, bias;
      for (int i = 0; i < 3; ++i) {
        qkv.push_back(take());
        if (c.qkv_bias) bias.push_back(take());
      }
      linear(layer.qkv, qkv, bias);
      if (c.qk_norm) {
        table(layer.query_norm);
        table(layer.key_norm);
      }
      linear(layer.output, {take()});
      table(layer.post_norm);
      std::vector<at::Tensor> gate_up = {take(), take()};
      linear(layer.gate_up, gate_up);
      linear(layer.down, {take()});
    }
    table(final_norm_);
    linear(head_, {c.tie_word_embeddings ? parameters_[0].second : take()});
    tables_ = {{&embedding_, embedding_.values}, {&final_norm_, final_norm_.values}};
    for (Layer& layer : layers_) {
      for (TableWeight* norm :
           {&layer.input_norm, &layer.post_norm, &layer.query_norm, &layer.key_norm}) {
        if (norm->values.defined()) tables_.emplace_back(norm, norm->values);
      }
    }
  }

  void Pack() {
    for (auto& [weight, parts, bias] : sources_) {
      PackLinear(*weight, parts);
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
    if (!trainable_) {
      sources_.clear();
      tables_.clear();
    }
  }

  void PackLinear(LinearWeight& weight, const std::vector<at::Tensor>& parts) const {
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

  const ModelConfig config_;
  const Compute compute_;
  const Element element_;
  const Backend backend_;
  const Ops& ops_;
  at::Tensor rope_;  // frequencies
  bool trainable_ = false;
  TableWeight embedding_, final_norm_;
  std::vector<Layer> layers_;
  LinearWeight head_;
  std::vector<Parameter> parameters_;
  // What Pack reads: each weight with the tensors it is made of.
  struct Source {
    LinearWeight* weight;
    std::vector<at::Tensor> parts, bias;
  };
  std::vector<Source> sources_;
  std::vector<std::pair<TableWeight*, at::Tensor>> tables_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Transformer>> Transformer::Create(const ModelConfig& config,
                                                                 Compute compute, Backend backend) {
  return std::make_unique<Llama>(config, compute, backend);
}

}  // namespace reckon
