#include "common/init/random_model.h"

#include <cmath>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/log.h"
#include "common/base/rng.h"

namespace reckon {
namespace {

constexpr char kEmbedding[] = "model.embed_tokens.weight";

class VectorBytes : public WeightBytes {
 public:
  explicit VectorBytes(std::vector<char> data) : data_(std::move(data)) {}
  absl::Span<const char> bytes() const override { return data_; }

 private:
  const std::vector<char> data_;
};

std::string ConfigJson(const RandomModelShape& s) {
  return absl::StrCat(
      R"({"architectures":["LlamaForCausalLM"],"model_type":"llama","hidden_act":"silu",)",
      R"("hidden_size":)", s.hidden_size, R"(,"intermediate_size":)", s.intermediate_size,
      R"(,"num_hidden_layers":)", s.num_layers, R"(,"num_attention_heads":)", s.num_heads,
      R"(,"num_key_value_heads":)", s.num_kv_heads, R"(,"max_position_embeddings":)",
      s.max_positions, R"(,"rms_norm_eps":1e-05,"rope_theta":10000.0,"vocab_size":)", s.vocab_size,
      R"(,"tie_word_embeddings":)", s.tie_word_embeddings ? "true" : "false",
      R"(,"attention_bias":false,"mlp_bias":false,"bos_token_id":1,"eos_token_id":2,)",
      R"("pad_token_id":2,"torch_dtype":"bfloat16"})");
}

void AddTensor(WeightManifest* manifest, const std::string& name, std::vector<int64_t> shape) {
  TensorEntry* entry = manifest->add_tensors();
  entry->set_name(name);
  entry->set_dtype("BF16");
  for (int64_t n : shape) entry->add_shape(n);
}

void AddTensors(const RandomModelShape& s, WeightManifest* manifest) {
  int64_t kv = s.hidden_size / s.num_heads * s.num_kv_heads;
  AddTensor(manifest, kEmbedding, {s.vocab_size, s.hidden_size});
  for (int64_t i = 0; i < s.num_layers; ++i) {
    std::string layer = absl::StrCat("model.layers.", i, ".");
    AddTensor(manifest, layer + "input_layernorm.weight", {s.hidden_size});
    AddTensor(manifest, layer + "self_attn.q_proj.weight", {s.hidden_size, s.hidden_size});
    AddTensor(manifest, layer + "self_attn.k_proj.weight", {kv, s.hidden_size});
    AddTensor(manifest, layer + "self_attn.v_proj.weight", {kv, s.hidden_size});
    AddTensor(manifest, layer + "self_attn.o_proj.weight", {s.hidden_size, s.hidden_size});
    AddTensor(manifest, layer + "post_attention_layernorm.weight", {s.hidden_size});
    AddTensor(manifest, layer + "mlp.gate_proj.weight", {s.intermediate_size, s.hidden_size});
    AddTensor(manifest, layer + "mlp.up_proj.weight", {s.intermediate_size, s.hidden_size});
    AddTensor(manifest, layer + "mlp.down_proj.weight", {s.hidden_size, s.intermediate_size});
  }
  AddTensor(manifest, "model.norm.weight", {s.hidden_size});
  if (!s.tie_word_embeddings) {
    AddTensor(manifest, "lm_head.weight", {s.vocab_size, s.hidden_size});
  }
}

uint16_t ToBf16(double value) {
  float single = static_cast<float>(value);
  uint32_t bits;
  std::memcpy(&bits, &single, sizeof(bits));
  return static_cast<uint16_t>((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
}

void Fill(const TensorEntry& tensor, uint64_t seed, char* out) {
  CounterRng rng(StreamKey(seed, tensor.name()));
  int64_t count = 1;
  for (int64_t n : tensor.shape()) count *= n;
  bool norm = tensor.shape_size() == 1;
  bool vocab = tensor.name() == kEmbedding || tensor.name() == "lm_head.weight";
  double scale = norm || vocab ? 0.1 : 1.7 / std::sqrt(double(tensor.shape(1)));
  for (int64_t i = 0; i < count; ++i) {
    double value = (2 * rng.Uniform(i) - 1) * scale + (norm ? 1 : 0);
    uint16_t word = ToBf16(value);
    std::memcpy(out + 2 * i, &word, sizeof(word));
  }
}

}  // namespace

WeightManifest RandomModelManifest(const RandomModelShape& shape) {
  WeightManifest manifest;
  manifest.set_config_json(ConfigJson(shape));
  AddTensors(shape, &manifest);
  absl::Status laid_out = LayOut(&manifest);
  CHECK(laid_out.ok()) << laid_out;
  return manifest;
}

Weights DrawWeights(WeightManifest manifest, uint64_t seed) {
  std::vector<char> data(manifest.total_bytes());
  for (const TensorEntry& tensor : manifest.tensors()) {
    Fill(tensor, seed, data.data() + tensor.offset());
  }
  Digest(data, &manifest);
  return {std::move(manifest), std::make_shared<VectorBytes>(std::move(data))};
}

}  // namespace reckon
