#include "common/telemetry/metrics.h"

#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "absl/strings/str_split.h"
#include "common/base/files.h"
#include "common/testing/temp_folder.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

class Metrics : public ::testing::Test {
 protected:
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

  const TempFolder temp_;
  const std::string& run_dir_ = temp_.path();
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

}  // namespace
}  // namespace reckon
