// Data sets as people have them: chats, nested fields, folders, Parquet, mixtures.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/task/dataset/data_files.h"
#include "common/task/dataset/dataset.h"
#include "common/task/dataset/record_reader.h"
#include "common/testing/temp_folder.h"

namespace reckon {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr char kFixtures[] =
    "tests/fuzz/corpus/dataset_fuzz/";  // tests/support/parquet_fixtures.py

class FormatsTest : public ::testing::Test {
 protected:
  std::string Write(const std::string& name, const std::string& content) {
    const std::string path = folder_.path() + "/" + name;
    EXPECT_TRUE(MakeFolders(std::filesystem::path(path).parent_path().string()).ok());
    EXPECT_TRUE(WriteFileAtomically(path, content).ok());
    return path;
  }
  // A JSONL file of problems "<name> 0?", "<name> 1?" and so on.
  std::string Numbered(const std::string& file, const std::string& name, int count) {
    std::string content;
    for (int i = 0; i < count; ++i) {
      content += absl::StrCat("{\"question\": \"", name, " ", i, "?\", \"answer\": ", i, "}\n");
    }
    return Write(file, content);
  }
  std::vector<Problem> Load(const std::string& path, AnswerUse use = AnswerUse::kCompared) {
    data_.set_train(path);
    auto read = LoadDataset(data_, Split::kTrain, use);
    EXPECT_TRUE(read.ok()) << read.status();
    return read.ok() ? read->problems : std::vector<Problem>();
  }
  std::string Error(const std::string& content) {
    data_.set_train(Write("bad.jsonl", content));
    return std::string(LoadDataset(data_, Split::kTrain).status().message());
  }

  DataSettings data_;
  const TempFolder folder_;
};

TEST_F(FormatsTest, RecordsMayLackTheAnswerWhereNothingReadsIt) {
  const std::string path = Write("prompts.jsonl",
                                 "{\"question\": \"a?\", \"topic\": \"b\"}\n"
                                 "{\"question\": [{\"role\": \"user\", \"content\": \"c?\"}]}\n"
                                 "{\"question\": \"d?\", \"answer\": \"1\"}\n");
  const auto problems = Load(path, AnswerUse::kNone);
  ASSERT_THAT(problems, testing::SizeIs(3));
  EXPECT_EQ(problems[0].question, "a?");
  EXPECT_EQ(problems[0].answer, "");
  EXPECT_EQ(problems[0].columns, "{\"question\":\"a?\",\"topic\":\"b\"}");
  EXPECT_EQ(problems[1].answer, "");
  EXPECT_EQ(problems[2].answer, "1");
  EXPECT_FALSE(LoadDataset(data_, Split::kTrain, AnswerUse::kOwnRewards).ok());
  data_.set_answer_key("a");
  EXPECT_FALSE(LoadDataset(data_, Split::kTrain, AnswerUse::kNone).ok()) << "it is asked for";
}

TEST_F(FormatsTest, TheLastMessageOfTheAssistantIsTheAnswerToWhatPrecedesIt) {
  data_.set_question_key("messages");
  const auto problems = Load(Write("chat.jsonl", R"(
{"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": " 2+3? "}, {"role": "assistant", "content": "2+3=5\n#### 5"}]}
{"messages": [{"role": "user", "content": "1?"}, {"role": "assistant", "content": "1"}, {"role": "user", "content": [{"type": "text", "text": "2"}, {"type": "text", "text": "?"}]}], "answer": 2}
{"messages": [{"role": "user", "content": "7?"}, {"role": "assistant", "content": "It is seven."}], "answer": "7"}
)"));
  ASSERT_EQ(problems.size(), 3u);
  EXPECT_EQ(problems[0].question, "2+3?");
  ASSERT_EQ(problems[0].messages.size(), 2u);
  EXPECT_EQ(problems[0].messages[0].role, "system");
  EXPECT_EQ(problems[0].messages[1].content, " 2+3? ");
  EXPECT_EQ(problems[0].answer, "5");
  EXPECT_EQ(problems[0].solution, "2+3=5\n#### 5");
  EXPECT_EQ(problems[1].messages.size(), 3u);
  EXPECT_EQ(problems[1].question, "2?");
  EXPECT_EQ(problems[1].answer, "2");
  EXPECT_EQ(problems[1].solution, "");
  EXPECT_EQ(problems[2].answer, "7");
  EXPECT_EQ(problems[2].solution, "It is seven.");
}

TEST_F(FormatsTest, ABadChatIsNamedWithItsMessage) {
  EXPECT_THAT(
      Error("{\"messages\": []}"),
      HasSubstr("no key \"question\" (data.question_key); the record has \"messages\"; for a "
                "chat set data.question_key: \"messages\""));
  data_.set_question_key("messages");
  const std::pair<const char*, const char*> kCases[] = {
      {"[]", "there is no message to reply to"},
      {"[{\"role\": \"assistant\", \"content\": \"5\"}]", "there is no message to reply to"},
      {"[5]", "message 1 is no object, but number"},
      {"[{\"content\": \"5?\"}]", "message 1 has no role"},
      {"[{\"role\": \"user\"}]", "message 1 has no content"},
      {"[{\"role\": \"user\", \"content\": 5}]", "message 1 has a content that is no text"},
      {"[{\"role\": \"user\", \"content\": [{\"type\": \"image\"}]}]",
       "has a part that is no text"},
      {"[{\"role\": \"user\", \"content\": \" \"}]", "the question is empty"},
      {"[{\"role\": \"user\", \"content\": \"a\"}, {\"role\": \"assistant\", \"content\": \"\", "
       "\"tool_calls\": [1]}]",
       "message 2 calls a tool"},
      {"[{\"role\": \"user\", \"content\": \"a\"}]", "no key \"answer\" (data.answer_key)"},
  };
  for (const auto& [messages, error] : kCases) {
    EXPECT_THAT(Error(absl::StrCat("{\"messages\": ", messages, "}")),
                AllOf(HasSubstr("bad.jsonl:1: "), HasSubstr(error)));
  }
}

TEST_F(FormatsTest, KeysMayBePaths) {
  data_.set_question_key("extra.turns.1.text");
  data_.set_answer_key("a.b");
  const auto problems = Load(
      Write("nested.jsonl",
            "{\"extra\": {\"turns\": [{}, {\"text\": \"1?\"}]}, \"a\": {\"b\": 1}}\n"
            "{\"extra.turns.1.text\": \"2?\", \"a.b\": 2, \"a\": {\"b\": 3}}\n"));  // a whole name
                                                                                    // is first
  ASSERT_EQ(problems.size(), 2u);
  EXPECT_EQ(problems[0].question, "1?");
  EXPECT_EQ(problems[0].answer, "1");
  EXPECT_EQ(problems[1].answer, "2");
  EXPECT_THAT(Error("{\"extra\": {\"turns\": [{}]}, \"a\": {\"b\": 1}}"),
              HasSubstr("no key \"extra.turns.1.text\" (data.question_key)"));
}

TEST_F(FormatsTest, AnswersMayBeTexts) {
  data_.set_answers(DataSettings::TEXT);
  const auto problems =
      Load(Write("text.jsonl",
                 "{\"question\": \"Capital?\", \"answer\": \"France.\\n#### Paris\"}\n"
                 "{\"question\": \"Box?\", \"answer\": \"\\\\boxed{x}\"}\n"
                 "{\"question\": \"Right?\", \"answer\": true}\n"
                 "{\"question\": \"Much?\", \"answer\": 1e99}\n"));
  ASSERT_EQ(problems.size(), 4u);
  EXPECT_EQ(problems[0].answer, "Paris");
  EXPECT_EQ(problems[0].solution, "France.\n#### Paris");
  EXPECT_EQ(problems[1].answer, "\\boxed{x}");
  EXPECT_EQ(problems[2].answer, "true");
}

TEST_F(FormatsTest, AFolderIsAllItsFilesOfKnownFormatsByName) {
  Numbered("set/b.jsonl", "b", 1);
  Numbered("set/a.jsonl", "a", 2);
  Write("set/c.csv", "question,answer\nc 0?,1\n");
  Write("set/README.md", "no data");
  Write("set/.hidden.jsonl", "no JSON");
  Numbered("set/deeper/d.jsonl", "d", 1);
  const auto problems = Load(folder_.path() + "/set");
  std::vector<std::string> sources;
  for (const Problem& problem : problems) sources.push_back(problem.source);
  EXPECT_THAT(sources, ElementsAre("a.jsonl:1", "a.jsonl:2", "b.jsonl:1", "c.csv:2"));
  Write("set/b.jsonl", "{}\n");
  auto status = LoadDataset(data_, Split::kTrain).status();
  EXPECT_THAT(std::string(status.message()), HasSubstr("/set/b.jsonl:1: no key"));
  std::filesystem::create_directory(folder_.path() + "/none");
  data_.set_train(folder_.path() + "/none");
  status = LoadDataset(data_, Split::kTrain).status();
  EXPECT_THAT(std::string(status.message()),
              AllOf(StartsWith("data.train: "),
                    HasSubstr("has no file that ends in .jsonl, .csv, .json, .parquet")));
}

TEST_F(FormatsTest, ParquetOfEveryCodecGivesTheSameRecords) {
  data_.set_question_key("prompt");
  data_.set_answer_key("reward_model.ground_truth");
  for (const char* codec : {"none", "snappy", "gzip", "lz4", "zstd"}) {
    const auto problems = Load(absl::StrCat(kFixtures, codec, ".parquet"), AnswerUse::kOwnRewards);
    ASSERT_EQ(problems.size(), 5u) << codec;
    EXPECT_EQ(problems[4].question, "5 + 5?");
    EXPECT_EQ(problems[4].messages[0].content, "Be brief.");
    EXPECT_EQ(problems[4].answer, "10");
    EXPECT_EQ(problems[4].source, absl::StrCat(codec, ".parquet:5"));
    EXPECT_EQ(
        problems[1].columns,
        R"({"extra_info":{"index":2,"tags":["sum","level 0"]},"prompt":[{"content":"Be brief.",)"
        R"("role":"system"},{"content":"2 + 2?","role":"user"}],)"
        R"("reward_model":{"ground_truth":"4","style":"rule"}})");
  }
}

TEST_F(FormatsTest, ParquetHasEveryTypeAsJson) {
  auto reader = OpenRecords(absl::StrCat(kFixtures, "nested.parquet"));
  ASSERT_TRUE(reader.ok()) << reader.status();
  auto record = (*reader)->Next();
  ASSERT_TRUE(record.ok() && record->has_value()) << record.status();
  EXPECT_EQ((*record)->fields.dump(),
            R"({"answer":5,"big":9007199254740993,"bytes":"ff00","day":"2026-01-02","half":0.5,)"
            R"("list":[[1,2],[],null],"map":{"a":1,"b":null},"none":null,"not_finite":null,)"
            R"("price":"1.50","question":"How many?","quoted":"a\"b\\\né","share":0.1,"small":-1,)"
            R"("text_bytes":"abc","when":"2026-01-02 03:04:05.006 +00:00","yes":true})");
  record = (*reader)->Next();
  ASSERT_TRUE(record.ok() && record->has_value());
  EXPECT_EQ((*record)->line, 2u);
  EXPECT_TRUE((*record)->fields["question"].is_null());
  record = (*reader)->Next();
  EXPECT_TRUE(record.ok() && !record->has_value());
}

TEST_F(FormatsTest, ADamagedParquetFileIsRefusedInOneLine) {
  const std::string whole = ReadFile(absl::StrCat(kFixtures, "snappy.parquet")).value();
  for (size_t i = 0; i < whole.size(); i += 7) {
    std::string damaged = whole;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x5a);
    data_.set_train(Write("damaged.parquet", damaged));
    const auto read = LoadDataset(data_, Split::kTrain);
    if (!read.ok()) {
      EXPECT_EQ(read.status().code(), absl::StatusCode::kInvalidArgument) << i;
    }
  }
  for (size_t size : {0u, 4u, 11u, 12u, 1000u}) {
    data_.set_train(Write("cut.parquet", whole.substr(0, size)));
    const auto status = LoadDataset(data_, Split::kTrain).status();
    EXPECT_THAT(std::string(status.message()), HasSubstr("/cut.parquet: ")) << size;
  }
}

TEST_F(FormatsTest, AParquetSchemaThatWouldExhaustTheStackIsRefused) {
  // Thrift's compact protocol: version 1, then a list of 100,000 structs.
  const std::string footer =
      std::string("\x15\x02\x19\xfc\xa0\x8d\x06", 7) + std::string(100000, '\0');
  std::string length(4, '\0');
  for (int i = 0; i < 4; ++i) length[i] = static_cast<char>(footer.size() >> (8 * i));
  data_.set_train(Write("deep.parquet", "PAR1" + footer + length + "PAR1"));
  EXPECT_THAT(std::string(LoadDataset(data_, Split::kTrain).status().message()),
              HasSubstr("a schema of 100000 elements; 1000 are accepted"));
}

TEST_F(FormatsTest, EveryFormatCarriesAllColumns) {
  const std::string record =
      "{\"question\": \"1?\", \"answer\": \"1\", \"more\": {\"x\": [1, {}]}}";
  for (const auto& [name, content] :
       {std::pair("a.jsonl", record), std::pair("a.json", "[" + record + "]")}) {
    EXPECT_EQ(Load(Write(name, content), AnswerUse::kOwnRewards)[0].columns,
              R"({"answer":"1","more":{"x":[1,{}]},"question":"1?"})");
  }
  EXPECT_EQ(
      Load(Write("a.csv", "question,answer,more\n1?,1,x\n"), AnswerUse::kOwnRewards)[0].columns,
      R"({"answer":"1","more":"x","question":"1?"})");
}

TEST_F(FormatsTest, AMixtureInterleavesItsSetsByTheirShares) {
  for (const auto& [name, count, share] :
       {std::tuple("small", 4, 1.0), std::tuple("large", 20, 2.0)}) {
    MixtureSet* set = data_.add_set();
    set->set_name(name);
    set->set_share(share);
    set->set_train(Numbered(absl::StrCat(name, ".jsonl"), name, count));
  }
  data_.mutable_set(0)->set_eval(Numbered("eval.jsonl", "held", 3));
  auto read = LoadDataset(data_, Split::kTrain);
  ASSERT_TRUE(read.ok()) << read.status();
  ASSERT_EQ(read->problems.size(), 24u);
  std::map<std::string, int> first;
  for (int i = 0; i < 9; ++i) ++first[read->problems[i].set];
  EXPECT_EQ(first["small"], 3);
  EXPECT_EQ(first["large"], 6);
  EXPECT_EQ(read->problems[0].source, "large/large.jsonl:1");
  EXPECT_THAT(read->notes, ElementsAre("training problems by set: small 4, large 20"));
  read = LoadDataset(data_, Split::kEval);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->problems.size(), 3u);
  EXPECT_EQ(read->problems[0].set, "small");
  // Keys of one set alone; the error names the set's setting.
  data_.mutable_set(1)->set_question_key("prompt");
  EXPECT_THAT(std::string(LoadDataset(data_, Split::kTrain).status().message()),
              StartsWith("data.set[1].train: 20 of 20 records"));
  // What is wrong in one set does not hide what is wrong in another.
  data_.mutable_set(0)->set_question_key("prompt");
  EXPECT_THAT(std::string(LoadDataset(data_, Split::kTrain).status().message()),
              AllOf(StartsWith("data.set[0].train: 4 of 4 records"),
                    HasSubstr("\ndata.set[1].train: 20 of 20 records")));
}

}  // namespace
}  // namespace reckon
