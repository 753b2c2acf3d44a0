#include "common/model/files/model_folder.h"

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "common/base/files.h"
#include "common/model/config.h"
#include "common/model/files/manifest.h"
#include "common/model/files/model_texts.h"
#include "common/model/files/safetensors.h"
#include "common/model/init/random_model.h"
#include "common/net/channel.h"
#include "common/testing/temp_folder.h"
#include "common/text/json.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/tensor_file.h"

namespace reckon {
namespace {

using ::testing::HasSubstr;

class ModelFolder : public ::testing::Test {
 protected:
  void SetUp() override {
    ModelConfig config;
    config.vocab_size = 3;
    config.hidden_size = config.intermediate_size = 2;
    config.num_layers = config.num_heads = config.num_kv_heads = 1;
    config.head_dim = 2;
    config.max_positions = 8;
    manifest_ = RandomModelManifest(config);
    manifest_.mutable_texts()->set_tokenizer_json(R"({"b": 2})");
    manifest_.mutable_texts()->set_tokenizer_config_json(R"({"c": "é"})");
    manifest_.mutable_tensors(0)->set_dtype("F32");
    manifest_.mutable_tensors(1)->set_dtype("F16");
    ASSERT_TRUE(LayOut(&manifest_).ok());
    bytes_.resize(manifest_.total_bytes());
    for (size_t i = 0; i < bytes_.size(); ++i) bytes_[i] = static_cast<char>(i);
  }

  const TempFolder temp_;
  const std::string folder_ = temp_.path() + "/model";
  WeightManifest manifest_;
  std::string bytes_;
};

TEST_F(ModelFolder, RoundTripKeepsBytesTensorsAndTexts) {
  ASSERT_TRUE(WriteModelFolder(folder_, manifest_, bytes_).ok());
  auto weights = ReadModelFolder(folder_);
  ASSERT_TRUE(weights.ok()) << weights.status();
  EXPECT_EQ(std::string(weights->bytes->bytes().data(), weights->bytes->bytes().size()), bytes_);
  EXPECT_EQ(weights->manifest.texts().config_json(), manifest_.texts().config_json());
  EXPECT_EQ(weights->manifest.texts().tokenizer_config_json(),
            manifest_.texts().tokenizer_config_json());
  ASSERT_EQ(weights->manifest.tensors_size(), manifest_.tensors_size());
  for (int i = 0; i < manifest_.tensors_size(); ++i) {
    EXPECT_EQ(weights->manifest.tensors(i).SerializeAsString(),
              manifest_.tensors(i).SerializeAsString());
  }
  EXPECT_EQ(reinterpret_cast<uintptr_t>(weights->bytes->bytes().data()) % 8, 0u);
  EXPECT_TRUE(CheckManifest(weights->manifest).ok());
  ASSERT_EQ(weights->manifest.chunk_sha256_size(), 1);
  EXPECT_EQ(weights->manifest.chunk_sha256(0), Sha256(bytes_));
}

// transformers reads the template from its own file first, and special tokens of older folders from
// special_tokens_map.json. The files are written back as they were.
TEST_F(ModelFolder, TokenizerTextsOfSeveralFilesAreJoinedAndWrittenBackAsTheyWere) {
  ASSERT_TRUE(WriteModelFolder(folder_, manifest_, bytes_).ok());
  EXPECT_EQ(ReadModelFolder(folder_)->manifest.texts().tokenizer_config_json(), R"({"c": "é"})");
  const std::string own = R"({"chat_template": "own", "eos_token": "</s>", "sep_token": "|"})",
                    chat = "{{ é }}\n",
                    map = R"({"eos_token": "<e>", "bos_token": {"content": "<s>"}})";
  std::ofstream(folder_ + "/chat_template.jinja") << chat;
  std::ofstream(folder_ + "/tokenizer_config.json") << own;
  std::ofstream(folder_ + "/special_tokens_map.json") << map;
  const auto read = ReadModelFolder(folder_);
  ASSERT_TRUE(read.ok()) << read.status();
  const std::string joined =
      R"({"bos_token":{"content":"<s>"},"chat_template":"{{ é }}\n","eos_token":"<e>",)"
      R"("sep_token":"|"})";
  EXPECT_EQ(read->manifest.texts().tokenizer_config_json(), joined);
  const std::string copy = folder_ + "_copy";
  ASSERT_TRUE(WriteModelFolder(copy, read->manifest, read->bytes->bytes(), read->side_files).ok());
  EXPECT_EQ(*ReadFile(copy + "/chat_template.jinja"), chat);
  EXPECT_EQ(*ReadFile(copy + "/tokenizer_config.json"), own);
  EXPECT_EQ(*ReadFile(copy + "/special_tokens_map.json"), map);
  EXPECT_EQ(ReadModelFolder(copy)->manifest.texts().tokenizer_config_json(), joined);
  std::ofstream(folder_ + "/tokenizer_config.json") << "{";
  EXPECT_THAT(ReadModelFolder(folder_).status().ToString(),
              HasSubstr(folder_ + "/tokenizer_config.json: JSON"));
  std::filesystem::remove(folder_ + "/tokenizer_config.json");
  const auto without = ReadModelFolder(folder_);
  ASSERT_TRUE(
      WriteModelFolder(copy, without->manifest, without->bytes->bytes(), without->side_files).ok());
  EXPECT_FALSE(std::filesystem::exists(copy + "/tokenizer_config.json"));
}

// The order of transformers' tokenizers; tests/parity/text_parity.py compares it.
TEST_F(ModelFolder, ChatTemplateIsTakenFromTheFirstPlaceThatHasOne) {
  ASSERT_TRUE(WriteModelFolder(folder_, manifest_, bytes_).ok());
  const auto read = [&] {
    return ReadModelListing(folder_)->manifest.texts().tokenizer_config_json();
  };
  const auto write = [&](const std::string& name, const std::string& text) {
    std::ofstream(folder_ + "/" + name) << text;
  };
  write("tokenizer_config.json", "{}");
  write("chat_template.json", R"({"chat_template": "of the processor"})");
  EXPECT_EQ(read(), R"({"chat_template":"of the processor"})");
  write("tokenizer_config.json", R"({"chat_template": "own"})");
  EXPECT_EQ(read(), R"({"chat_template": "own"})");
  std::filesystem::create_directory(folder_ + "/additional_chat_templates");
  write("additional_chat_templates/tool_use.jinja", "with tools");
  write("additional_chat_templates/README.md", "no template");
  EXPECT_EQ(read(), R"({"chat_template":[{"name":"tool_use"}]})");
  write("chat_template.jinja", "of the file");
  EXPECT_EQ(read(), R"({"chat_template":"of the file"})");
  write("additional_chat_templates/default.jinja", "named default");
  EXPECT_EQ(read(), R"({"chat_template":"named default"})");
  write("special_tokens_map.json", R"({"eos_token": "<e>"})");
  write("tokenizer_config.json", R"({"added_tokens_decoder": {}})");
  EXPECT_EQ(read(), R"({"added_tokens_decoder":{},"chat_template":"named default"})");
}

TEST_F(ModelFolder, GenerationConfigIsRead) {
  manifest_.mutable_texts()->set_generation_config_json(R"({"eos_token_id": [1, 2]})");
  ASSERT_TRUE(WriteModelFolder(folder_, manifest_, bytes_).ok());
  EXPECT_EQ(ReadModelFolder(folder_)->manifest.texts().generation_config_json(),
            manifest_.texts().generation_config_json());
  std::ofstream(folder_ + "/generation_config.json") << "[]";
  EXPECT_THAT(ReadModelFolder(folder_).status().ToString(),
              HasSubstr(folder_ + "/generation_config.json: must be an object"));
}

// Gemma 3's has 33 MB; it travels in the manifest, which is one message.
TEST_F(ModelFolder, TheLargestPublishedTokenizerIsRead) {
  manifest_.mutable_texts()->set_tokenizer_json("[\"" + std::string(34 << 20, 'x') + "\"]");
  ASSERT_TRUE(WriteModelFolder(folder_, manifest_, bytes_).ok());
  const auto read = ReadModelFolder(folder_);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_LT(read->manifest.ByteSizeLong(), static_cast<size_t>(kMaxMessageBytes));
  EXPECT_LT(kMaxTextBytes, static_cast<uint64_t>(kMaxMessageBytes));
}

TEST_F(ModelFolder, WeightsInAnotherFormatAreNamed) {
  ASSERT_TRUE(WriteModelFolder(folder_, manifest_, bytes_).ok());
  std::filesystem::rename(folder_ + "/model.safetensors", folder_ + "/pytorch_model.bin");
  EXPECT_THAT(ReadModelFolder(folder_).status().ToString(), HasSubstr("has pytorch_model.bin but"));
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
  for (const auto& entry : std::filesystem::directory_iterator(temp_.path())) {
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
    Weights whole = {manifest_, WeightBytes::OfSize(bytes_.size()).value()};
    std::memcpy(whole.bytes->data(), bytes_.data(), bytes_.size());
    const std::vector<StoredTensor> tensors = TensorsOf(whole);
    WriteTensorFile(folder_ + "/0.safetensors", {tensors[0], tensors[1]});
    WriteTensorFile(folder_ + "/1.safetensors", {tensors.begin() + 2, tensors.end()});
    nlohmann::json shards;
    for (size_t i = 0; i < tensors.size(); ++i) {
      shards[tensors[i].name] = i < 2 ? "0.safetensors" : "1.safetensors";
    }
    shards_ = shards.dump();
  }

  // The map in which `tensor` is in `shard`.
  std::string With(const std::string& tensor, const std::string& shard) const {
    nlohmann::json shards = nlohmann::json::parse(shards_);
    shards[tensor] = shard;
    return shards.dump();
  }
  absl::StatusOr<Weights> ReadWith(const std::string& weight_map) {
    EXPECT_TRUE(WriteFileAtomically(folder_ + "/model.safetensors.index.json",
                                    "{\"weight_map\": " + weight_map + "}")
                    .ok());
    return ReadModelFolder(folder_);
  }

  std::string shards_;
};

TEST_F(ShardedFolder, IsReadAsOne) {
  auto weights = ReadWith(shards_);
  ASSERT_TRUE(weights.ok()) << weights.status();
  EXPECT_EQ(std::string(weights->bytes->bytes().data(), weights->bytes->bytes().size()), bytes_);
  ASSERT_EQ(weights->manifest.tensors_size(), manifest_.tensors_size());
  EXPECT_EQ(weights->manifest.tensors(3).offset(), manifest_.tensors(3).offset());
  EXPECT_TRUE(CheckManifest(weights->manifest).ok());
}

TEST_F(ShardedFolder, ErrorsNameTensorAndFile) {
  auto message = [&](const std::string& map) {
    return std::string(ReadWith(map).status().message());
  };
  const std::string norm = "model.norm.weight";
  EXPECT_THAT(message(With(norm, "0.safetensors")),
              HasSubstr("1.safetensors: tensor model.norm.weight is elsewhere in the index"));
  EXPECT_THAT(message(With("v", "0.safetensors")), HasSubstr("tensor v is not in 0.safetensors"));
  EXPECT_THAT(message(With("v", "2.safetensors")), HasSubstr("2.safetensors"));
  EXPECT_THAT(message(With(norm, "../0.safetensors")),
              HasSubstr("weight_map.model.norm.weight: must be the name of a .safetensors file"));
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
  auto expect = [&](int tensor, const auto& value) {
    std::string damaged = bytes_;
    std::memcpy(damaged.data() + manifest_.tensors(tensor).offset(), &value, sizeof(value));
    ASSERT_TRUE(WriteModelFolder(folder_, manifest_, damaged).ok());
    EXPECT_THAT(ReadModelFolder(folder_).status().ToString(),
                HasSubstr("tensor " + manifest_.tensors(tensor).name() + " holds a NaN"));
  };
  expect(0, std::nanf(""));
  expect(1, uint16_t{0xFC00});  // F16
  expect(2, uint16_t{0xFF80});  // BF16
}

TEST_F(ModelFolder, AWrongByteCountIsNotWritten) {
  EXPECT_FALSE(WriteModelFolder(folder_, manifest_, absl::MakeConstSpan(bytes_).subspan(1)).ok());
  EXPECT_FALSE(std::filesystem::exists(folder_));
}

TEST(Digest, HasOneDigestAChunkAndAShortLastChunk) {
  std::string bytes(2 * kChunkBytes + 5, 'a');
  bytes[kChunkBytes] = 'b';
  WeightManifest manifest;
  manifest.set_total_bytes(bytes.size());
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
  refused([](auto* m) { m->mutable_tensors(1)->set_name(m->tensors(0).name()); });
  refused([](auto* m) { m->clear_tensors(); });
}

}  // namespace
}  // namespace reckon
