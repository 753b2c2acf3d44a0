#ifndef RECKON_COMMON_TESTING_TEMP_FOLDER_H_
#define RECKON_COMMON_TESTING_TEMP_FOLDER_H_

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <string>
#include <system_error>

namespace reckon {

// A new, empty folder for one test, under TEST_TMPDIR (/tmp when unset); removed at the end with
// what is in it. Tests write nowhere else, so that two runs on one machine do not meet.
class TempFolder {
 public:
  TempFolder() {
    // Canonical, because programs under test show paths in that form.
    path_ = (std::filesystem::canonical(::testing::TempDir()) / "reckon_test_XXXXXX").string();
    if (::mkdtemp(path_.data()) == nullptr) ADD_FAILURE() << "cannot make " << path_;
  }
  ~TempFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace reckon

#endif  // RECKON_COMMON_TESTING_TEMP_FOLDER_H_
