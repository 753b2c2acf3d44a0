#include "common/model/files/model_folder.h"

#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "common/base/files.h"
#include "common/model/files/manifest.h"
#include "common/model/files/safetensors.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

using ::testing::HasSubstr;

class ModelFolder : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = ::testing::TempDir() + "/model_folder_" +
              ::testing::UnitTest::GetInstance()->current_test_info()->name();
    std::filesystem::remove_all(folder_);
    manifest_.set_config_json(R"({"a": 1})");
    manifest_.set_tokenizer_json(R"({"b": 2})");
    manifest_.set_tokenizer_config_json(R"({"c": "é"})");
    AddTensor("w", "F32", {3, 2});
    AddTensor("v", "BF16", {7});
    ASSERT_TRUE(LayOut(&manifest_).ok());
    bytes_.resize(manifest_.total_bytes());
    for (size_t i = 0; i < bytes_.size(); ++i) bytes_[i] = static_cast<char>(i);
  }

  void AddTensor(const std::string& name, const std::string& dtype, std::vector<int64_t> shape) {
    auto* tensor = manifest_.add_tensors();
    tensor->set_name(name);
    tensor->set_dtype(dtype);
    for (int64_t d : shape) tensor->add_shape(d);
  }

  std::string folder_;
  WeightManifest manifest_;
  std::string bytes_;
};

TEST_F(ModelFolder, RoundTripKeepsBytesTensorsAndTexts) {
  ASSERT_TRUE(WriteModelFolder(folder_, manifest_, bytes_).ok());
  auto weights = ReadModelFolder(folder_);
  ASSERT_TRUE(weights.ok()) << weights.status();
  EXPECT_EQ(std::string(weights->bytes->bytes().data(), weights->bytes->bytes().size()), bytes_);
  EXPECT_EQ(weights->manifest.config_json(), manifest_.config_json());
  EXPECT_EQ(weights->manifest.tokenizer_config_json(), manifest_.tokenizer_config_json());
  ASSERT_EQ(weights->manifest.tensors_size(), 2);
  EXPECT_EQ(weights->manifest.tensors(1).SerializeAsString(),
            manifest_.tensors(1).SerializeAsString());
  EXPECT_EQ(reinterpret_cast<uintptr_t>(weights->bytes->bytes().data()) % 8, 0u);
  EXPECT_TRUE(CheckManifest(weights->manifest).ok());
  ASSERT_EQ(weights->manifest.chunk_sha256_size(), 1);
  EXPECT_EQ(weights->manifest.chunk_sha256(0), Sha256(bytes_));
}

TEST_F(ModelFolder, AChatTemplateFileIsReadUnlessTheConfigHasATemplate) {
  ASSERT_TRUE(WriteModelFolder(folder_, manifest_, bytes_).ok());
  std::ofstream(folder_ + "/chat_template.jinja") << "{{ é }}\n";
  EXPECT_EQ(ReadModelFolder(folder_)->manifest.tokenizer_config_json(),
            R"({"c":"é","chat_template":"{{ é }}\n"})");
  std::ofstream(folder_ + "/tokenizer_config.json") << R"({"chat_template": "own"})";
  EXPECT_EQ(ReadModelFolder(folder_)->manifest.tokenizer_config_json(),
            R"({"chat_template": "own"})");
  std::ofstream(folder_ + "/tokenizer_config.json") << "{";
  EXPECT_FALSE(ReadModelFolder(folder_).ok());
}

TEST_F(ModelFolder, WritingReplacesAnExistingFolder) {
  ASSERT_TRUE(WriteModelFolder(folder_, manifest_, bytes_).ok());
  std::ofstream(folder_ + "/leftover") << "x";
  bytes_[0] = 42;
  ASSERT_TRUE(WriteModelFolder(folder_ + "/", manifest_, bytes_).ok());
  auto weights = ReadModelFolder(folder_);
  ASSERT_TRUE(weights.ok()) << weights.status();
  EXPECT_EQ(weights->bytes->bytes()[0], 42);
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/leftover"));
  for (const auto& entry : std::filesystem::directory_iterator(::testing::TempDir())) {
    EXPECT_EQ(entry.path().string().find(folder_ + ".tmp"), std::string::npos);
  }
}

TEST_F(ModelFolder, ReadsDataThatIsNotAligned) {
  ASSERT_TRUE(WriteModelFolder(folder_, manifest_, bytes_).ok());
  std::string head = FormatSafetensorsHeader(manifest_);
  uint64_t length = head.size() - 8 + 1;
  std::memcpy(head.data(), &length, 8);
  std::ofstream(folder_ + "/model.safetensors", std::ios::binary) << head << ' ' << bytes_;
  auto weights = ReadModelFolder(folder_);
  ASSERT_TRUE(weights.ok()) << weights.status();
  EXPECT_EQ(reinterpret_cast<uintptr_t>(weights->bytes->bytes().data()) % 8, 0u);
  EXPECT_EQ(std::string(weights->bytes->bytes().data(), bytes_.size()), bytes_);
}

class ShardedFolder : public ModelFolder {
 protected:
  void SetUp() override {
    ModelFolder::SetUp();
    ASSERT_TRUE(WriteModelFolder(folder_, manifest_, bytes_).ok());
    std::filesystem::remove(folder_ + "/model.safetensors");
    size_t begin = 0;
    for (int i = 0; i < 2; ++i) {
      WeightManifest one;
      *one.add_tensors() = manifest_.tensors(i);
      ASSERT_TRUE(LayOut(&one).ok());
      ASSERT_TRUE(WriteFileAtomically(
                      folder_ + "/" + std::to_string(i) + ".safetensors",
                      FormatSafetensorsHeader(one) + bytes_.substr(begin, one.total_bytes()))
                      .ok());
      begin += one.total_bytes();
    }
  }

  absl::StatusOr<Weights> ReadWith(const std::string& weight_map) {
    EXPECT_TRUE(WriteFileAtomically(folder_ + "/model.safetensors.index.json",
                                    "{\"weight_map\": " + weight_map + "}")
                    .ok());
    return ReadModelFolder(folder_);
  }
};

TEST_F(ShardedFolder, IsReadAsOne) {
  auto weights = ReadWith(R"({"w": "0.safetensors", "v": "1.safetensors"})");
  ASSERT_TRUE(weights.ok()) << weights.status();
  EXPECT_EQ(std::string(weights->bytes->bytes().data(), weights->bytes->bytes().size()), bytes_);
  ASSERT_EQ(weights->manifest.tensors_size(), 2);
  EXPECT_EQ(weights->manifest.tensors(1).offset(), manifest_.tensors(1).offset());
  EXPECT_TRUE(CheckManifest(weights->manifest).ok());
}

TEST_F(ShardedFolder, ErrorsNameTensorAndFile) {
  auto message = [&](const std::string& map) {
    return std::string(ReadWith(map).status().message());
  };
  EXPECT_THAT(message(R"({"w": "0.safetensors", "v": "0.safetensors"})"),
              HasSubstr("tensor v is not in 0.safetensors"));
  EXPECT_THAT(message(R"({"w": "0.safetensors", "v": "2.safetensors"})"),
              HasSubstr("2.safetensors"));
  EXPECT_THAT(message(R"({"w": "../0.safetensors", "v": "1.safetensors"})"),
              HasSubstr("weight_map.w: must be the name of a .safetensors file"));
  EXPECT_THAT(message("[]"), HasSubstr("weight_map"));
  EXPECT_THAT(message("{}"), HasSubstr("weight_map"));
}

TEST_F(ModelFolder, ErrorsNameTheFile) {
  EXPECT_THAT(ReadModelFolder(folder_).status().ToString(), HasSubstr(folder_ + " does not exist"));
  ASSERT_TRUE(WriteModelFolder(folder_, manifest_, bytes_).ok());
  std::filesystem::remove(folder_ + "/tokenizer.json");
  EXPECT_THAT(ReadModelFolder(folder_).status().ToString(), HasSubstr(folder_ + "/tokenizer.json"));
  std::ofstream(folder_ + "/tokenizer.json") << "\xFF\xFE";
  EXPECT_THAT(ReadModelFolder(folder_).status().ToString(), HasSubstr("UTF-8"));
  std::ofstream(folder_ + "/tokenizer.json", std::ios::trunc) << "{}";
  std::filesystem::resize_file(folder_ + "/model.safetensors", 100);
  auto cut = ReadModelFolder(folder_).status();
  EXPECT_EQ(cut.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(cut.ToString(), HasSubstr(folder_ + "/model.safetensors"));
  std::filesystem::resize_file(folder_ + "/model.safetensors", 0);
  EXPECT_EQ(ReadModelFolder(folder_).status().code(), absl::StatusCode::kInvalidArgument);
  std::filesystem::remove(folder_ + "/model.safetensors");
  EXPECT_EQ(ReadModelFolder(folder_).status().code(), absl::StatusCode::kNotFound);
  std::ofstream(folder_ + "/model.safetensors.index.json")
      << R"({"weight_map": {"w": "../../x.safetensors"}})";
  EXPECT_EQ(ReadModelFolder(folder_).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(ModelFolder, NanAndInfinityAreRefusedByTensorName) {
  std::string damaged = bytes_;
  float nan = std::nanf("");
  std::memcpy(damaged.data() + 8, &nan, 4);
  ASSERT_TRUE(WriteModelFolder(folder_, manifest_, damaged).ok());
  EXPECT_THAT(ReadModelFolder(folder_).status().ToString(), HasSubstr("tensor w holds a NaN"));
  damaged = bytes_;
  uint16_t infinity = 0xFF80;
  std::memcpy(damaged.data() + 24 + 12, &infinity, 2);
  ASSERT_TRUE(WriteModelFolder(folder_, manifest_, damaged).ok());
  EXPECT_THAT(ReadModelFolder(folder_).status().ToString(), HasSubstr("tensor v holds a NaN"));
}

TEST_F(ModelFolder, AWrongByteCountIsNotWritten) {
  EXPECT_FALSE(WriteModelFolder(folder_, manifest_, absl::MakeConstSpan(bytes_).subspan(1)).ok());
  EXPECT_FALSE(std::filesystem::exists(folder_));
}

TEST(Digest, HasOneDigestAChunkAndAShortLastChunk) {
  std::string bytes(2 * kChunkBytes + 5, 'a');
  bytes[kChunkBytes] = 'b';
  WeightManifest manifest;
  Digest(bytes, &manifest);
  ASSERT_EQ(manifest.chunk_sha256_size(), 3);
  EXPECT_EQ(manifest.chunk_sha256(1), Sha256(bytes.substr(kChunkBytes, kChunkBytes)));
  EXPECT_EQ(manifest.chunk_sha256(2), Sha256("aaaaa"));
  // FIPS 180-2, appendix B.1.
  EXPECT_EQ(Sha256("abc").substr(0, 4), "\xba\x78\x16\xbf");
}

TEST_F(ModelFolder, InconsistentManifestsAreRefused) {
  Digest(bytes_, &manifest_);
  ASSERT_TRUE(CheckManifest(manifest_).ok());
  auto refused = [&](auto change) {
    WeightManifest bad = manifest_;
    change(&bad);
    EXPECT_EQ(CheckManifest(bad).code(), absl::StatusCode::kInvalidArgument);
  };
  refused([](auto* m) { m->set_total_bytes(m->total_bytes() + 1); });
  refused([](auto* m) { m->set_chunk_bytes(0); });
  refused([](auto* m) { m->set_chunk_bytes(1ull << 40); });
  refused([](auto* m) { m->set_chunk_bytes(3); });
  refused([](auto* m) { m->add_chunk_sha256(std::string(32, 'x')); });
  refused([](auto* m) { m->set_chunk_sha256(0, "short"); });
  refused([](auto* m) { m->mutable_tensors(1)->set_offset(0); });
  refused([](auto* m) { m->mutable_tensors(1)->set_name("w"); });
  refused([](auto* m) { m->clear_tensors(); });
}

}  // namespace
}  // namespace reckon
