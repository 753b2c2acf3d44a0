#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/task/dataset/dataset.h"
#include "common/task/dataset/record_reader.h"
#include "common/testing/cpu_time.h"
#include "common/testing/temp_folder.h"

namespace reckon {
namespace {

struct Hostile {
  const char* name;
  std::string extension;
  std::string content;
};

std::vector<std::string> Extensions() {
  std::vector<std::string> out = {".jsonl"};
  for (const FileFormat& format : FileFormats()) out.emplace_back(format.extension);
  return out;
}

std::vector<Hostile> Files() {
  const std::string mb(2 << 20, 'x');
  const std::string svamp =
      "[{\"Body\":\"b\",\"Question\":\"q\",\"Type\":\"t\",\"Answer\":1,\"Equation\":";
  std::string deep;
  for (int i = 0; i < 50000; ++i) deep += "( ";
  std::vector<Hostile> files;
  for (const std::string& extension : Extensions()) {
    files.push_back({"empty", extension, ""});
    files.push_back({"spaces", extension, " \n \r\n\t"});
    files.push_back({"NUL", extension, std::string("\0\0\0\n\0", 5)});
    files.push_back({"not UTF-8", extension, "\xff\xfe{\"question\":\"\x80\"}"});
    files.push_back({"one long line", extension, mb});
    files.push_back({"brackets", extension, std::string(1 << 20, '[')});
    files.push_back({"quote", extension, "\"" + mb});
    files.push_back({"control characters", extension, "{\"\x1b[2J\n\":1}"});
  }
  files.push_back(
      {"a key twice", ".jsonl", "{\"question\":\"a\",\"question\":\"b\",\"answer\":1}"});
  files.push_back({"inexact answer", ".jsonl", "{\"question\":\"a\",\"answer\":1e400}"});
  files.push_back({"other type", ".jsonl", "{\"question\":{},\"answer\":1}"});
  files.push_back({"lone surrogate", ".jsonl", "{\"question\":\"\\ud800\",\"answer\":1}"});
  files.push_back({"key of a megabyte", ".jsonl", "{\"" + mb.substr(0, 1 << 19) + "\":1}"});
  files.push_back({"deep equation", ".json", svamp + "\"" + deep + "\"}]"});
  files.push_back({"division by zero", ".json", svamp + "\"( 1 / 0 )\"}]"});
  files.push_back({"equation of another type", ".json", svamp + "{}}]"});
  files.push_back({"all equations wrong", ".json", svamp + "\"7\"}]"});
  files.push_back({"columns", ".csv", std::string(1000000, ',')});
  files.push_back({"column twice", ".csv", "question,question\n1,2\n"});
  files.push_back(
      {"placeholder", ".csv", "Question,Numbers,Equation,Answer\nnumber4294967295,1,number0,1\n"});
  files.push_back({"no answers", ".csv", "question,answer\nq,none\n"});
  return files;
}

TEST(DatasetHostileTest, EveryFileIsRefusedInFewLinesWithinASecond) {
  const TempFolder folder;
  for (const Hostile& file : Files()) {
    const std::string path = folder.path() + "/hostile" + file.extension;
    ASSERT_TRUE(WriteFileAtomically(path, file.content).ok());
    DataSettings data;
    data.set_train(path);
    const absl::Duration begin = ThreadCpuTime();
    auto problems = LoadDataset(data, Split::kTrain);
    const absl::Duration took = ThreadCpuTime() - begin;
    const std::string where = absl::StrCat(file.name, " ", file.extension, ": ",
                                           problems.status().ToString().substr(0, 500));
    EXPECT_EQ(problems.status().code(), absl::StatusCode::kInvalidArgument) << where;
    EXPECT_LT(took, absl::Seconds(1)) << where;
    const std::string message(problems.status().message());
    EXPECT_NE(message.find("hostile"), std::string::npos) << where;
    EXPECT_LT(message.size(), 1000u) << where;  // a line, and perhaps one for each bad record
    for (char c : message) EXPECT_TRUE((c >= 0x20 && c < 0x7f) || c == '\n') << where;
    std::filesystem::remove(path);
  }
}

TEST(DatasetHostileTest, AFolderIsRefused) {
  const TempFolder folder;
  for (const std::string& extension : Extensions()) {
    const std::string path = folder.path() + "/folder" + extension;
    std::filesystem::create_directory(path);
    DataSettings data;
    data.set_train(path);
    EXPECT_FALSE(LoadDataset(data, Split::kTrain).ok()) << path;
  }
}

}  // namespace
}  // namespace reckon
