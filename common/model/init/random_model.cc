#include "common/model/init/random_model.h"

#include <cmath>
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "common/base/rng.h"
#include "common/base/status_macros.h"
#include "common/model/files/manifest.h"
#include "common/model/files/weight_bytes.h"
#include "common/model/init/new_tokenizer.h"
#include "common/model/kernels/dtype.h"
// Last.
#include "common/base/log.h"

namespace reckon {
namespace {

std::string ConfigJson(const ModelConfig& c) {
  using Json = nlohmann::ordered_json;
  return Json{{"architectures", Json::array({"LlamaForCausalLM"})},
              {"model_type", "llama"},
              {"hidden_act", "silu"},
              {"hidden_size", c.hidden_size},
              {"intermediate_size", c.intermediate_size},
              {"num_hidden_layers", c.num_layers},
              {"num_attention_heads", c.num_heads},
              {"num_key_value_heads", c.num_kv_heads},
              {"max_position_embeddings", c.max_positions},
              {"rms_norm_eps", c.rms_norm_eps},
              {"rope_theta", c.rope.theta},
              {"vocab_size", c.vocab_size},
              {"tie_word_embeddings", c.tie_word_embeddings},
              {"attention_bias", false},
              {"mlp_bias", false},
              {"bos_token_id", kNewTokenizerStart},
              {"eos_token_id", kNewTokenizerEnd},
              {"pad_token_id", kNewTokenizerEnd},
              {"torch_dtype", "bfloat16"}}
      .dump();
}

void Fill(const TensorEntry& tensor, uint64_t seed, char* out) {
  CounterRng rng(StreamKey(seed, tensor.name()));
  int64_t count = 1;
  for (int64_t n : tensor.shape()) count *= n;
  const bool norm = tensor.shape_size() == 1;
  const bool vocab =
      tensor.name() == "model.embed_tokens.weight" || tensor.name() == "lm_head.weight";
  const double scale = norm || vocab ? 0.1 : 1.7 / std::sqrt(double(tensor.shape(1)));
  for (int64_t i = 0; i < count; ++i) {
    double value = (2 * rng.Uniform(i) - 1) * scale + (norm ? 1 : 0);
    const uint16_t word = ToBf16(static_cast<float>(value));
    std::memcpy(out + 2 * i, &word, sizeof(word));
  }
}

}  // namespace

WeightManifest RandomModelManifest(const ModelConfig& config) {
  CHECK(!config.qkv_bias && !config.mlp_bias && !config.fused && !config.qk_norm &&
        config.rope.scaling == RopeSettings::kNone)
      << "config.json below describes a plain Llama";
  WeightManifest manifest;
  manifest.mutable_texts()->set_config_json(ConfigJson(config));
  for (TensorEntry& tensor : config.Tensors()) {
    tensor.set_dtype("BF16");
    *manifest.add_tensors() = std::move(tensor);
  }
  absl::Status laid_out = LayOut(&manifest);
  CHECK(laid_out.ok()) << laid_out;
  return manifest;
}

absl::StatusOr<Weights> DrawWeights(WeightManifest manifest, uint64_t seed) {
  ASSIGN_OR_RETURN(std::shared_ptr<WeightBytes> bytes, WeightBytes::OfSize(manifest.total_bytes()));
  for (const TensorEntry& tensor : manifest.tensors()) {
    Fill(tensor, seed, bytes->data() + tensor.offset());
  }
  Digest(bytes->bytes(), &manifest);
  return Weights{std::move(manifest), std::move(bytes)};
}

}  // namespace reckon
