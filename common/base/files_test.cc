#include "common/base/files.h"

#include <filesystem>

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

TEST(FilesTest, WhatWritersLeftIsDeletedAndNothingElse) {
  const TempFolder folder;
  const std::string kept = folder.path() + "/model", other = folder.path() + "/mine.tmp";
  ASSERT_TRUE(MakeFolders(kept).ok());
  ASSERT_TRUE(MakeFolders(other).ok());
  ASSERT_TRUE(MakeFolders(TemporaryPath(kept) + "/adapter").ok());
  for (const char* file : {"/model/card", "/model/card.tmp.7", "/mine.tmp/a.tmp.b", "/a.tmp."}) {
    ASSERT_TRUE(WriteFileAtomically(folder.path() + file, "x").ok());
  }
  DeleteTemporaries(folder.path());
  EXPECT_FALSE(std::filesystem::exists(TemporaryPath(kept)));
  EXPECT_FALSE(ReadFile(kept + "/card.tmp.7").ok());
  EXPECT_TRUE(ReadFile(kept + "/card").ok());
  EXPECT_TRUE(ReadFile(other + "/a.tmp.b").ok());
  EXPECT_TRUE(ReadFile(folder.path() + "/a.tmp.").ok());
  DeleteTemporaries(folder.path() + "/none");
}

}  // namespace
}  // namespace reckon
