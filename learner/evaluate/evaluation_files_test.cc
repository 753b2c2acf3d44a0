#include "learner/evaluate/evaluation_files.h"

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "common/base/files.h"
#include "common/testing/temp_folder.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

using testing::HasSubstr;

class EvaluationFilesTest : public testing::Test {
 protected:
  static Evaluation Named(uint32_t index, const std::string& name) {
    Evaluation evaluation;
    evaluation.set_index(index);
    evaluation.set_name(name);
    evaluation.mutable_maj_at_1()->set_value(1.0 / 3);
    return evaluation;
  }
  const TempFolder temp_;
  const std::string& run_dir_ = temp_.path();
};

TEST_F(EvaluationFilesTest, AreReadBackInOrderWithoutTheSummary) {
  EXPECT_TRUE(ReadEvaluations(run_dir_)->empty());
  std::vector<Evaluation> written;
  for (uint32_t index : {10, 9, 0}) {
    written.push_back(Named(index, "sft_1"));
    ASSERT_TRUE(WriteEvaluation(run_dir_, written.back()).ok());
  }
  ASSERT_TRUE(WriteSummary(run_dir_, written).ok());
  std::ofstream(run_dir_ + "/eval/5_sft_1.json.tmp") << "half a file";
  const auto read = ReadEvaluations(run_dir_);
  ASSERT_TRUE(read.ok()) << read.status();
  ASSERT_EQ(read->size(), 3u);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ((*read)[i].SerializeAsString(), written[2 - i].SerializeAsString());
  }
  EXPECT_EQ(ReadEvaluation(run_dir_, 9, "sft_1")->index(), 9u);
  EXPECT_EQ(ReadEvaluation(run_dir_, 9, "sft_2").status().code(), absl::StatusCode::kNotFound);
}

TEST_F(EvaluationFilesTest, TheSummaryIsAJsonArray) {
  for (size_t count : {0, 1, 2}) {
    ASSERT_TRUE(WriteSummary(run_dir_, std::vector<Evaluation>(count, Named(1, "a"))).ok());
    const auto json = nlohmann::json::parse(*ReadFile(run_dir_ + "/eval/summary.json"));
    ASSERT_EQ(json.size(), count);
    for (const auto& evaluation : json) EXPECT_EQ(evaluation["maj@1"]["value"], 1.0 / 3);
  }
}

TEST_F(EvaluationFilesTest, ADamagedFileIsNamed) {
  ASSERT_TRUE(WriteEvaluation(run_dir_, Named(1, "a")).ok());
  std::ofstream(run_dir_ + "/eval/1_a.json") << "{\"name\": []}";
  EXPECT_THAT(std::string(ReadEvaluations(run_dir_).status().message()), HasSubstr("1_a.json: "));
}

}  // namespace
}  // namespace reckon
