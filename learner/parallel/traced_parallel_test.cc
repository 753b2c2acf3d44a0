#include "learner/parallel/traced_parallel.h"

#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>

#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "common/base/files.h"
#include "common/testing/temp_folder.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

TEST(TracedParallelTest, WritesWhatWasBegunAndWaitedForInOrder) {
  const TempFolder temp;
  const std::string path = temp.path() + "/trace.json";
  {
    RankGroups groups;
    groups.all = MakeAloneOf(3);
    groups.replicas = MakeAloneOf(2);
    groups = MakeTraced(std::move(groups), path);
    Parallel* const traced = groups.all.get();
    EXPECT_EQ(traced->world(), 3);
    const at::Tensor mine = at::full({2}, 5, at::kFloat), all = at::zeros({6});
    const auto first = traced->AllGather(mine, all);
    const auto second = traced->ReduceScatterSum(at::full({6}, 7, at::kFloat), mine);
    ASSERT_TRUE(first->Wait().ok());
    EXPECT_EQ(all.sum().item<float>(), 30);  // of this rank, three times
    ASSERT_TRUE(second->Wait().ok());
    EXPECT_EQ(mine.sum().item<float>(), 14);
    float one = 1;
    ASSERT_TRUE(groups.replicas->AllReduceSum(absl::MakeSpan(&one, 1)).ok());
  }
  const auto text = ReadFile(path);
  ASSERT_TRUE(text.ok()) << text.status();
  std::vector<std::string> calls, ended;
  std::map<int64_t, std::pair<double, double>> times;  // of a collective: from and until
  double last = 0;
  const nlohmann::json trace = nlohmann::json::parse(*text);
  for (const nlohmann::json& event : trace["traceEvents"]) {
    if (event["ph"] != "X") continue;
    const double from = event["ts"], until = from + event["dur"].get<double>();
    const int64_t id = event["args"]["id"];
    if (event["tid"] == 2) {
      ended.push_back(event["name"]);
      times[id] = {from, until};
      const bool sum = event["name"] == "all-reduce";
      EXPECT_EQ(event["args"]["bytes"], sum ? 4 : 24);
      EXPECT_EQ(event["args"]["group"], sum ? "replicas" : "all");
      continue;
    }
    calls.push_back(event["name"]);
    EXPECT_NEAR(from, last, last == 0 ? 1e6 : 0.2);  // nothing is left out between two calls
    last = until;
  }
  EXPECT_EQ(calls,
            (std::vector<std::string>{"begin", "compute", "begin", "compute", "wait", "compute",
                                      "wait", "compute", "begin", "compute", "wait"}));
  EXPECT_EQ(ended, (std::vector<std::string>{"all-gather", "reduce-scatter", "all-reduce"}));
  EXPECT_LT(times[1].first, times[0].second);  // they overlap
}

}  // namespace
}  // namespace reckon
