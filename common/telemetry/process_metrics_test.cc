#include "common/telemetry/process_metrics.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "common/testing/temp_folder.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
// Last.
#include "common/base/log.h"

namespace reckon {
namespace {

using testing::ContainsRegex;
using testing::HasSubstr;

double Value(const std::string& page, const std::string& series) {
  for (absl::string_view line : absl::StrSplit(page, '\n')) {
    const std::vector<std::string> parts = absl::StrSplit(line, ' ');
    double value = -1;
    if (parts[0] == series && absl::SimpleAtod(parts.back(), &value)) return value;
  }
  return -1;
}

TEST(ProcessMetricsTest, SaysWhatTheProcessIsAndUses) {
  Registry registry;
  const ProcessMetrics process("actor", &registry);
  const std::string page = registry.Text();
  EXPECT_THAT(page, ContainsRegex("reckon_build_info.role=\"actor\",version=\"[0-9.]+\". 1"));
  EXPECT_GT(Value(page, "process_cpu_seconds_total"), 0);
  EXPECT_GT(Value(page, "process_resident_memory_bytes"), 1e6);
  const double now = absl::ToDoubleSeconds(absl::Now() - absl::UnixEpoch());
  EXPECT_NEAR(Value(page, "process_start_time_seconds"), now, 60);
}

TEST(ProcessMetricsTest, CountsWarningsAndErrors) {
  Registry registry;
  const ProcessMetrics process("actor", &registry);
  LOG(INFO) << "not counted";
  LOG(WARNING) << "one";
  LOG(ERROR) << "two";
  LOG(ERROR) << "three";
  const std::string page = registry.Text();
  EXPECT_THAT(page, HasSubstr("reckon_log_lines_total{severity=\"warning\"} 1\n"));
  EXPECT_THAT(page, HasSubstr("reckon_log_lines_total{severity=\"error\"} 2\n"));
}

TEST(ProcessMetricsTest, KnowsTheDiskOfAFolderButNotItsName) {
  const TempFolder temp;
  Registry registry;
  const Registry::Handle disk = WatchDisk(temp.path(), &registry);
  const std::string page = registry.Text();
  EXPECT_GT(Value(page, "reckon_disk_free_bytes"), 0);
  EXPECT_GE(Value(page, "reckon_disk_size_bytes"), Value(page, "reckon_disk_free_bytes"));
}

}  // namespace
}  // namespace reckon
