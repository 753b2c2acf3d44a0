#include "common/base/files.h"

#include "common/testing/temp_folder.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

TEST(FilesTest, ReadsBackWhatWasWrittenAtomically) {
  const TempFolder folder;
  const std::string path = folder.path() + "/file";
  ASSERT_TRUE(WriteFileAtomically(path, "one").ok());
  ASSERT_TRUE(WriteFileAtomically(path, "two").ok());
  EXPECT_EQ(ReadFile(path).value(), "two");
}

TEST(FilesTest, NamesTheFileThatIsMissingOrTooLarge) {
  auto missing = ReadFile("/nonexistent/x.json");
  EXPECT_EQ(missing.status().code(), absl::StatusCode::kNotFound);
  EXPECT_NE(missing.status().message().find("/nonexistent/x.json"), std::string::npos);
  const TempFolder folder;
  const std::string path = folder.path() + "/file";
  ASSERT_TRUE(WriteFileAtomically(path, "123456").ok());
  EXPECT_EQ(ReadFile(path, 5).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(FilesTest, AFolderIsNotAFile) {
  EXPECT_EQ(ReadFile(TempFolder().path()).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace reckon
