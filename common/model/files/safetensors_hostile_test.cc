// Hostile model folders on disk. safetensors_test has hostile headers, transfer_test wrong digests.
#include <sys/stat.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/files.h"
#include "common/model/config.h"
#include "common/model/files/model_folder.h"
#include "common/model/files/safetensors_file.h"
#include "common/testing/hostile.h"
#include "common/testing/temp_folder.h"

namespace reckon {
namespace {

namespace fs = std::filesystem;

std::string WithLengthOf(const std::string& json, uint64_t length) {
  std::string out(8, '\0');
  std::memcpy(out.data(), &length, 8);
  return out + json;
}

std::string HeaderOf(const std::string& tensors) { return WithLengthOf(tensors, tensors.size()); }

std::string TensorOf(const std::string& name, const std::string& shape, const std::string& offsets,
                     const std::string& dtype = "F32") {
  return absl::StrCat("\"", name, "\":{\"dtype\":\"", dtype, "\",\"shape\":", shape,
                      ",\"data_offsets\":", offsets, "}");
}

class HostileWeights : public ::testing::Test {
 protected:
  void SetUp() override {
    Write("config.json", R"({"model_type":"llama","vocab_size":4,"hidden_size":2,)"
                         R"("intermediate_size":2,"num_hidden_layers":1,"num_attention_heads":1,)"
                         R"("max_position_embeddings":8,"tie_word_embeddings":true})");
    Write("tokenizer.json", "{}");
  }
  std::string PathOf(const std::string& name) const { return folder_ + "/" + name; }
  std::string Read(const std::string& name) const { return *ReadFile(PathOf(name)); }
  // `holes`: bytes after the text that occupy no disk space.
  void Write(const std::string& name, const std::string& text, uint64_t holes = 0) {
    std::ofstream(PathOf(name), std::ios::binary | std::ios::trunc) << text;
    fs::resize_file(PathOf(name), text.size() + holes);
  }
  // Reads the folder and expects an error that names this file and field.
  void ExpectRefused(const std::string& file, const std::string& field) {
    const HostileReading reading;
    const absl::Status status = ReadModelFolder(folder_).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status) || absl::IsNotFound(status)) << status;
    reading.Expect(status, PathOf(file), 0);
    reading.Expect(status, field, 0);
  }

  const TempFolder temp_;
  const std::string& folder_ = temp_.path();
};

TEST_F(HostileWeights, LengthsAreCheckedBeforeAnyAllocation) {
  constexpr const char* kFile = "model.safetensors";
  constexpr uint64_t kTerabyte = 1ull << 40;
  for (size_t bytes = 0; bytes < 8; ++bytes) {
    Write(kFile, std::string(bytes, '\1'));
    ExpectRefused(kFile, "fewer than 8 bytes");
  }
  for (uint64_t length : {0ull, 1ull, 1ull << 20, 100'000'001ull, 1ull << 53, 1ull << 60,
                          (1ull << 63) - 1, 1ull << 63, ~0ull, ~0ull - 7}) {
    Write(kFile, WithLengthOf("{}", length), 100);
    ExpectRefused(kFile, absl::StrCat("its length ", length));
  }
  Write(kFile, WithLengthOf("{}", 1ull << 60), kTerabyte);
  ExpectRefused(kFile, "limit");
  Write(kFile, HeaderOf("{}"), kTerabyte);
  ExpectRefused(kFile, "no tensors");
  Write(kFile, HeaderOf("{" + TensorOf("w", "[4]", "[0,16]") + "}"), kTerabyte);
  ExpectRefused(kFile, "the tensors end at 16");
  Write(kFile, HeaderOf("{" + TensorOf("w", "[1125899906842624]", "[0,4503599627370496]") + "}"),
        16);
  ExpectRefused(kFile, "tensor w: ends beyond the end of the file");
}

TEST_F(HostileWeights, NamesDoNotReachTheTerminalRaw) {
  constexpr const char* kFile = "model.safetensors";
  for (const char* name : {"w\\n\\n", "\\u001b[31m", "\\u202e\xc3\xa9", "\\u0000"}) {
    Write(kFile, HeaderOf("{" + TensorOf(name, "[1]", "[0,8]") + "}"), 8);
    ExpectRefused(kFile, "another size");
    Write(kFile, HeaderOf("{" + TensorOf("w", "[1]", "[0,8]", name) + "}"), 8);
    ExpectRefused(kFile, "tensor w: dtype");
    Write(kFile, HeaderOf(absl::StrCat("{\"w\":{\"", name, "\":1}}")), 8);
    ExpectRefused(kFile, "unknown key");
  }
  Write(kFile, HeaderOf("{" + TensorOf(std::string(1000, 'n'), "[1]", "[0,8]") + "}"), 8);
  ExpectRefused(kFile, "nnn...");
}

TEST_F(HostileWeights, AMillionEntriesAreRefusedQuickly) {
  constexpr const char* kFile = "model.safetensors";
  std::string metadata = "{\"__metadata__\":{", tensors = "{";
  for (int i = 0; i < 300'000; ++i) {
    absl::StrAppend(&metadata, i == 0 ? "\"" : ",\"", i, "\":\"\"");
    absl::StrAppend(
        &tensors, i == 0 ? "" : ",",
        TensorOf(absl::StrCat(i), "[1]", absl::StrCat("[", 4 * i, ",", 4 * i + 4, "]")));
  }
  Write(kFile, HeaderOf(metadata + "}}"));
  ExpectRefused(kFile, "more metadata");
  Write(kFile, HeaderOf(tensors + "}"), 1'200'000);
  ExpectRefused(kFile, "more tensors");
}

TEST_F(HostileWeights, OnlyRegularFilesAreOpenedAndNothingBlocks) {
  constexpr const char* kFile = "model.safetensors";
  ASSERT_EQ(::mkfifo(PathOf(kFile).c_str(), 0600), 0);
  ExpectRefused(kFile, "not a regular file");
  fs::remove(PathOf(kFile));
  fs::create_directory(PathOf(kFile));
  ExpectRefused(kFile, "not a regular file");
  fs::remove(PathOf(kFile));
  fs::create_symlink("/dev/zero", PathOf(kFile));
  ExpectRefused(kFile, "not a regular file");
  fs::remove(PathOf(kFile));
  fs::create_symlink("nowhere", PathOf(kFile));
  ExpectRefused(kFile, "cannot open");
  fs::remove(PathOf("config.json"));
  ASSERT_EQ(::mkfifo(PathOf("config.json").c_str(), 0600), 0);
  ExpectRefused("config.json", "not a regular file");
}

TEST_F(HostileWeights, AnIndexNamesOnlyFilesOfItsFolder) {
  constexpr const char* kIndex = "model.safetensors.index.json";
  Write("a.safetensors", HeaderOf("{" + TensorOf("w", "[1]", "[0,4]") + "}"), 4);
  for (const char* shard :
       {"\"../a.safetensors\"", "\"../../x.safetensors\"", "\"/etc/a.safetensors\"",
        "\"./a.safetensors\"", "\"b/../a.safetensors\"", "\"a.bin\"", "\"..\"", "\"\"",
        "\"a\\u0000.safetensors\"", "\"a\\n.safetensors\"", "7", "null", "[\"a.safetensors\"]"}) {
    Write(kIndex, absl::StrCat(R"({"weight_map":{"w":)", shard, "}}"));
    ExpectRefused(kIndex, "weight_map.w");
  }
  Write(kIndex, R"({"weight_map":{"":"a.safetensors"}})");
  ExpectRefused(kIndex, "weight_map");
  Write(kIndex, R"({"weight_map":{"w":"a.safetensors","w":"a.safetensors"}})");
  ExpectRefused(kIndex, "\"w\" appears twice");
  Write(kIndex, R"({"weight_map":{"w":"missing.safetensors"}})");
  ExpectRefused("missing.safetensors", "cannot open");
  Write(kIndex, R"({"weight_map":{"w":"a.safetensors","v\n":"a.safetensors"}})");
  ExpectRefused(kIndex, "");
  Write(kIndex, R"({"weight_map":{"v":"a.safetensors"}})");
  ExpectRefused("a.safetensors", "tensor w is not in the index");
  fs::create_symlink("a.safetensors", PathOf("b.safetensors"));
  Write(kIndex, R"({"weight_map":{"v":"b.safetensors","w":"a.safetensors"}})");
  ExpectRefused("b.safetensors", "tensor w is");
  std::string many = R"({"weight_map":{)";
  for (int i = 0; i < 1000; ++i) {
    absl::StrAppend(&many, i == 0 ? "\"" : ",\"", i, "\":\"", i, ".safetensors\"");
  }
  Write(kIndex, many + "}}");
  ExpectRefused(kIndex, "weight_map: more than");
}

TEST_F(HostileWeights, AFileThatShrinksWhileItIsReadIsDataLoss) {
  const std::string head = HeaderOf("{" + TensorOf("w", "[1048576]", "[0,4194304]") + "}");
  Write("model.safetensors", head, 4 << 20);
  const auto file = SafetensorsFile::Open(PathOf("model.safetensors"));
  ASSERT_TRUE(file.ok()) << file.status();
  fs::resize_file(PathOf("model.safetensors"), head.size() + 4096);
  std::string data(4 << 20, '\0');
  const absl::Status status = file->ReadData(0, data.size(), data.data());
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr(PathOf("model.safetensors")));
}

TEST_F(HostileWeights, WeightsDoNotChangeWithTheirFile) {
  std::string tensors;
  uint64_t end = 0;
  for (const TensorEntry& tensor : ModelConfig::Parse(Read("config.json"))->Tensors()) {
    const uint64_t begin = end;
    uint64_t count = 1;
    for (const int64_t n : tensor.shape()) count *= n;
    end += 4 * count;
    absl::StrAppend(
        &tensors, begin == 0 ? "{" : ",",
        TensorOf(tensor.name(), absl::StrCat("[", absl::StrJoin(tensor.shape(), ","), "]"),
                 absl::StrCat("[", begin, ",", end, "]")));
  }
  Write("model.safetensors", HeaderOf(tensors + "}") + "abcdefgh", end - 8);
  const auto weights = ReadModelFolder(folder_);
  ASSERT_TRUE(weights.ok()) << weights.status();
  fs::resize_file(PathOf("model.safetensors"), 0);  // from now on a mapped page would raise SIGBUS
  EXPECT_EQ(std::string(weights->bytes->bytes().data(), 8), "abcdefgh");
}

}  // namespace
}  // namespace reckon
