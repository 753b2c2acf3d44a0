#include "common/telemetry/metrics_target.h"

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/base/host_port.h"
#include "common/testing/temp_folder.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

TEST(MetricsTargetTest, TellsPrometheusWhereAProcessIsUntilItEnds) {
  const TempFolder folder;
  const std::string file = folder.path() + "/actor-0.json";
  auto target = MetricsTarget::Write(file, "actor", "127.0.0.1:4000");
  ASSERT_TRUE(target.ok()) << target.status();
  EXPECT_EQ(
      *ReadFile(file, 999),
      R"([{"labels":{"job":"reckon-actor","process":"actor-0"},"targets":["127.0.0.1:4000"]}])"
      "\n");
  target->reset();
  EXPECT_FALSE(std::filesystem::exists(file));
}

TEST(MetricsTargetTest, AllAddressesAreToldByTheMachinesName) {
  const TempFolder folder;
  const std::string file = folder.path() + "/learner-1.json";
  const auto target = MetricsTarget::Write(file, "learner", "[::]:4000");
  ASSERT_TRUE(target.ok()) << target.status();
  EXPECT_THAT(*ReadFile(file, 999), testing::HasSubstr(absl::StrCat(MachineName(), ":4000")));
}

TEST(MetricsTargetTest, NamesTheFileThatItCannotWrite) {
  const TempFolder folder;
  const auto target = MetricsTarget::Write(folder.path() + "/no/a.json", "actor", "[::1]:4000");
  EXPECT_THAT(std::string(target.status().message()), testing::HasSubstr("/no/a.json"));
}

}  // namespace
}  // namespace reckon
