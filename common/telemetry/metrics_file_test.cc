#include "common/telemetry/metrics_file.h"

#include <cmath>
#include <filesystem>
#include <fstream>

#include "common/telemetry/metrics.h"
#include "common/testing/temp_folder.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

class MetricsFileTest : public testing::Test {
 protected:
  const TempFolder temp_;
  const std::string& run_dir_ = temp_.path();
};

TEST_F(MetricsFileTest, ReadsWhatTheWriterWrote) {
  auto writer = MetricsWriter::Open(run_dir_, 0);
  ASSERT_TRUE(writer.ok()) << writer.status();
  ASSERT_TRUE((*writer)->Write(4, {{"loss", 0.5}, {"not_finite", std::nan("")}}).ok());
  ASSERT_TRUE((*writer)->Write(5, {{"loss", 0.25}}).ok());
  const auto lines = ReadMetrics(run_dir_);
  ASSERT_TRUE(lines.ok()) << lines.status();
  ASSERT_EQ(lines->size(), 2);
  EXPECT_EQ((*lines)[0].step, 4);
  EXPECT_GT((*lines)[0].time, 1e9);
  EXPECT_EQ((*lines)[0].Get("loss"), 0.5);
  EXPECT_FALSE((*lines)[0].Has("not_finite"));
  EXPECT_EQ((*lines)[1].Get("loss"), 0.25);
  EXPECT_EQ((*lines)[1].Get("reward", -1), -1);
}

TEST_F(MetricsFileTest, LeavesOutWhatIsNotALine) {
  std::ofstream(run_dir_ + "/metrics.jsonl")
      << "[1]\n{\"step\": \"x\"}\n{\"step\": 1, \"a\": 2, \"b\": \"text\"}\n{\"step\": 2, \"a\"";
  const auto lines = ReadMetrics(run_dir_);
  ASSERT_TRUE(lines.ok()) << lines.status();
  ASSERT_EQ(lines->size(), 1);
  EXPECT_EQ((*lines)[0].Get("a"), 2);
  EXPECT_FALSE((*lines)[0].Has("b"));
}

TEST_F(MetricsFileTest, ARunWithoutTheFileHasNoLines) {
  const auto lines = ReadMetrics(run_dir_);
  ASSERT_TRUE(lines.ok()) << lines.status();
  EXPECT_TRUE(lines->empty());
}

}  // namespace
}  // namespace reckon
