#include "common/task/dataset/dataset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/task/reward/number.h"
#include "common/testing/temp_folder.h"

namespace reckon {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class DatasetTest : public ::testing::Test {
 protected:
  // Loads `content` as the training file.
  absl::StatusOr<std::vector<Problem>> Load(const std::string& content) {
    EXPECT_TRUE(WriteFileAtomically(path_, content).ok());
    data_.set_train(path_);
    absl::StatusOr<Dataset> read = LoadDataset(data_, Split::kTrain);
    if (!read.ok()) return read.status();
    left_out_ = read->left_out;
    notes_ = read->notes;
    return std::move(read->problems);
  }
  std::string Error(const std::string& content) {
    auto problems = Load(content);
    EXPECT_EQ(problems.status().code(), absl::StatusCode::kInvalidArgument) << content;
    return std::string(problems.status().message());
  }

  DataSettings data_;
  BadRecords left_out_;  // by the last Load
  std::vector<std::string> notes_;
  const TempFolder folder_;
  const std::string path_ = folder_.path() + "/problems.jsonl";
};

TEST_F(DatasetTest, ReadsWorkedSolutions) {
  auto problems = Load(
      "{\"question\": \"How many?\", \"answer\": \"48/2=<<48/2=24>>24.\\n#### 1,024\"}\n"
      "\n"
      "{\"question\": \" And\\nnow? \", \"answer\": \"#### -3\", \"more\": [1, {}]}\r\n");
  ASSERT_TRUE(problems.ok()) << problems.status();
  ASSERT_EQ(problems->size(), 2u);
  EXPECT_EQ((*problems)[0].question, "How many?");
  EXPECT_EQ((*problems)[0].answer, "1,024");
  EXPECT_EQ((*problems)[0].solution, "48/2=<<48/2=24>>24.\n#### 1,024");
  EXPECT_EQ((*problems)[0].source, "problems.jsonl:1");
  EXPECT_EQ((*problems)[1].question, "And\nnow?");
  EXPECT_EQ((*problems)[1].answer, "-3");
  EXPECT_EQ((*problems)[1].source, "problems.jsonl:3");
}

TEST_F(DatasetTest, ReadsBareAnswersUnderAnyKeys) {
  data_.set_question_key("q");
  data_.set_answer_key("a");
  auto problems = Load(
      "{\"q\": \"1?\", \"a\": \" $1,000 \"}\n{\"q\": \"2?\", \"a\": 25}\n"
      "{\"q\": \"3?\", \"a\": -0.5}\n{\"q\": \"4?\", \"a\": 76.0}\n{\"q\": \"5?\", \"a\": "
      "\"x+1\"}\n"
      "{\"q\": \"6?\", \"a\": 18446744073709551615}");
  ASSERT_TRUE(problems.ok()) << problems.status();
  ASSERT_EQ(problems->size(), 6u);
  EXPECT_EQ((*problems)[0].answer, "$1,000");
  EXPECT_EQ((*problems)[1].answer, "25");
  EXPECT_EQ((*problems)[2].answer, "-0.5");
  EXPECT_EQ((*problems)[3].answer, "76.0");
  EXPECT_EQ((*problems)[4].answer, "x+1");  // counted as a reference without a number
  EXPECT_EQ((*problems)[5].answer, "18446744073709551615");
  for (const Problem& problem : *problems) EXPECT_EQ(problem.solution, "");
}

TEST_F(DatasetTest, ABadLineIsNamedWithWhatIsWrong) {
  const std::string good = "{\"question\": \"1?\", \"answer\": \"2\"}\n";
  const struct {
    const char *line, *what;
  } kBad[] = {
      {"{\"question\": \"1?\", \"answer\": ", "parse error"},
      {"{\"question\": \"1?\"}",
       "no key \"answer\" (data.answer_key); the record has \"question\""},
      {"{\"prompt\": \"1?\", \"answer\": 2}",
       "no key \"question\" (data.question_key); the record has \"answer\", \"prompt\""},
      {"{}", "the record has none"},
      {"{\"question\": \"1?\", \"answer\": null}",
       "the field \"answer\" (data.answer_key) is null"},
      {"{\"question\": null, \"answer\": 2}", "the field \"question\" (data.question_key) is null"},
      {"{\"question\": [\"1?\"], \"answer\": 2}",
       "\"question\" (data.question_key): message 1 is no object, but string"},
      {"{\"question\": \"\\ud800\", \"answer\": 2}", "surrogate"},
      {"[1, 2]", "expected one JSON object a line, not array"},
      {"12", "expected one JSON object a line, not number"},
      {"{\"question\": 3, \"answer\": 2}", "the question must be a string, not number"},
      {"{\"question\": \" \", \"answer\": 2}", "the question is empty"},
      {"{\"question\": \"1?\", \"answer\": [2]}",
       "the answer must be a string or a number, not array"},
      {"{\"question\": \"1?\", \"answer\": true}", "not boolean"},
      {"{\"question\": \"1?\", \"answer\": \"\\n\"}", "the answer is empty"},
      {"{\"question\": \"1?\", \"answer\": \"1+1\\n#### \"}", "nothing follows"},
      {"{\"question\": \"1?\", \"answer\": 1e99}", "write it as a string"},
      {"{\"question\": \"1?\", \"question\": \"2?\", \"answer\": 2}", "appears twice"},
      {"{\"question\": \"\xff\", \"answer\": 2}", "invalid"},
      {"{\"question\": \"1?\", \"answer\": 2} {}", ""},
      {"\xEF\xBB", ""},
  };
  for (const auto& [line, what] : kBad) {
    const std::string error = Error(absl::StrCat(good, line, "\n", good));
    EXPECT_THAT(error, AllOf(StartsWith(path_ + ":2: "), HasSubstr(what)));
  }
  const std::string deep(100000, '[');
  const std::string error = Error(good + deep);
  EXPECT_THAT(error, StartsWith(path_ + ":2: "));
}

TEST_F(DatasetTest, ALineOfMoreThanAMebibyteIsAnError) {
  const std::string line = "{\"question\": \"1?\", \"answer\": 2, \"x\": \"";
  const std::string most((1 << 20) - line.size() - 2, 'x');
  EXPECT_TRUE(Load(line + most + "\"}\n").ok());
  const std::string error = Error("\n" + line + most + "x\"}\n");
  EXPECT_THAT(error, StartsWith(path_ + ":2: the line is longer than"));
}

TEST_F(DatasetTest, AllBadRecordsAreNamedAtOnce) {
  const std::string good = "{\"question\": \"1?\", \"answer\": \"2\"}\n";
  EXPECT_EQ(Error(good + "{\"question\": \"1?\"}\n" + good + "not JSON\n"),
            absl::StrCat(
                "data.train: 2 of 4 records of ", path_,
                " are bad; correct the data, or set data.bad_records: LEAVE_OUT\n  ", path_,
                ":2: no key \"answer\" (data.answer_key); the record has \"question\"\n  ", path_,
                ":4: JSON: parse error at line 1, column 2: syntax error while parsing "
                "value - invalid literal; last read: 'no'"));
  std::string many = good;
  for (int i = 0; i < 30; ++i) many += "{}\n";
  EXPECT_THAT(Error(many), AllOf(HasSubstr("30 of 31"), HasSubstr("problems.jsonl:21: "),
                                 HasSubstr("\n  and 10 more"), Not(HasSubstr(".jsonl:22:"))));
}

TEST_F(DatasetTest, BadRecordsAreLeftOutAndNamed) {
  data_.set_bad_records(DataSettings::Bad::LEAVE_OUT);
  const std::string good = "{\"question\": \"1?\", \"answer\": \"2\"}\n";
  const std::string too_long = "{\"question\": \"" + std::string(2 << 20, 'x') + "\"}\n";
  auto problems = Load(good + "{\"question\": \"1?\"}\n" + too_long + good + "[]\n");
  ASSERT_TRUE(problems.ok()) << problems.status();
  ASSERT_EQ(problems->size(), 2u);
  EXPECT_EQ((*problems)[1].source, "problems.jsonl:4");
  EXPECT_EQ(left_out_.count(), 3u);
  ASSERT_EQ(notes_.size(), 4u);
  EXPECT_EQ(notes_[0],
            absl::StrCat("data.train: 3 of 5 records of ", path_, " are bad and left out"));
  EXPECT_THAT(notes_[2], StartsWith("  " + path_ + ":3: the line is longer"));
  // Nothing is left.
  EXPECT_THAT(Error("{}\n[]\n"), HasSubstr("2 of 2 records"));
}

TEST_F(DatasetTest, ACsvFileIsReadOnAfterABadRow) {
  data_.set_bad_records(DataSettings::Bad::LEAVE_OUT);
  data_.set_train(folder_.path() + "/problems.csv");
  ASSERT_TRUE(
      WriteFileAtomically(data_.train(), "question,answer\n1?,2\n\"3?\"x,4\n5\n6?\xff,7\n8?,9\n")
          .ok());
  auto read = LoadDataset(data_, Split::kTrain);
  ASSERT_TRUE(read.ok()) << read.status();
  ASSERT_EQ(read->problems.size(), 2u);
  EXPECT_EQ(read->problems[1].answer, "9");
  EXPECT_EQ(read->left_out.count(), 3u);
}

TEST_F(DatasetTest, FilesWithNothingToLearnFromAreErrors) {
  EXPECT_THAT(Error(""), HasSubstr("there are no problems"));
  EXPECT_THAT(Error("\n \n"), HasSubstr("no problems"));
  EXPECT_THAT(Error("{\"question\": \"1?\", \"answer\": \"yes\"}\n"),
              HasSubstr("none of the 1 answers is a number"));
}

TEST_F(DatasetTest, MissingFilesNameTheKey) {
  EXPECT_EQ(LoadDataset(data_, Split::kTrain).status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(LoadDataset(data_, Split::kTrain).status().message()),
              StartsWith("data.train"));
  data_.set_eval("/nowhere/test.jsonl");
  const auto status = LoadDataset(data_, Split::kEval).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()),
              AllOf(StartsWith("data.eval"), HasSubstr("/nowhere/test.jsonl")));
}

TEST_F(DatasetTest, AByteOrderMarkCrLfAndBlankLinesAtTheEndAreNoContent) {
  auto problems = Load(
      "\xEF\xBB\xBF{\"question\": \"1?\", \"answer\": \"2\"}\r\n"
      "{\"question\": \"2?\", \"answer\": \"So.\\r\\n#### 3\\r\\n\"}\r\n\r\n \r\n");
  ASSERT_TRUE(problems.ok()) << problems.status();
  ASSERT_EQ(problems->size(), 2u);
  EXPECT_EQ((*problems)[0].question, "1?");
  EXPECT_EQ((*problems)[1].answer, "3");
  EXPECT_EQ((*problems)[1].source, "problems.jsonl:2");
}

TEST_F(DatasetTest, ALabelIsAllThatFollowsTheMarkOrNoNumber) {
  const struct {
    const char *written, *answer;
    std::optional<std::string> number;
  } kLabels[] = {
      {"1/2", "1/2", "0.5"},        {"3 1/2", "3 1/2", "3.5"},
      {"1e5", "1e5", "100000"},     {"10:30", "10:30", std::nullopt},
      {"1 000", "1 000", "1000"},   {"25%", "25%", "25"},
      {"$18.", "$18.", "18"},       {"18 apples", "18 apples", std::nullopt},
      {"5-3", "5-3", std::nullopt}, {"12\\nor so", "12", "12"},
  };
  for (const auto& label : kLabels) {
    auto problems = Load(absl::StrCat("{\"question\": \"1?\", \"answer\": \"#### 7\"}\n",
                                      "{\"question\": \"2?\", \"answer\": \"So.\\n#### ",
                                      label.written, "\"}\n"));
    ASSERT_TRUE(problems.ok()) << problems.status();
    EXPECT_EQ((*problems)[1].answer, label.answer);
    EXPECT_EQ(CanonicalNumber((*problems)[1].answer), label.number) << label.written;
  }
  // If no label is a number, the first one is shown.
  EXPECT_THAT(Error("{\"question\": \"1?\", \"answer\": \"#### 10:30\"}\n"),
              HasSubstr("problems.jsonl:1 \"10:30\""));
}

TEST_F(DatasetTest, LimitsTrainingProblemsOnly) {
  const std::string line = "{\"question\": \"1?\", \"answer\": 2}\n";
  data_.set_limit_train(2);
  // What lies beyond the limit is not even read.
  auto problems = Load(line + line + "not JSON\n");
  ASSERT_TRUE(problems.ok()) << problems.status();
  EXPECT_EQ(problems->size(), 2u);
  Load(line + line + line).IgnoreError();
  data_.set_eval(path_);
  EXPECT_EQ(LoadDataset(data_, Split::kEval)->problems.size(), 3u);
}

TEST_F(DatasetTest, BuiltinGivesBothSplits) {
  data_.set_train("builtin");
  data_.set_limit_train(10);
  data_.mutable_builtin()->set_eval_problems(20);
  auto train = LoadDataset(data_, Split::kTrain);
  ASSERT_TRUE(train.ok()) << train.status();
  EXPECT_EQ(train->problems.size(), 10u);
  EXPECT_EQ(LoadDataset(data_, Split::kEval)->problems.size(), 20u);  // data.eval is not set
  data_.set_eval("builtin");
  EXPECT_EQ(LoadDataset(data_, Split::kEval)->problems.size(), 20u);
  EXPECT_EQ(LoadDataset(data_, Split::kEval)->problems[3].source, "builtin:eval:4");
}

}  // namespace
}  // namespace reckon
