#include "common/model/files/checkpoint_fit.h"

#include <cstring>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "common/base/files.h"
#include "common/model/files/model_folder.h"
#include "common/testing/temp_folder.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/tensor_file.h"
#include "tests/support/tiny_model.h"

namespace reckon {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// A tiny model whose embeddings are tied, with the tensors that a test changes.
class CheckpointFitTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(WriteTinyModel(folder_).ok());
    tensors_ = TensorsOf(whole_);
  }
  void Rename(const std::vector<std::pair<std::string, std::string>>& changes) {
    for (StoredTensor& tensor : tensors_) {
      for (const auto& [from, to] : changes) {
        if (absl::StartsWith(tensor.name, from)) {
          tensor.name = to + tensor.name.substr(from.size());
          break;
        }
      }
    }
  }
  void Untie() {
    const std::string config = *ReadFile(folder_ + "/config.json");
    ASSERT_TRUE(
        WriteFileAtomically(folder_ + "/config.json",
                            absl::StrReplaceAll(config, {{R"("tie_word_embeddings":true)",
                                                          R"("tie_word_embeddings":false)"}}))
            .ok());
  }
  StoredTensor& Tensor(const std::string& name) {
    for (StoredTensor& tensor : tensors_) {
      if (tensor.name == name) return tensor;
    }
    ADD_FAILURE() << name;
    return tensors_[0];
  }
  StoredTensor Copy(const std::string& of, const std::string& name) {
    StoredTensor copy = Tensor(of);
    copy.name = name;
    return copy;
  }

  // The notes of the folder as it is now; it must have the weights of the unchanged model.
  std::vector<std::string> NotesOfGood() {
    WriteTensorFile(file_, tensors_);
    const auto weights = ReadModelFolder(folder_);
    EXPECT_TRUE(weights.ok()) << weights.status();
    if (!weights.ok()) return {};
    EXPECT_EQ(weights->manifest.total_bytes(), whole_.manifest.total_bytes());
    EXPECT_TRUE(weights->bytes->bytes() == whole_.bytes->bytes());
    EXPECT_EQ(weights->manifest.tensors(0).name(), whole_.manifest.tensors(0).name());
    return ReadModelListing(folder_)->notes;
  }
  // Refused from the headers alone, with one line that names the file.
  std::string Refusal() {
    WriteTensorFile(file_, tensors_);
    const absl::Status status = ReadModelListing(folder_).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    EXPECT_TRUE(absl::StartsWith(status.message(), file_ + ": tensor ")) << status;
    EXPECT_FALSE(absl::StrContains(status.message(), "\n"));
    EXPECT_EQ(ReadModelFolder(folder_).status(), status);
    return std::string(absl::StripPrefix(status.message(), file_ + ": tensor "));
  }

  const TempFolder temp_;
  const std::string folder_ = temp_.path() + "/model";
  const std::string file_ = folder_ + "/model.safetensors";
  const Weights whole_ = MakeTinyModel();
  std::vector<StoredTensor> tensors_;
};

constexpr char kEmbedding[] = "model.embed_tokens.weight";

TEST_F(CheckpointFitTest, AFolderThatFitsNeedsNoNote) { EXPECT_THAT(NotesOfGood(), ElementsAre()); }

TEST_F(CheckpointFitTest, ATiedHeadThatIsStoredIsTheEmbedding) {
  tensors_.insert(tensors_.begin() + 1, Copy(kEmbedding, "lm_head.weight"));
  EXPECT_THAT(NotesOfGood(), ElementsAre(HasSubstr("left out lm_head.weight, which is tied")));
}

TEST_F(CheckpointFitTest, ATiedHeadAloneIsTheEmbedding) {
  Tensor(kEmbedding).name = "lm_head.weight";
  EXPECT_THAT(NotesOfGood(), ElementsAre());
}

TEST_F(CheckpointFitTest, ATiedHeadThatDiffersIsRefused) {
  StoredTensor head = Copy(kEmbedding, "lm_head.weight");
  head.bytes.back() ^= 1;
  tensors_.push_back(head);
  WriteTensorFile(file_, tensors_);
  EXPECT_THAT(ReadModelFolder(folder_).status().ToString(),
              HasSubstr(file_ + ": tensor lm_head.weight is not the embedding"));
  tensors_.back() = ConstantTensor("lm_head.weight", {4, 64}, 0);
  EXPECT_THAT(Refusal(), HasSubstr("lm_head.weight has shape [4, 64], the embedding"));
}

TEST_F(CheckpointFitTest, BuffersAreLeftOutWhateverTheirType) {
  for (int layer = 0; layer < 2; ++layer) {
    const std::string attention = absl::StrCat("model.layers.", layer, ".self_attn.");
    tensors_.push_back(ConstantTensor(attention + "rotary_emb.inv_freq", {8}, 1));
    tensors_.insert(tensors_.begin(),
                    {attention + "bias", "BOOL", {1, 1, 3, 3}, std::string(9, '\1')});
    tensors_.push_back({attention + "masked_bias", "F64", {}, std::string(8, '\0')});
  }
  EXPECT_THAT(
      NotesOfGood(),
      ElementsAre(HasSubstr("left out model.layers.*.self_attn.bias, ... (2 tensors)"),
                  HasSubstr("self_attn.masked_bias"), HasSubstr("self_attn.rotary_emb.inv_freq")));
}

TEST_F(CheckpointFitTest, OtherPrefixesAreUnderstood) {
  Rename({{"model.", ""}});  // as AutoModel saves
  EXPECT_THAT(NotesOfGood(), ElementsAre(HasSubstr("tensors begin with '', not 'model.'")));
  for (const char* prefix : {"language_model.model.", "model.language_model.", "module.model."}) {
    tensors_ = TensorsOf(whole_);
    Rename({{"model.", prefix}});
    EXPECT_THAT(NotesOfGood(), ElementsAre(HasSubstr(prefix)));
  }
  // The head has what precedes "model.".
  tensors_.push_back(Copy("module.model.embed_tokens.weight", "module.lm_head.weight"));
  EXPECT_EQ(NotesOfGood().size(), 2u);
}

TEST_F(CheckpointFitTest, WhatDoesNotFitIsNamed) {
  Tensor("model.norm.weight").shape = {32, 2};
  EXPECT_EQ(Refusal(), "model.norm.weight has shape [32, 2], config.json asks for [64]");
  tensors_ = TensorsOf(whole_);
  tensors_.push_back(ConstantTensor("model.layers.2.mlp.up_proj.weight", {1}, 0));
  EXPECT_EQ(Refusal(),
            "model.layers.2.mlp.up_proj.weight is not part of the model that config.json "
            "describes");
  tensors_ = TensorsOf(whole_);
  Tensor("model.norm.weight") = {"model.norm.weight", "F8_E4M3", {64}, std::string(64, '\0')};
  EXPECT_EQ(Refusal(), "model.norm.weight has type F8_E4M3; F32, BF16 and F16 are read");
  tensors_ = TensorsOf(whole_);
  tensors_.pop_back();
  EXPECT_THAT(Refusal(), HasSubstr("model.norm.weight of shape [64] is missing"));
  tensors_ = TensorsOf(whole_);
  Rename({{"model.", "transformer.h."}});
  Tensor("transformer.h.embed_tokens.weight").name = "transformer.wte.weight";
  Tensor("transformer.h.layers.0.input_layernorm.weight").name = "transformer.ln.weight";
  EXPECT_THAT(Refusal(), HasSubstr("transformer.wte.weight is not part of the model"));
  tensors_ = TensorsOf(whole_);
  tensors_.push_back(Copy(kEmbedding, "embed_tokens.weight"));
  EXPECT_THAT(Refusal(), HasSubstr("embed_tokens.weight is not part of the model"));
  tensors_ = TensorsOf(whole_);
  Untie();
  EXPECT_THAT(Refusal(), HasSubstr("lm_head.weight of shape [259, 64] is missing"));
}

}  // namespace
}  // namespace reckon
