#include "common/telemetry/metrics.h"

#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>

#include "absl/strings/str_split.h"
#include "common/base/files.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

using ::testing::HasSubstr;

class Metrics : public ::testing::Test {
 protected:
  void SetUp() override {
    run_dir_ = ::testing::TempDir() + "/metrics_" +
               ::testing::UnitTest::GetInstance()->current_test_info()->name();
    std::filesystem::remove_all(run_dir_);
    std::filesystem::create_directories(run_dir_);
  }

  std::vector<nlohmann::json> Lines() {
    std::vector<nlohmann::json> out;
    std::string text = *ReadFile(run_dir_ + "/metrics.jsonl");
    for (absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
      out.push_back(nlohmann::json::parse(line.begin(), line.end()));
    }
    return out;
  }

  size_t EventFiles() {
    return std::distance(std::filesystem::directory_iterator(run_dir_ + "/tensorboard"), {});
  }

  std::string run_dir_;
};

TEST_F(Metrics, OneObjectAStep) {
  auto writer = MetricsWriter::Open(run_dir_, 0);
  ASSERT_TRUE(writer.ok()) << writer.status();
  ASSERT_TRUE((*writer)->Write(0, {{"loss", 2.5}, {"maj@1", 0.25}}).ok());
  ASSERT_TRUE((*writer)->Write(1, {{"loss", std::nan("")}}).ok());
  auto lines = Lines();
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0]["step"], 0);
  EXPECT_EQ(lines[0]["loss"], 2.5);
  EXPECT_EQ(lines[0]["maj@1"], 0.25);
  EXPECT_TRUE(lines[1]["loss"].is_null());
  EXPECT_EQ(EventFiles(), 1u);
}

TEST_F(Metrics, AResumedRunHasOneLineAStep) {
  {
    auto writer = MetricsWriter::Open(run_dir_, 0);
    ASSERT_TRUE(writer.ok());
    for (int step = 0; step < 5; ++step) ASSERT_TRUE((*writer)->Write(step, {{"a", step}}).ok());
  }
  std::ofstream(run_dir_ + "/metrics.jsonl", std::ios::app) << "{\"step\": 1, \"to";
  auto writer = MetricsWriter::Open(run_dir_, 3);
  ASSERT_TRUE(writer.ok()) << writer.status();
  ASSERT_TRUE((*writer)->Write(3, {{"a", 33}}).ok());
  auto lines = Lines();
  ASSERT_EQ(lines.size(), 4u);
  EXPECT_EQ(lines[2]["a"], 2);
  EXPECT_EQ(lines[3]["a"], 33);
  EXPECT_EQ(EventFiles(), 2u);
}

TEST_F(Metrics, AFolderThatCannotBeMadeIsAnError) {
  std::ofstream(run_dir_ + "/tensorboard") << "a file";
  EXPECT_FALSE(MetricsWriter::Open(run_dir_, 0).ok());
}

TEST_F(Metrics, ProgressReadsBackWhatWasWritten) {
  Progress progress;
  progress.phase = "ei round 1: sample";
  progress.done = 3;
  progress.total = 7.5;
  progress.unit = "samples";
  progress.tokens_per_s = std::numeric_limits<double>::infinity();
  progress.elapsed_s = 2;
  progress.lines = {"one \"line\"", "bad \xFF byte"};
  progress.finished = true;
  ASSERT_TRUE(WriteProgress(run_dir_, progress).ok());
  auto read = ReadProgress(run_dir_);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->phase, progress.phase);
  EXPECT_EQ(read->done, 3);
  EXPECT_EQ(read->total, 7.5);
  EXPECT_EQ(read->unit, "samples");
  EXPECT_EQ(read->tokens_per_s, 0);
  EXPECT_EQ(read->lines.size(), 2u);
  EXPECT_EQ(read->lines[0], progress.lines[0]);
  EXPECT_TRUE(read->finished);
}

TEST_F(Metrics, DamagedProgressNamesTheFile) {
  EXPECT_EQ(ReadProgress(run_dir_).status().code(), absl::StatusCode::kNotFound);
  std::ofstream(run_dir_ + "/progress.json") << "{\"phase\": 1}";
  auto status = ReadProgress(run_dir_).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("progress.json: "));
}

}  // namespace
}  // namespace reckon
