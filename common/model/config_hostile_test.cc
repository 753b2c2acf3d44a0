#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/model/config.h"
#include "common/testing/hostile.h"
#include "common/text/json.h"
#include "gmock/gmock.h"

namespace reckon {
namespace {

using nlohmann::json;

json GoodConfig() {
  return {{"model_type", "llama"},
          {"vocab_size", 64},
          {"hidden_size", 32},
          {"intermediate_size", 64},
          {"num_hidden_layers", 2},
          {"num_attention_heads", 4},
          {"num_key_value_heads", 2},
          {"max_position_embeddings", 128},
          {"rms_norm_eps", 1e-5},
          {"rope_theta", 10000.0},
          {"rope_scaling",
           {{"rope_type", "llama3"},
            {"factor", 8.0},
            {"low_freq_factor", 1.0},
            {"high_freq_factor", 4.0},
            {"original_max_position_embeddings", 64}}}};
}

struct ConfigCase {
  const char* path;   // JSON pointer to what is replaced
  const char* value;  // "" removes it
  const char* names;
};

class HostileConfig : public ::testing::TestWithParam<ConfigCase> {};

TEST_P(HostileConfig, IsRefusedByField) {
  const ConfigCase& c = GetParam();
  json file = GoodConfig();
  const json::json_pointer path(c.path);
  if (*c.value == '\0') {
    file.at(path.parent_pointer()).erase(path.back());
  } else {
    file[path] = json::parse(c.value);
  }
  const std::string text = file.dump();
  const HostileReading reading;
  reading.Expect(ModelConfig::Parse(text).status(), std::string("config.json: ") + c.names,
                 text.size());
}

INSTANTIATE_TEST_SUITE_P(
    , HostileConfig,
    ::testing::Values(
        ConfigCase{"/model_type", "", "model_type: missing"},
        ConfigCase{"/model_type", "7", "model_type"},
        ConfigCase{"/model_type", "\"mamba\\n\"", "model_type: 'mamba?' is not supported"},
        ConfigCase{"/vocab_size", "", "vocab_size: missing"},
        ConfigCase{"/vocab_size", "null", "vocab_size"},
        ConfigCase{"/vocab_size", "\"64\"", "vocab_size"},
        ConfigCase{"/vocab_size", "[64]", "vocab_size"},
        ConfigCase{"/vocab_size", "64.0", "vocab_size"},
        ConfigCase{"/vocab_size", "0", "vocab_size: 0 is not in"},
        ConfigCase{"/vocab_size", "-1", "vocab_size: -1 is not in"},
        ConfigCase{"/vocab_size", "9223372036854775808", "vocab_size: 9223372036854775808 is not"},
        ConfigCase{"/vocab_size", "18446744073709551616", "vocab_size"},
        ConfigCase{"/hidden_size", "4294967296", "hidden_size"},
        ConfigCase{"/hidden_size", "33", "hidden_size"},
        ConfigCase{"/intermediate_size", "true", "intermediate_size"},
        ConfigCase{"/intermediate_size", "63", "intermediate_size: must be even"},
        ConfigCase{"/num_hidden_layers", "1000000000", "num_hidden_layers"},
        ConfigCase{"/num_hidden_layers", "16777216", "num_hidden_layers"},
        ConfigCase{"/num_attention_heads", "0", "num_attention_heads"},
        ConfigCase{"/num_attention_heads", "3", "num_key_value_heads: must divide"},
        ConfigCase{"/num_key_value_heads", "3", "num_key_value_heads: must divide"},
        ConfigCase{"/num_key_value_heads", "0", "num_key_value_heads"},
        ConfigCase{"/num_key_value_heads", "{}", "num_key_value_heads"},
        ConfigCase{"/head_dim", "7", "head_dim"}, ConfigCase{"/head_dim", "16777216", "head_dim"},
        ConfigCase{"/head_dim", "-8", "head_dim"}, ConfigCase{"/head_dim", "\"8\"", "head_dim"},
        ConfigCase{"/max_position_embeddings", "", "max_position_embeddings: missing"},
        ConfigCase{"/max_position_embeddings", "1e12", "max_position_embeddings"},
        ConfigCase{"/rms_norm_eps", "0", "rms_norm_eps"},
        ConfigCase{"/rms_norm_eps", "-1e-5", "rms_norm_eps"},
        ConfigCase{"/rms_norm_eps", "1e300", "rms_norm_eps"},
        ConfigCase{"/rms_norm_eps", "\"nan\"", "rms_norm_eps"},
        ConfigCase{"/rope_theta", "0", "rope_theta"},
        ConfigCase{"/rope_theta", "5e-324", "rope_theta"},
        ConfigCase{"/rope_scaling", "7", "rope_scaling: must be an object"},
        ConfigCase{"/rope_scaling/rope_type", "7", "rope_scaling"},
        ConfigCase{"/rope_scaling/rope_type", "\"longrope\"",
                   "rope_scaling.rope_type: 'longrope' is not supported"},
        ConfigCase{"/rope_scaling", R"({"rope_type": "yarn", "factor": 0})", "factor"},
        ConfigCase{"/rope_scaling", R"({"rope_type": "yarn", "beta_fast": "x"})", "beta_fast"},
        ConfigCase{"/rope_scaling", R"({"rope_type": "yarn", "truncate": 1})", "truncate"},
        ConfigCase{"/rope_scaling", R"({"rope_type": "yarn", "attention_factor": -1})",
                   "attention_factor"},
        ConfigCase{"/rope_scaling", R"({"rope_type": "yarn", "rope_theta": 1})",
                   "rope_theta: must be above 1"},
        ConfigCase{"/rope_scaling", R"({"rope_type": "default", "partial_rotary_factor": 0.5})",
                   "partial_rotary_factor"},
        ConfigCase{"/rope_scaling/factor", "", "factor: missing"},
        ConfigCase{"/rope_scaling/factor", "0", "factor"},
        ConfigCase{"/rope_scaling/factor", "1e-320", "factor"},
        ConfigCase{"/rope_scaling/low_freq_factor", "4.0", "high_freq_factor"},
        ConfigCase{"/rope_scaling/high_freq_factor", "null", "high_freq_factor"},
        ConfigCase{"/rope_scaling/original_max_position_embeddings", "-64",
                   "original_max_position_embeddings"},
        ConfigCase{"/rope_parameters", "[]", "rope_parameters"},
        ConfigCase{"/attention_bias", "\"yes\"", "attention_bias"},
        ConfigCase{"/attention_bias", "1", "attention_bias"},
        ConfigCase{"/tie_word_embeddings", "\"true\"", "tie_word_embeddings"},
        ConfigCase{"/hidden_act", "7", "hidden_act"},
        ConfigCase{"/layer_types", "\"full_attention\"", "layer_types"},
        ConfigCase{"/layer_types", "[\"sliding_attention\"]", "sliding_window: missing"},
        ConfigCase{"/layer_types", "[\"linear_attention\"]", "layer_types"},
        ConfigCase{"/use_sliding_window", "true", "sliding_window: missing"},
        ConfigCase{"/quantization_config", "{}", "quantization_config: quantised"},
        ConfigCase{"/partial_rotary_factor", "0.5", "partial_rotary_factor"},
        ConfigCase{"/mlp_bias", "2", "mlp_bias"}));

TEST(HostileConfigFile, OtherTextIsRefused) {
  for (const std::string& text :
       {std::string(), std::string("[]"), std::string("7"), std::string("null"),
        std::string("{\"model_type\":\"llama\",\"model_type\":\"llama\"}"),
        std::string(1'000'000, '['), std::string("{\"vocab_size\":1e400}"),
        std::string("{\"vocab_size\":NaN}"), std::string("\xff\xfe{\0}", 5)}) {
    const HostileReading reading;
    reading.Expect(ModelConfig::Parse(text).status(), "config.json: file: ", text.size());
  }
}

// Mistral's window, SmolLM3's layers without RoPE, and what the families leave unsaid.
TEST(ModelConfigFamilies, TakeTheDefaultsOfTheirClasses) {
  auto parse = [](const char* family, json more) {
    json file = GoodConfig();
    file["model_type"] = family;
    file["max_position_embeddings"] = 32768;
    for (const char* name : {"rope_scaling", "rope_theta", "rms_norm_eps"}) file.erase(name);
    if (!more.is_null()) file.update(more);
    const auto config = ModelConfig::Parse(file.dump());
    EXPECT_TRUE(config.ok()) << config.status();
    return *config;
  };
  EXPECT_EQ(parse("llama", {}).rms_norm_eps, 1e-6);
  EXPECT_EQ(parse("llama", {{"sliding_window", 64}}).max_positions, 32768);
  EXPECT_EQ(parse("mistral", {}).max_positions, 4096);
  EXPECT_EQ(parse("mistral", {{"sliding_window", nullptr}}).max_positions, 32768);
  EXPECT_EQ(parse("mistral", {{"sliding_window", 100}}).max_positions, 100);
  EXPECT_EQ(parse("qwen2", {{"sliding_window", 100}}).max_positions, 32768);
  EXPECT_EQ(parse("qwen2", {{"sliding_window", 100}, {"use_sliding_window", true}}).max_positions,
            100);
  EXPECT_TRUE(parse("qwen2", {}).qkv_bias);
  EXPECT_EQ(parse("qwen3", {}).head_dim, 128);
  EXPECT_EQ(parse("qwen3", {{"head_dim", nullptr}}).head_dim, 8);
  EXPECT_EQ(parse("cwm", {}).max_positions, 8192);
  EXPECT_EQ(parse("cwm", {}).head_dim, 128);
  EXPECT_TRUE(parse("seed_oss", {}).qkv_bias);
  EXPECT_FALSE(parse("seed_oss", {{"attention_bias", false}}).qkv_bias);
  EXPECT_FALSE(parse("seed_oss", {}).output_bias);
  EXPECT_TRUE(parse("seed_oss", {{"attention_out_bias", true}}).output_bias);
  const ModelConfig biased = parse("llama", {{"attention_bias", true}, {"mlp_bias", true}});
  EXPECT_TRUE(biased.qkv_bias && biased.output_bias && biased.mlp_bias);
  EXPECT_FALSE(parse("qwen2", {{"attention_bias", true}, {"mlp_bias", true}}).output_bias);
  EXPECT_FALSE(parse("mistral", {{"attention_bias", true}}).qkv_bias);
  const ModelConfig smollm3 = parse("smollm3", {{"num_hidden_layers", 9}});
  EXPECT_TRUE(smollm3.tie_word_embeddings);
  EXPECT_EQ(smollm3.rope.theta, 2e6);
  EXPECT_EQ(smollm3.no_rope, (std::vector<int64_t>{3, 7}));
  EXPECT_EQ(parse("smollm3", {{"no_rope_layers", {0, 1, 0}}}).no_rope, (std::vector<int64_t>{0}));
}

// Phi-3's files say "yarn" for LongRoPE; its window is used when it is there.
TEST(ModelConfigFamilies, Phi3) {
  json file = GoodConfig();
  file["model_type"] = "phi3";
  file["rope_scaling"] = nullptr;
  file["max_position_embeddings"] = 4096;
  const auto config = ModelConfig::Parse(file.dump());
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_TRUE(config->fused);
  EXPECT_EQ(config->max_positions, 4096);
  EXPECT_EQ(config->Tensors()[2].name(), "model.layers.0.self_attn.qkv_proj.weight");
  file["sliding_window"] = 2047;
  EXPECT_EQ(ModelConfig::Parse(file.dump())->max_positions, 2047);
  for (const char* type : {"yarn", "su", "longrope"}) {
    file["rope_scaling"] = {{"type", type}, {"factor", 4.0}};
    EXPECT_THAT(std::string(ModelConfig::Parse(file.dump()).status().message()),
                testing::HasSubstr(absl::StrCat("'", type, "' is not supported")));
  }
}

// What transformers computes; tests/parity/family_parity.py compares the models.
TEST(ModelConfigFamilies, YarnBlendsAndRaises) {
  json file = GoodConfig();
  file["head_dim"] = 64;
  file["rope_scaling"] = {{"rope_type", "yarn"},
                          {"rope_theta", 1e6},
                          {"factor", 4.0},
                          {"original_max_position_embeddings", 32768}};
  const auto config = ModelConfig::Parse(file.dump());
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_NEAR(config->rope.magnitude, 0.1 * std::log(4.0) + 1, 1e-12);
  file["rope_scaling"] = nullptr;
  file["rope_theta"] = 1e6;
  const std::vector<float> scaled = config->RopeFrequencies(),
                           plain = ModelConfig::Parse(file.dump())->RopeFrequencies();
  // 32 rotations are made at place 11.7, one at 19.8: whole from 11 down, divided from 20 up.
  for (size_t d = 0; d < plain.size(); ++d) {
    const double share = std::clamp((static_cast<double>(d) - 11) / (20 - 11), 0.0, 1.0);
    EXPECT_NEAR(scaled[d] / plain[d], 1 - share + share / 4, 1e-6) << d;
  }
}

TEST(HostileConfigFile, TheUnchangedConfigIsAccepted) {
  const auto config = ModelConfig::Parse(GoodConfig().dump());
  ASSERT_TRUE(config.ok()) << config.status();
  for (float frequency : config->RopeFrequencies()) EXPECT_TRUE(std::isfinite(frequency));
}

}  // namespace
}  // namespace reckon
