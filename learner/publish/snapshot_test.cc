#include "learner/publish/snapshot.h"

#include <cstring>
#include <filesystem>

#include "common/base/files.h"
#include "common/model/files/model_folder.h"
#include "common/testing/temp_folder.h"
#include "common/text/json.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/tiny_model.h"

namespace reckon {
namespace {

using testing::HasSubstr;

class SnapshotTest : public testing::Test {
 protected:
  SnapshotTest() : base_(MakeTinyModel()) {
    std::filesystem::remove_all(folder_);
    auto config = ModelConfig::Parse(base_.manifest.config_json());
    EXPECT_TRUE(config.ok()) << config.status();
    model_ = std::make_unique<Transformer>(*config, Dtype::kFp32);
    EXPECT_TRUE(model_->Load(base_.manifest, base_.bytes->bytes(), true).ok());
    // Numbers that bf16 cannot hold, halfway cases among them.
    for (auto& [name, parameter] : model_->Parameters()) {
      at::Tensor leaf = parameter.detach();
      auto* values = leaf.data_ptr<float>();
      for (int64_t i = 0; i < leaf.numel(); ++i) {
        values[i] = (i % 2 == 0 ? 1.0f : -1.0f) * (1 + static_cast<float>(i % 1024) / 512);
      }
    }
  }
  ~SnapshotTest() override { std::filesystem::remove_all(folder_); }

  Weights WriteAndRead(Dtype compute) {
    const absl::Status written =
        WriteSnapshot(folder_, base_, compute, model_->Parameters(), additions_);
    EXPECT_TRUE(written.ok()) << written;
    auto read = ReadModelFolder(folder_);
    EXPECT_TRUE(read.ok()) << read.status();
    return *std::move(read);
  }
  at::Tensor Parameter(const std::string& name) {
    for (auto& [other, parameter] : model_->Parameters()) {
      if (other == name) return parameter.detach();
    }
    ADD_FAILURE() << name;
    return {};
  }

  const TempFolder temp_;
  const std::string folder_ = temp_.path() + "/model";
  Weights base_;
  SnapshotAdditions additions_;
  std::unique_ptr<Transformer> model_;
};

TEST_F(SnapshotTest, Fp32IsExactAndTheRestIsTheBases) {
  const Weights read = WriteAndRead(Dtype::kFp32);
  nlohmann::json config = nlohmann::json::parse(base_.manifest.config_json());
  config["torch_dtype"] = "float32";
  EXPECT_EQ(nlohmann::json::parse(read.manifest.config_json()), config);
  EXPECT_EQ(read.manifest.tokenizer_json(), base_.manifest.tokenizer_json());
  ASSERT_EQ(read.manifest.tensors_size(), base_.manifest.tensors_size());
  for (const TensorEntry& tensor : read.manifest.tensors()) {
    EXPECT_EQ(tensor.dtype(), "F32");
    const at::Tensor expected = Parameter(tensor.name());
    EXPECT_EQ(std::memcmp(read.bytes->bytes().data() + tensor.offset(),
                          expected.const_data_ptr<float>(), expected.nbytes()),
              0)
        << tensor.name();
  }
}

TEST_F(SnapshotTest, SideFilesAndTheTrainedEndAreWritten) {
  base_.side_files = {{"LICENSE", "all rights"},
                      {"chat_template.jinja", "{{ x }}"},
                      {"tokenizer_config.json", R"({"eos_token": "<|im_end|>"})"}};
  additions_ = {{0, 2}, "<|endoftext|>", {{"adapter/adapter_config.json", "{}"}}};
  const Weights read = WriteAndRead(Dtype::kFp32);
  EXPECT_EQ(nlohmann::json::parse(read.manifest.config_json())["eos_token_id"], 0);
  EXPECT_EQ(nlohmann::json::parse(read.manifest.generation_config_json())["eos_token_id"],
            nlohmann::json({0, 2}));
  EXPECT_EQ(*ReadFile(folder_ + "/LICENSE"), "all rights");
  EXPECT_EQ(*ReadFile(folder_ + "/chat_template.jinja"), "{{ x }}");
  EXPECT_EQ(nlohmann::json::parse(*ReadFile(folder_ + "/tokenizer_config.json")),
            nlohmann::json({{"eos_token", "<|endoftext|>"}}));
  EXPECT_EQ(*ReadFile(folder_ + "/adapter/adapter_config.json"), "{}");
}

TEST_F(SnapshotTest, Bf16IsTheNearestAndTiesGoToTheEvenOne) {
  const Weights read = WriteAndRead(Dtype::kBf16);
  for (const TensorEntry& tensor : read.manifest.tensors()) {
    EXPECT_EQ(tensor.dtype(), "BF16");
    const at::Tensor expected = Parameter(tensor.name()).to(at::kBFloat16);  // LibTorch rounds so
    EXPECT_EQ(std::memcmp(read.bytes->bytes().data() + tensor.offset(), expected.const_data_ptr(),
                          expected.nbytes()),
              0)
        << tensor.name();
  }
}

TEST_F(SnapshotTest, RefusesParametersThatLackATensor) {
  NamedTensors parameters = model_->Parameters();
  const std::string lacking = parameters.back().first;
  parameters.pop_back();
  const absl::Status status = WriteSnapshot(folder_, base_, Dtype::kFp32, parameters);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr(lacking));
  EXPECT_FALSE(std::filesystem::exists(folder_));
}

}  // namespace
}  // namespace reckon
