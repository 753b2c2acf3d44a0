#include "common/base/files.h"

#include "gtest/gtest.h"

namespace reckon {
namespace {

TEST(FilesTest, ReadsBackWhatWasWrittenAtomically) {
  std::string path = testing::TempDir() + "/files_test_a";
  ASSERT_TRUE(WriteFileAtomically(path, "one").ok());
  ASSERT_TRUE(WriteFileAtomically(path, "two").ok());
  EXPECT_EQ(ReadFile(path).value(), "two");
}

TEST(FilesTest, NamesTheFileThatIsMissingOrTooLarge) {
  auto missing = ReadFile("/nonexistent/x.json");
  EXPECT_EQ(missing.status().code(), absl::StatusCode::kNotFound);
  EXPECT_NE(missing.status().message().find("/nonexistent/x.json"), std::string::npos);
  std::string path = testing::TempDir() + "/files_test_b";
  ASSERT_TRUE(WriteFileAtomically(path, "123456").ok());
  EXPECT_EQ(ReadFile(path, 5).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(FilesTest, AFolderIsNotAFile) {
  EXPECT_EQ(ReadFile(testing::TempDir()).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace reckon
