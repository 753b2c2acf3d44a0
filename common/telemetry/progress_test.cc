#include "common/telemetry/progress.h"

#include <filesystem>
#include <fstream>
#include <limits>

#include "common/testing/temp_folder.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class ProgressTest : public ::testing::Test {
 protected:
  const TempFolder temp_;
  const std::string& run_dir_ = temp_.path();
};

TEST_F(ProgressTest, ReadsBackWhatWasWritten) {
  Progress progress;
  progress.set_phase("ei round 1: sample");
  progress.set_done(3);
  progress.set_total(7.5);
  progress.set_unit("samples");
  progress.set_tokens_per_s(std::numeric_limits<double>::infinity());
  progress.set_elapsed_s(2);
  progress.add_lines("one \"line\"");
  progress.add_lines("bad \xFF byte");
  progress.set_finished(true);
  ASSERT_TRUE(WriteProgress(run_dir_, progress).ok());
  auto read = ReadProgress(run_dir_);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->phase(), progress.phase());
  EXPECT_EQ(read->done(), 3);
  EXPECT_EQ(read->total(), 7.5);
  EXPECT_EQ(read->unit(), "samples");
  EXPECT_EQ(read->tokens_per_s(), 0);
  EXPECT_EQ(read->elapsed_s(), 2);
  EXPECT_THAT(read->lines(), ElementsAre(progress.lines(0), "bad \xEF\xBF\xBD byte"));
  EXPECT_TRUE(read->finished());
}

TEST_F(ProgressTest, HasTheKeysThatScriptsRead) {
  ASSERT_TRUE(WriteProgress(run_dir_, Progress()).ok());
  std::ifstream file(run_dir_ + "/progress.json");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  for (const char* key : {"phase", "done", "total", "unit", "tokens_per_s", "elapsed_s", "lines",
                          "finished", "waiting_for"}) {
    EXPECT_THAT(text, HasSubstr(std::string("\"") + key + "\": "));
  }
}

TEST_F(ProgressTest, AWaitIsShownBesideWhatTheFileHolds) {
  ASSERT_TRUE(ShowWaiting(run_dir_, "the coordinator does not answer").ok());
  EXPECT_EQ(ReadProgress(run_dir_)->phase(), "start");
  Progress progress;
  progress.set_phase("sft");
  progress.add_lines("done before");
  ASSERT_TRUE(WriteProgress(run_dir_, progress).ok());
  ASSERT_TRUE(ShowWaiting(run_dir_, "the coordinator does not answer").ok());
  EXPECT_EQ(ReadProgress(run_dir_)->waiting_for(), "the coordinator does not answer");
  EXPECT_EQ(ReadProgress(run_dir_)->phase(), "sft");
  EXPECT_EQ(ReadProgress(run_dir_)->lines_size(), 1);
  ASSERT_TRUE(ShowWaiting(run_dir_, "").ok());
  EXPECT_EQ(ReadProgress(run_dir_)->waiting_for(), "");
}

TEST_F(ProgressTest, DamageNamesTheFile) {
  EXPECT_EQ(ReadProgress(run_dir_).status().code(), absl::StatusCode::kNotFound);
  std::ofstream(run_dir_ + "/progress.json") << "{\"phase\": 1}";
  auto status = ReadProgress(run_dir_).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("progress.json: "));
}

}  // namespace
}  // namespace reckon
