#include "tests/support/tiny_model.h"

#include <filesystem>
#include <string>

#include "common/testing/temp_folder.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

TEST(TinyModelTest, IsAFunctionOfItsSeed) {
  Weights a = MakeTinyModel(), b = MakeTinyModel();
  EXPECT_EQ(a.manifest.SerializeAsString(), b.manifest.SerializeAsString());
  EXPECT_NE(a.manifest.chunk_sha256(0), MakeTinyModel(/*seed=*/2).manifest.chunk_sha256(0));
}

TEST(TinyModelTest, IsReadBackFromItsFolder) {
  const TempFolder temp;
  const std::string folder = temp.path() + "/tiny_model";
  ASSERT_TRUE(WriteTinyModel(folder).ok());
  absl::StatusOr<Weights> read = ReadModelFolder(folder);
  ASSERT_TRUE(read.ok()) << read.status();
  Weights made = MakeTinyModel();
  EXPECT_EQ(read->bytes->bytes(), made.bytes->bytes());
  EXPECT_EQ(read->manifest.texts().tokenizer_json(), made.manifest.texts().tokenizer_json());
}

}  // namespace
}  // namespace reckon
