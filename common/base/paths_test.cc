#include "common/base/paths.h"

#include <filesystem>

#include "common/base/files.h"
#include "common/testing/temp_folder.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

TEST(PathsTest, TellsWhatThereIs) {
  const TempFolder folder;
  ASSERT_TRUE(WriteFileAtomically(folder.path() + "/file", "x").ok());
  EXPECT_TRUE(PathExists(folder.path()).value());
  EXPECT_TRUE(PathExists(folder.path() + "/file").value());
  EXPECT_FALSE(PathExists(folder.path() + "/none").value());
  EXPECT_FALSE(PathExists(folder.path() + "/none/file").value());
  EXPECT_FALSE(PathExists(folder.path() + "/file/below").value());
}

TEST(PathsTest, WhatCannotBeToldIsAnErrorThatNamesThePath) {
  const TempFolder folder;
  const std::string loop = folder.path() + "/loop";
  std::filesystem::create_symlink(loop, loop);
  for (const std::string& path : {loop + "/file", folder.path() + "/" + std::string(300, 'n')}) {
    const absl::StatusOr<bool> exists = PathExists(path);
    ASSERT_FALSE(exists.ok()) << path;
    EXPECT_THAT(exists.status().message(), testing::HasSubstr(path));
  }
}

}  // namespace
}  // namespace reckon
