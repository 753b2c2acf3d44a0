#include "common/net/secret_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/testing/temp_folder.h"

namespace reckon {
namespace {

TEST(SecretFileTest, OthersMustNotReadIt) {
  const TempFolder temp;
  const std::string path = temp.path() + "/secret";
  ASSERT_TRUE(WriteFileAtomically(path, "text").ok());
  for (const mode_t mode : {0600, 0400}) {
    ASSERT_EQ(chmod(path.c_str(), mode), 0);
    EXPECT_EQ(*ReadSecretFile(path, 100), "text") << mode;
  }
  for (const mode_t mode : {0640, 0620, 0604, 0644, 0440, 0660, 0777}) {
    ASSERT_EQ(chmod(path.c_str(), mode), 0);
    const absl::Status status = ReadSecretFile(path, 100).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kPermissionDenied) << mode;
    EXPECT_TRUE(absl::StrContains(status.message(), path));
  }
  EXPECT_EQ(ReadSecretFile(temp.path() + "/absent", 100).status().code(),
            absl::StatusCode::kNotFound);
}

// As Kubernetes gives a secret to a pod: owned by root, read by a group.
TEST(SecretFileTest, AGroupMayReadWhatRootOwns) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root";
  // By a relative path, because other users may not pass the folders above.
  const TempFolder temp;
  const std::string before = std::filesystem::current_path();
  std::filesystem::current_path(temp.path());
  ASSERT_EQ(chmod(".", 0755), 0);
  const std::string path = "of_root";
  ASSERT_TRUE(WriteFileAtomically(path, "text").ok());
  ASSERT_EQ(chown(path.c_str(), 0, 4242), 0);
  const auto read_as = [&](uid_t user, mode_t mode) {
    EXPECT_EQ(chmod(path.c_str(), mode), 0);
    EXPECT_EQ(setegid(4242), 0);
    EXPECT_EQ(seteuid(user), 0);
    const absl::Status status = ReadSecretFile(path, 100).status();
    EXPECT_EQ(seteuid(0), 0);
    EXPECT_EQ(setegid(0), 0);
    return status;
  };
  EXPECT_EQ(read_as(4241, 0440), absl::OkStatus());
  EXPECT_EQ(read_as(4241, 0640), absl::OkStatus());
  EXPECT_EQ(read_as(4241, 0444).code(), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(read_as(4241, 0660).code(), absl::StatusCode::kPermissionDenied);
  ASSERT_EQ(chown(path.c_str(), 4240, 4242), 0);
  EXPECT_EQ(read_as(4241, 0440).code(), absl::StatusCode::kPermissionDenied) << "another user's";
  std::filesystem::current_path(before);
}

TEST(SecretFileTest, TokensAreLinesAndErrorsDoNotQuoteThem) {
  const std::string a(64, 'a'), b(32, 'b');
  EXPECT_EQ(*ParseTokens(a + "\n"), std::vector<std::string>{a});
  EXPECT_EQ(*ParseTokens("\n" + a + "\r\n\n  " + b), (std::vector<std::string>{a, b}));
  const std::string five = absl::StrCat(a, "\n", a, "\n", a, "\n", a, "\n", a);
  EXPECT_EQ(ParseTokens(five, 5)->size(), 5u);
  for (const std::string& bad :
       {std::string(), std::string("\n"), five, std::string(31, 'q'), std::string(257, 'q'),
        std::string(40, 'q') + " q", std::string(40, 'q') + "\xff"}) {
    const absl::Status status = ParseTokens(bad).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << bad;
    EXPECT_FALSE(absl::StrContains(status.message(), "qq"));
  }
}

TEST(WatchedFileTest, LooksOnceASecondAndKeepsWhatWasGood) {
  const TempFolder temp;
  const std::string path = temp.path() + "/watched";
  const auto write = [&](absl::string_view text) {
    ASSERT_TRUE(WriteFileAtomically(path, text).ok());
  };
  write("one");
  auto file = WatchedFile::Open(path, [](const std::string& path) -> absl::StatusOr<std::string> {
    absl::StatusOr<std::string> text = ReadFile(path, 100);
    if (text.ok() && *text == "bad") return absl::InvalidArgumentError("bad");
    return text;
  });
  ASSERT_TRUE(file.ok());
  const absl::Time start = absl::UnixEpoch();
  const auto at = [&](int ms) { return (*file)->Get(start + absl::Milliseconds(ms)); };
  EXPECT_EQ(at(0).text, "one");
  write("two");
  EXPECT_EQ(at(999).text, "one");
  EXPECT_EQ(at(1000).text, "two");
  EXPECT_EQ(at(1000).changes, 1u);
  write("bad");
  EXPECT_EQ(at(2000).text, "two");
  ASSERT_EQ(unlink(path.c_str()), 0);
  EXPECT_EQ(at(3000).text, "two");
  write("two");
  EXPECT_EQ(at(4000).changes, 1u) << "written again, not changed";
  write("three");
  EXPECT_EQ(at(5000).text, "three");
  EXPECT_EQ(at(5000).changes, 2u);
}

TEST(WatchedFileTest, AFileThatCannotBeReadAtTheStartIsAnError) {
  const TempFolder temp;
  EXPECT_FALSE(WatchedFile::Open(temp.path() + "/absent", [](const std::string& path) {
                 return ReadFile(path, 100);
               }).ok());
}

}  // namespace
}  // namespace reckon
