#include "learner/publish/snapshot.h"

#include <cstring>
#include <filesystem>

#include "common/base/files.h"
#include "common/model/files/model_folder.h"
#include "common/model/transformer.h"
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
    auto config = ModelConfig::Parse(base_.manifest.texts().config_json());
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
    options_.compute = compute;
    auto taken = TakeSnapshot(base_, model_->Parameters(), options_, &buffers_);
    EXPECT_TRUE(taken.ok()) << taken.status();
    EXPECT_TRUE(CheckManifest(taken->manifest).ok());
    EXPECT_TRUE(CheckChunks(taken->manifest, taken->bytes->bytes()).ok());
    const absl::Status written =
        WriteModelFolder(folder_, taken->manifest, taken->bytes->bytes(), taken->side_files);
    EXPECT_TRUE(written.ok()) << written;
    auto read = ReadModelFolder(folder_);
    EXPECT_TRUE(read.ok()) << read.status();
    EXPECT_EQ(Digests(read->manifest), Digests(taken->manifest));
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
  SnapshotOptions options_;
  VersionBuffers buffers_;
  std::unique_ptr<Transformer> model_;
};

// As ranks that divide a model give them.
TEST_F(SnapshotTest, ParametersThatAreRoundedMakeTheSameVersion) {
  options_.compute = Dtype::kBf16;
  NamedTensors rounded;
  for (const auto& [name, parameter] : model_->Parameters()) {
    rounded.emplace_back(name, parameter.detach().to(at::kBFloat16));
  }
  const auto taken = TakeSnapshot(base_, model_->Parameters(), options_, &buffers_);
  const auto of_rounded = TakeSnapshot(base_, rounded, options_, &buffers_);
  ASSERT_TRUE(taken.ok() && of_rounded.ok());
  EXPECT_EQ(Digests(of_rounded->manifest), Digests(taken->manifest));
}

TEST_F(SnapshotTest, Fp32IsExactAndTheRestIsTheBases) {
  const Weights read = WriteAndRead(Dtype::kFp32);
  nlohmann::json config = nlohmann::json::parse(base_.manifest.texts().config_json());
  config["torch_dtype"] = "float32";
  EXPECT_EQ(nlohmann::json::parse(read.manifest.texts().config_json()), config);
  EXPECT_EQ(read.manifest.texts().tokenizer_json(), base_.manifest.texts().tokenizer_json());
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
  options_.end_ids = {0, 2};
  options_.end_token = "<|endoftext|>";
  const Weights read = WriteAndRead(Dtype::kFp32);
  EXPECT_EQ(nlohmann::json::parse(read.manifest.texts().config_json())["eos_token_id"], 0);
  EXPECT_EQ(nlohmann::json::parse(read.manifest.texts().generation_config_json())["eos_token_id"],
            nlohmann::json({0, 2}));
  EXPECT_EQ(*ReadFile(folder_ + "/LICENSE"), "all rights");
  EXPECT_EQ(*ReadFile(folder_ + "/chat_template.jinja"), "{{ x }}");
  EXPECT_EQ(nlohmann::json::parse(*ReadFile(folder_ + "/tokenizer_config.json")),
            nlohmann::json({{"eos_token", "<|endoftext|>"}}));
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

// As they come from a GPU.
TEST_F(SnapshotTest, ParametersThatAreRoundedAlreadyGiveTheSameBytes) {
  options_.compute = Dtype::kBf16;
  NamedTensors rounded;
  for (const auto& [name, parameter] : model_->Parameters()) {
    rounded.emplace_back(name, parameter.detach().to(at::kBFloat16));
  }
  const auto wanted = TakeSnapshot(base_, model_->Parameters(), options_, &buffers_);
  const auto got = TakeSnapshot(base_, rounded, options_, &buffers_);
  ASSERT_TRUE(wanted.ok() && got.ok()) << got.status();
  EXPECT_EQ(Digests(got->manifest), Digests(wanted->manifest));
}

TEST_F(SnapshotTest, AdaptersAreRoundedInTheirOrderAndSayWhatTheyAreOver) {
  model_->AddAdapters(3, 12, 1);
  const NamedTensors adapters = model_->ScaledAdapters();
  for (const auto& [name, parameter] : model_->Parameters()) parameter.detach().fill_(1 / 3.0);
  options_.compute = Dtype::kBf16;
  const auto taken = TakeAdapters(7, model_->ScaledAdapters(), options_, &buffers_);
  ASSERT_TRUE(taken.ok()) << taken.status();
  EXPECT_TRUE(CheckManifest(taken->manifest).ok());
  EXPECT_TRUE(CheckChunks(taken->manifest, taken->bytes->bytes()).ok());
  EXPECT_EQ(taken->manifest.base_version(), 7u);
  ASSERT_EQ(taken->manifest.tensors_size(), static_cast<int>(adapters.size()));
  for (int i = 0; i < taken->manifest.tensors_size(); ++i) {
    const TensorEntry& tensor = taken->manifest.tensors(i);
    EXPECT_EQ(tensor.name(), adapters[i].first);
    EXPECT_EQ(tensor.dtype(), "BF16");
    // The scale, 12 / 3, is in B.
    const float wanted = (i % 2 == 0 ? 1.0f : 4.0f) / 3.0f;
    uint16_t got;
    std::memcpy(&got, taken->bytes->bytes().data() + tensor.offset(), sizeof(got));
    EXPECT_EQ(got, ToBf16(wanted)) << tensor.name();
  }
}

TEST_F(SnapshotTest, RefusesParametersThatLackATensor) {
  NamedTensors parameters = model_->Parameters();
  const std::string lacking = parameters.back().first;
  parameters.pop_back();
  const absl::Status status = TakeSnapshot(base_, parameters, options_, &buffers_).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr(lacking));
}

TEST_F(SnapshotTest, AVersionStaysAsItIsWhileAnybodyReadsIt) {
  options_.digests = DigestKind::kXxh3;
  const auto take = [&] {
    auto taken = TakeSnapshot(base_, model_->Parameters(), options_, &buffers_);
    EXPECT_TRUE(taken.ok()) << taken.status();
    return *std::move(taken);
  };
  Weights first = take();
  EXPECT_EQ(first.manifest.chunk_sha256_size(), 0);
  const uint64_t size = first.manifest.total_bytes();
  auto reader = WeightBytes::Map(first.bytes->where(), size);  // as another process does
  ASSERT_TRUE(reader.ok()) << reader.status();
  for (auto& [name, parameter] : model_->Parameters()) parameter.detach().add_(1);
  EXPECT_NE(take().bytes->where().name(), first.bytes->where().name()) << "this process reads it";
  const HostMemory where = first.bytes->where();
  first.bytes.reset();
  const Weights second = take();
  const Weights third = take();
  EXPECT_NE(second.bytes->where().name(), where.name()) << "another process reads it";
  EXPECT_NE(third.bytes->where().name(), where.name());
  EXPECT_TRUE(CheckChunks(first.manifest, (*reader)->bytes()).ok());
  reader->reset();
  const Weights fourth = take();
  EXPECT_EQ(fourth.bytes->where().name(), where.name()) << "nobody reads it";
  EXPECT_FALSE(WeightBytes::Map(where, size + 1).ok());
  HostMemory other = where;
  other.set_name("reckon-weights-0");  // the descriptor is another's by now
  EXPECT_EQ(WeightBytes::Map(other, size).status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace reckon
