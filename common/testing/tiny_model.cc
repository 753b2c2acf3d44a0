#include "common/testing/tiny_model.h"

#include <cmath>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/log.h"
#include "common/base/rng.h"

namespace reckon {
namespace {

class VectorBytes : public WeightBytes {
 public:
  explicit VectorBytes(std::vector<char> data) : data_(std::move(data)) {}
  absl::Span<const char> bytes() const override { return data_; }

 private:
  const std::vector<char> data_;
};

std::string Utf8(uint32_t code_point) {
  if (code_point < 0x80) return std::string(1, static_cast<char>(code_point));
  return {static_cast<char>(0xC0 | (code_point >> 6)),
          static_cast<char>(0x80 | (code_point & 0x3F))};
}

// GPT-2's printable stand-in for each byte.
std::string ByteName(int byte, int* next_free) {
  bool printable = (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
  return Utf8(printable ? byte : 256 + (*next_free)++);
}

std::string TokenizerJson() {
  const char* specials[] = {"<|endoftext|>", "<|im_start|>", "<|im_end|>"};
  std::vector<std::string> added, vocab;
  for (int i = 0; i < 3; ++i) {
    added.push_back(absl::StrCat(R"({"id":)", i, R"(,"content":")", specials[i],
                                 R"(","single_word":false,"lstrip":false,"rstrip":false,)",
                                 R"("normalized":false,"special":true})"));
    vocab.push_back(absl::StrCat("\"", specials[i], "\":", i));
  }
  int next_free = 0;
  for (int byte = 0; byte < 256; ++byte) {
    std::string name = ByteName(byte, &next_free);
    if (name == "\"" || name == "\\") name = "\\" + name;
    vocab.push_back(absl::StrCat("\"", name, "\":", kTinyFirstByte + byte));
  }
  return absl::StrCat(
      R"({"version":"1.0","truncation":null,"padding":null,"added_tokens":[)",
      absl::StrJoin(added, ","),
      R"(],"normalizer":null,"pre_tokenizer":{"type":"Sequence","pretokenizers":[)",
      R"({"type":"Digits","individual_digits":true},)",
      R"({"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":true}]},)",
      R"("post_processor":null,"decoder":{"type":"ByteLevel","add_prefix_space":true,)",
      R"("trim_offsets":true,"use_regex":true},"model":{"type":"BPE","dropout":null,)",
      R"("unk_token":null,"continuing_subword_prefix":null,"end_of_word_suffix":null,)",
      R"("fuse_unk":false,"byte_fallback":false,"ignore_merges":false,"vocab":{)",
      absl::StrJoin(vocab, ","), R"(},"merges":[]}})");
}

// SmolLM2's names and chat template.
constexpr char kTokenizerConfigJson[] =
    R"json({"tokenizer_class":"GPT2Tokenizer","add_prefix_space":false,"bos_token":"<|im_start|>",)json"
    R"json("eos_token":"<|im_end|>","pad_token":"<|im_end|>","unk_token":"<|endoftext|>",)json"
    R"json("model_max_length":8192,"clean_up_tokenization_spaces":false,"chat_template":)json"
    R"json("{% for message in messages %}{% if loop.first and messages[0]['role'] != 's)json"
    R"json(ystem' %}{{ '<|im_start|>system\nYou are a helpful AI assistant named SmolLM)json"
    R"json(, trained by Hugging Face<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + messa)json"
    R"json(ge['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{%)json"
    R"json( if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}")json"
    R"json(})json";

std::string ConfigJson(const TinyModelOptions& o) {
  return absl::StrCat(
      R"({"architectures":["LlamaForCausalLM"],"model_type":"llama","hidden_act":"silu",)",
      R"("hidden_size":)", o.hidden_size, R"(,"intermediate_size":)", o.intermediate_size,
      R"(,"num_hidden_layers":)", o.num_layers, R"(,"num_attention_heads":)", o.num_heads,
      R"(,"num_key_value_heads":)", o.num_kv_heads, R"(,"max_position_embeddings":2048,)",
      R"("rms_norm_eps":1e-05,"rope_theta":10000.0,"vocab_size":)", kTinyVocab,
      R"(,"tie_word_embeddings":)", o.tie_word_embeddings ? "true" : "false",
      R"(,"attention_bias":false,"mlp_bias":false,"bos_token_id":1,"eos_token_id":2,)",
      R"("pad_token_id":2,"torch_dtype":"bfloat16"})");
}

void AddTensor(WeightManifest* manifest, const std::string& name, std::vector<int64_t> shape) {
  TensorEntry* entry = manifest->add_tensors();
  entry->set_name(name);
  entry->set_dtype("BF16");
  for (int64_t n : shape) entry->add_shape(n);
}

void AddTensors(const TinyModelOptions& o, WeightManifest* manifest) {
  int64_t kv = o.hidden_size / o.num_heads * o.num_kv_heads;
  AddTensor(manifest, "model.embed_tokens.weight", {kTinyVocab, o.hidden_size});
  for (int64_t i = 0; i < o.num_layers; ++i) {
    std::string layer = absl::StrCat("model.layers.", i, ".");
    AddTensor(manifest, layer + "input_layernorm.weight", {o.hidden_size});
    AddTensor(manifest, layer + "self_attn.q_proj.weight", {o.hidden_size, o.hidden_size});
    AddTensor(manifest, layer + "self_attn.k_proj.weight", {kv, o.hidden_size});
    AddTensor(manifest, layer + "self_attn.v_proj.weight", {kv, o.hidden_size});
    AddTensor(manifest, layer + "self_attn.o_proj.weight", {o.hidden_size, o.hidden_size});
    AddTensor(manifest, layer + "post_attention_layernorm.weight", {o.hidden_size});
    AddTensor(manifest, layer + "mlp.gate_proj.weight", {o.intermediate_size, o.hidden_size});
    AddTensor(manifest, layer + "mlp.up_proj.weight", {o.intermediate_size, o.hidden_size});
    AddTensor(manifest, layer + "mlp.down_proj.weight", {o.hidden_size, o.intermediate_size});
  }
  AddTensor(manifest, "model.norm.weight", {o.hidden_size});
  if (!o.tie_word_embeddings) {
    AddTensor(manifest, "lm_head.weight", {kTinyVocab, o.hidden_size});
  }
}

uint16_t ToBf16(double value) {
  float single = static_cast<float>(value);
  uint32_t bits;
  std::memcpy(&bits, &single, sizeof(bits));
  return static_cast<uint16_t>((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
}

// Norm weights near one, matrices of variance 1 / inputs, embeddings small so that the first
// distribution over tokens is nearly flat.
void Fill(const TensorEntry& tensor, uint64_t seed, char* out) {
  CounterRng rng(StreamKey(seed, tensor.name()));
  int64_t count = 1;
  for (int64_t n : tensor.shape()) count *= n;
  bool norm = tensor.shape_size() == 1;
  bool vocab = tensor.shape(0) == kTinyVocab;
  double scale = norm ? 0.1 : vocab ? 0.1 : 1.7 / std::sqrt(double(tensor.shape(1)));
  for (int64_t i = 0; i < count; ++i) {
    double value = (2 * rng.Uniform(i) - 1) * scale + (norm ? 1 : 0);
    uint16_t word = ToBf16(value);
    std::memcpy(out + 2 * i, &word, sizeof(word));
  }
}

}  // namespace

Weights MakeTinyModel(const TinyModelOptions& options) {
  Weights weights;
  WeightManifest& manifest = weights.manifest;
  manifest.set_config_json(ConfigJson(options));
  manifest.set_tokenizer_json(TokenizerJson());
  manifest.set_tokenizer_config_json(kTokenizerConfigJson);
  AddTensors(options, &manifest);
  absl::Status laid_out = LayOut(&manifest);
  CHECK(laid_out.ok()) << laid_out;
  std::vector<char> data(manifest.total_bytes());
  for (const TensorEntry& tensor : manifest.tensors()) {
    Fill(tensor, options.seed, data.data() + tensor.offset());
  }
  Digest(data, &manifest);
  weights.bytes = std::make_shared<VectorBytes>(std::move(data));
  return weights;
}

absl::Status WriteTinyModel(const std::string& folder, const TinyModelOptions& options) {
  Weights weights = MakeTinyModel(options);
  return WriteModelFolder(folder, weights.manifest, weights.bytes->bytes());
}

}  // namespace reckon
