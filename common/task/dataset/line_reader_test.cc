#include "common/task/dataset/line_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "common/base/files.h"
#include "common/testing/temp_folder.h"

namespace reckon {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string Write(const std::string& content) {
  static const TempFolder folder;
  const std::string path = folder.path() + "/lines.txt";
  EXPECT_TRUE(WriteFileAtomically(path, content).ok());
  return path;
}

std::vector<std::string> Lines(const std::string& content, size_t max_line_bytes = 1 << 20) {
  auto reader = LineReader::Open(Write(content), max_line_bytes);
  std::vector<std::string> lines;
  while (true) {
    auto line = reader->Next();
    EXPECT_TRUE(line.ok()) << line.status();
    if (!line.ok() || !line->has_value()) return lines;
    lines.emplace_back(**line);
    EXPECT_EQ(reader->line_number(), lines.size());
  }
}

TEST(LineReaderTest, GivesLinesWithoutTheirNewlines) {
  EXPECT_THAT(Lines("a\nbc\n"), ElementsAre("a", "bc"));
  EXPECT_THAT(Lines("a\n\nbc"), ElementsAre("a", "", "bc"));
  EXPECT_THAT(Lines("\n"), ElementsAre(""));
  EXPECT_THAT(Lines(""), ElementsAre());
}

TEST(LineReaderTest, LinesMayBeAnyLengthUpToTheLimit) {
  std::string content;
  std::vector<std::string> expected;
  for (size_t length : {0, 1, 65535, 65536, 65537, 200000, 3, 131072}) {
    expected.emplace_back(length, static_cast<char>('a' + length % 26));
    content += expected.back() + "\n";
  }
  EXPECT_EQ(Lines(content), expected);
  EXPECT_THAT(Lines("1234\n1234", 4), ElementsAre("1234", "1234"));
}

TEST(LineReaderTest, ALongerLineIsAnErrorWithItsNumberAndTheNextIsRead) {
  for (const char* content : {"ok\n12345\nok\n", "ok\n12345"}) {
    auto reader = LineReader::Open(Write(content), 4);
    ASSERT_TRUE(reader->Next().ok());
    const auto status = reader->Next().status();
    EXPECT_EQ(status.code(), absl::StatusCode::kOutOfRange);
    EXPECT_THAT(status.message(), HasSubstr("lines.txt:2: line is longer than 4 bytes"));
    auto next = reader->Next();
    ASSERT_TRUE(next.ok());
    EXPECT_EQ(next->has_value(), content[8] == '\n') << content;
  }
  auto reader = LineReader::Open(Write(std::string(300000, 'x') + "\nok"), 100000);
  EXPECT_EQ(reader->Next().status().code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(**reader->Next(), "ok");
  EXPECT_EQ(reader->line_number(), 2u);
}

TEST(LineReaderTest, MissingFilesAndFoldersAreErrors) {
  EXPECT_EQ(LineReader::Open("/nowhere/x.jsonl", 4).status().code(), absl::StatusCode::kNotFound);
  auto folder = LineReader::Open(TempFolder().path(), 4);
  if (folder.ok()) {
    EXPECT_THAT(folder->Next().status().message(), HasSubstr("cannot read"));
  }
}

}  // namespace
}  // namespace reckon
