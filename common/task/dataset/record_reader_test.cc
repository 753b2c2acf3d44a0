#include "common/task/dataset/record_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "common/task/dataset/csv_reader.h"
#include "common/task/dataset/json_array_reader.h"

namespace reckon {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

// The records as "line:fields", or the first error, of a record or of the file.
std::vector<std::string> All(RecordReader&& reader, const std::string& name) {
  std::vector<std::string> out;
  while (true) {
    auto record = reader.Next();
    if (!record.ok()) return {std::string(record.status().message())};
    if (!record->has_value()) return out;
    if (const Record& read = **record; !read.status.ok()) {
      return {name + ":" + std::to_string(read.line) + ": " + std::string(read.status.message())};
    }
    out.push_back(std::to_string((*record)->line) + ":" + (*record)->fields.dump());
  }
}

std::vector<std::string> Csv(const std::string& text) {
  return All(CsvReader("a.csv", text), "a.csv");
}
std::vector<std::string> Json(const std::string& text) {
  return All(JsonArrayReader("a.json", text), "a.json");
}

TEST(CsvTest, ReadsQuotesNewlinesAndByteOrderMarks) {
  EXPECT_EQ(Csv("\xef\xbb\xbfq, a \r\n\r\n\"one, \"\"two\"\"\nthree\",4\r\n,\nlast,5"),
            (std::vector<std::string>{R"(3:{"a":"4","q":"one, \"two\"\nthree"})",
                                      R"(5:{"a":"","q":""})", R"(6:{"a":"5","q":"last"})"}));
}

TEST(CsvTest, NamesTheLineAndWhatIsWrong) {
  const std::pair<std::string, const char*> cases[] = {
      {"", "a.csv: the first line must name the columns, but the file is empty"},
      {"q,a\n1,2\n3\n", "a.csv:3: 1 fields, expected 2"},
      {"q,a\n\"x\n\n", "a.csv:2: the quote of field 1 is never closed"},
      {"q,a\n1,\"2\"x\n", "a.csv:2: text after the closing quote of field 2"},
      {"q,a\n1,2\"\n", "a.csv:2: a quote inside field 2"},
      {"q,q\n", "a.csv:1: column \"q\" appears twice"},
      {"q\n\xff\n", "a.csv:2: field 1 is not UTF-8"},
      {std::string(1000000, ','), "a.csv:1: more than 1000 fields"},
      {"q\n\"" + std::string(2 << 20, 'x') + "\"", "a.csv:2: field 1 is longer"},
      {"q\n" + std::string(2 << 20, 'x'), "a.csv:2: field 1 is longer"},
  };
  for (const auto& [text, error] : cases) {
    EXPECT_THAT(Csv(text)[0], StartsWith(error)) << text.substr(0, 80);
  }
}

TEST(JsonArrayTest, ReadsElementsWithTheirLines) {
  EXPECT_EQ(Json("[\n  {\"q\": \"]},{\\\"\", \"n\": [1, {}]},\n\n {\"q\":\n 2}\n]\n"),
            (std::vector<std::string>{R"(2:{"n":[1,{}],"q":"]},{\""})", R"(4:{"q":2})"}));
  EXPECT_TRUE(Json("[]").empty());
}

TEST(JsonArrayTest, NamesTheLineAndWhatIsWrong) {
  const std::pair<std::string, const char*> cases[] = {
      {"", "a.json:1: expected an array"},
      {"\n{\"q\": 1}", "a.json:2: expected an array"},
      {"[{}\n{}]", "a.json:1: JSON"},
      {"[{},\n{]", "a.json:2: JSON"},
      {"[{},\n\n\"x\"]", "a.json:3: expected an object, not string"},
      {"[{},\n]", "a.json:2: expected an object after the comma"},
      {"[{}", "a.json:1: expected , or ]"},
      {"[{}]\n7", "a.json:2: text after the array"},
      {"[{\"q\": \"\\", "a.json:1: JSON"},
      {"[" + std::string(100000, '['), "a.json:1: JSON: more than 16"},
      {"[\"" + std::string(2 << 20, 'x') + "\"]", "a.json:1: JSON of"},
  };
  for (const auto& [text, error] : cases) {
    auto records = Json(text);
    ASSERT_FALSE(records.empty()) << text.substr(0, 80);
    EXPECT_THAT(records[0], StartsWith(error)) << text.substr(0, 80);
  }
}

TEST(RecordReaderTest, NamesAFileThatIsMissingOrAFolder) {
  for (const char* name : {"/nowhere/a.csv", "/nowhere/a.json", "/nowhere/a.jsonl"}) {
    EXPECT_EQ(OpenRecords(name).status().code(), absl::StatusCode::kNotFound) << name;
    EXPECT_THAT(OpenRecords(name).status().message(), HasSubstr(name));
  }
}

}  // namespace
}  // namespace reckon
