#include "common/model/files/adapter.h"

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/model/files/model_folder.h"
#include "common/model/kernels/dtype.h"
#include "common/testing/temp_folder.h"
#include "common/text/json.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/tensor_file.h"
#include "tests/support/tiny_model.h"

namespace reckon {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

constexpr char kUp[] = "base_model.model.model.layers.1.mlp.up_proj";          // [128, 64]
constexpr char kQuery[] = "base_model.model.model.layers.0.self_attn.q_proj";  // [64, 64]

// A tiny model, and beside it an adapter of rank 2 whose A is 0.5 and whose B is 0.25 everywhere:
// the product is 0.25 in every place.
class AdapterTest : public ::testing::Test {
 protected:
  void SetUp() override {
    fs::create_directories(folder_);
    ASSERT_TRUE(WriteTinyModel(base_).ok());
    config_ = {{"peft_type", "LORA"},
               {"base_model_name_or_path", "../base"},
               {"r", 2},
               {"lora_alpha", 8},
               {"bias", "none"},
               {"use_dora", false},
               {"rank_pattern", {}},
               {"target_modules", {"up_proj", "q_proj"}}};
    Add(kUp, 128, 64);
    Add(kQuery, 64, 64);
    Write();
  }
  void Add(const std::string& layer, int64_t n, int64_t k, int64_t rank = 2) {
    tensors_.push_back(ConstantTensor(layer + ".lora_A.weight", {rank, k}, 0.5));
    tensors_.push_back(ConstantTensor(layer + ".lora_B.weight", {n, rank}, 0.25));
  }
  void Write() {
    WriteTensorFile(folder_ + "/adapter_model.safetensors", tensors_);
    std::ofstream(folder_ + "/adapter_config.json") << config_.dump();
  }
  std::string Message() {
    Write();
    const absl::Status status = ReadModelListing(folder_).status();
    EXPECT_FALSE(status.ok());
    EXPECT_FALSE(absl::StrContains(status.message(), "\n"));
    return std::string(status.message());
  }
  // Every number of `layer` must have grown by `step`, and nothing else have changed.
  void ExpectMoved(const std::vector<std::pair<std::string, float>>& layers) {
    Write();
    const auto merged = ReadModelFolder(folder_);
    ASSERT_TRUE(merged.ok()) << merged.status();
    const std::vector<StoredTensor> before = TensorsOf(MakeTinyModel()), after = TensorsOf(*merged);
    ASSERT_EQ(before.size(), after.size());
    for (size_t t = 0; t < before.size(); ++t) {
      float step = 0;
      for (const auto& [layer, by] : layers) {
        if (absl::StrCat(layer, ".weight") == "base_model.model." + before[t].name) step = by;
      }
      ASSERT_EQ(after[t].dtype, "BF16");
      for (size_t i = 0; i < before[t].bytes.size(); i += 2) {
        uint16_t was, is;
        std::memcpy(&was, before[t].bytes.data() + i, 2);
        std::memcpy(&is, after[t].bytes.data() + i, 2);
        ASSERT_EQ(is, ToBf16(FromBf16(was) + step)) << before[t].name << " " << i;
      }
    }
  }

  // The numbers of `name` in the merged model.
  void ExpectValue(const std::string& name, float value) {
    Write();
    const auto merged = ReadModelFolder(folder_);
    ASSERT_TRUE(merged.ok()) << merged.status();
    for (const StoredTensor& tensor : TensorsOf(*merged)) {
      if (tensor.name != name) continue;
      for (size_t i = 0; i < tensor.bytes.size(); i += 2) {
        uint16_t word;
        std::memcpy(&word, tensor.bytes.data() + i, 2);
        ASSERT_EQ(FromBf16(word), value);
      }
      return;
    }
    ADD_FAILURE() << name;
  }

  const TempFolder temp_;
  const std::string& root_ = temp_.path();
  const std::string base_ = root_ + "/base", folder_ = root_ + "/adapter";
  nlohmann::json config_;
  std::vector<StoredTensor> tensors_;
};

TEST_F(AdapterTest, IsMergedAndRoundedOnce) { ExpectMoved({{kUp, 1.0f}, {kQuery, 1.0f}}); }

TEST_F(AdapterTest, ScalesByRankAndByPatterns) {
  config_["use_rslora"] = true;
  ExpectMoved({{kUp, static_cast<float>(0.25 * 8 / std::sqrt(2.0))},
               {kQuery, static_cast<float>(0.25 * 8 / std::sqrt(2.0))}});
  config_["use_rslora"] = false;
  config_["alpha_pattern"] = {{"layers.1.mlp.up_proj", 2}, {"v_proj", 100}};
  ExpectMoved({{kUp, 0.25f}, {kQuery, 1.0f}});
  config_["rank_pattern"] = {{"^model.layers.0.self_attn.q_proj", 4}};
  tensors_.resize(2);
  Add(kQuery, 64, 64, 4);
  ExpectMoved({{kUp, 0.25f}, {kQuery, 1.0f}});  // product 0.5, scale 8 / 4
}

TEST_F(AdapterTest, OtherTypesOlderNamesAndWholeTensors) {
  for (StoredTensor& tensor : tensors_) {
    if (absl::StrContains(tensor.name, "q_proj")) continue;
    const uint16_t half = absl::StrContains(tensor.name, "lora_A") ? 0x3800 : 0x3400;
    const size_t count = tensor.bytes.size() / 4;
    tensor.dtype = "F16";
    tensor.bytes.resize(2 * count);
    for (size_t i = 0; i < count; ++i) std::memcpy(tensor.bytes.data() + 2 * i, &half, 2);
    tensor.name.insert(tensor.name.size() - std::strlen(".weight"), ".default");
  }
  ExpectMoved({{kUp, 1.0f}, {kQuery, 1.0f}});
  // Whole: of modules_to_save, and beside A and B, where the layer is an embedding.
  for (const char* name : {"base_model.model.model.norm.weight",
                           "base_model.model.model.norm.modules_to_save.default.weight"}) {
    tensors_.push_back(ConstantTensor(name, {64}, 3));
    ExpectValue("model.norm.weight", 3);
    tensors_.pop_back();
  }
  tensors_.push_back(ConstantTensor(std::string(kUp) + ".base_layer.weight", {128, 64}, 2));
  ExpectValue("model.layers.1.mlp.up_proj.weight", 3);
}

TEST_F(AdapterTest, ItsBaseIsGivenOrNamedOrTheErrorSaysWhatToDo) {
  config_["base_model_name_or_path"] = "meta-llama/Llama-2-7b-hf";
  EXPECT_THAT(Message(), HasSubstr(folder_ + ": an adapter of PEFT, not a model; its base "
                                             "meta-llama/Llama-2-7b-hf is not a folder here: give "
                                             "the folder of the base model"));
  EXPECT_TRUE(ReadModelListing(folder_, base_).ok());
  EXPECT_THAT(ReadModelListing(folder_, root_ + "/no").status().ToString(),
              HasSubstr("/no is not"));
  EXPECT_THAT(ReadModelListing(base_, base_).status().ToString(),
              HasSubstr("a model, not an adapter of PEFT"));
  config_["base_model_name_or_path"] = base_;
  Write();
  const auto listing = ReadModelListing(folder_);
  ASSERT_TRUE(listing.ok()) << listing.status();
  EXPECT_THAT(listing->notes, ::testing::ElementsAre(folder_ + ": merged into " + base_));
  EXPECT_THAT(ReadModelListing(folder_, folder_).status().ToString(),
              HasSubstr("which is an adapter itself"));
}

TEST_F(AdapterTest, ItsTokenizerIsUsedIfItHasOne) {
  EXPECT_EQ(ReadModelFolder(folder_)->side_files.count("adapter_config.json"), 0u);
  fs::create_directory(base_ + "/additional_chat_templates");
  for (const char* name : {"chat_template.jinja", "additional_chat_templates/tool_use.jinja",
                           "special_tokens_map.json", "added_tokens.json"}) {
    std::ofstream(base_ + "/" + name) << "{}";
  }
  std::ofstream(base_ + "/LICENSE") << "licence";
  fs::copy(base_ + "/tokenizer.json", folder_ + "/tokenizer.json");
  std::ofstream(folder_ + "/tokenizer_config.json") << R"({"eos_token": "<|endoftext|>"})";
  const auto read = ReadModelFolder(folder_);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->manifest.texts().tokenizer_config_json(), R"({"eos_token": "<|endoftext|>"})");
  EXPECT_EQ(read->side_files, (SideFiles{{"LICENSE", "licence"}}));
}

TEST_F(AdapterTest, WhatDoesNotFitIsNamed) {
  const std::vector<StoredTensor> good = tensors_;
  tensors_[0] = ConstantTensor(std::string(kUp) + ".lora_A.weight", {2, 128}, 0.5);
  EXPECT_THAT(Message(), HasSubstr("up_proj.lora_A.weight has shape [2, 128], it must be [2, 64]"));
  tensors_ = good;
  tensors_.pop_back();
  EXPECT_THAT(Message(), HasSubstr("q_proj.lora_A.weight has no partner"));
  tensors_ = good;
  Add("base_model.model.model.layers.7.mlp.up_proj", 128, 64);
  EXPECT_THAT(Message(), HasSubstr("layers.7.mlp.up_proj.lora_A.weight belongs to no layer"));
  tensors_ = {};
  EXPECT_THAT(Message(), HasSubstr(": an adapter of PEFT, whose weights cannot be read: "));
  tensors_ = good;
  Write();
  fs::rename(folder_ + "/adapter_model.safetensors", folder_ + "/adapter_model.bin");
  EXPECT_THAT(ReadModelListing(folder_).status().ToString(), HasSubstr("has adapter_model.bin"));
}

TEST_F(AdapterTest, OtherKindsAreRefusedByName) {
  const nlohmann::json good = config_;
  for (const auto& [field, value] : std::vector<std::pair<std::string, nlohmann::json>>{
           {"peft_type", "LOHA"},
           {"peft_type", nullptr},
           {"use_dora", true},
           {"fan_in_fan_out", true},
           {"bias", "lora_only"},
           {"lora_bias", true},
           {"init_lora_weights", "pissa"},
           {"trainable_token_indices", {1, 2}},
           {"layer_replication", {{0, 1}}},
           {"rank_pattern", {{"layers.(0|1).q_proj", 4}}},
           {"rank_pattern", {{"q_proj", 0}}},
           {"alpha_pattern", {{"q_proj", "x"}}},
           {"r", 0},
           {"r", 1.5},
           {"lora_alpha", "16"},
           {"use_rslora", 1},
           {"base_model_name_or_path", 7}}) {
    config_ = good;
    config_[field] = value;
    EXPECT_THAT(Message(), HasSubstr("adapter_config.json: " + field + ": "));
  }
  for (const char* init : {"gaussian", "eva"}) {
    config_ = good;
    config_["init_lora_weights"] = init;
    ExpectMoved({{kUp, 1.0f}, {kQuery, 1.0f}});
  }
}

TEST(AdapterConfigTest, WhatIsWrittenIsRead) {
  AdapterConfig config;
  config.base = "a/b";
  config.rank = 5;
  config.alpha = 12.5;
  config.target_modules = {"q_proj"};
  const auto again = AdapterConfig::Parse("x", config.Format());
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->base, "a/b");
  EXPECT_EQ(again->rank, 5);
  EXPECT_EQ(again->alpha, 12.5);
  EXPECT_EQ(again->ScaleOf("layers.0.q_proj"), 2.5);
}

}  // namespace
}  // namespace reckon
