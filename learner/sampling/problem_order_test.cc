#include "learner/sampling/problem_order.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "absl/strings/str_cat.h"

namespace reckon {
namespace {

// Problem i is of set a if i is below 6, else of set b, of which there are 30.
std::vector<Problem> Problems() {
  std::vector<Problem> problems(36);
  for (size_t i = 0; i < problems.size(); ++i) {
    problems[i].question = absl::StrCat(i);
    problems[i].set = i < 6 ? "a" : "b";
  }
  return problems;
}

DataSettings Mixture(double a, double b) {
  DataSettings data;
  for (const auto& [name, share] : {std::pair("a", a), std::pair("b", b)}) {
    MixtureSet* set = data.add_set();
    set->set_name(name);
    if (share > 0) set->set_share(share);
  }
  return data;
}

std::vector<size_t> Places(const DataSettings& data, uint64_t seed, size_t first, size_t end) {
  const std::vector<Problem> problems = Problems();
  ProblemOrder order(data, problems, seed, "prompts/ppo_1");
  std::vector<size_t> out;
  for (size_t place = first; place < end; ++place) out.push_back(order.At(place));
  return out;
}

TEST(ProblemOrderTest, GivesPlacesToSetsByTheirSharesAndPassesOverEachOfThem) {
  const std::vector<size_t> drawn = Places(Mixture(1, 1), 0, 0, 120);
  std::map<size_t, int> times;
  for (size_t problem : drawn) ++times[problem];
  for (size_t i = 0; i < 36; ++i) EXPECT_EQ(times[i], i < 6 ? 10 : 2) << i;
  // A pass over the smaller set has each of its problems once, in an order of its own.
  std::vector<size_t> of_a;
  for (size_t problem : drawn) {
    if (problem < 6) of_a.push_back(problem);
  }
  EXPECT_EQ(std::set<size_t>(of_a.begin(), of_a.begin() + 6).size(), 6u);
  EXPECT_NE(std::vector<size_t>(of_a.begin(), of_a.begin() + 6),
            std::vector<size_t>(of_a.begin() + 6, of_a.begin() + 12));
}

TEST(ProblemOrderTest, APlaceAsksTheSameWhereverARunBegins) {
  for (const DataSettings& data : {Mixture(3, 1), Mixture(0, 0)}) {
    const std::vector<size_t> all = Places(data, 7, 0, 200);
    EXPECT_EQ(Places(data, 7, 83, 200), std::vector<size_t>(all.begin() + 83, all.end()));
    EXPECT_NE(Places(data, 8, 0, 200), all);
    const std::vector<Problem> problems = Problems();
    ProblemOrder back(data, problems, 7, "prompts/ppo_1");
    EXPECT_EQ(back.At(150), all[150]);
    EXPECT_EQ(back.At(20), all[20]);
    EXPECT_EQ(back.At(20), all[20]);
  }
}

TEST(ProblemOrderTest, WithoutSharesEveryProblemIsDrawnEquallyOften) {
  std::vector<size_t> drawn = Places(Mixture(0, 0), 0, 0, 36);
  std::sort(drawn.begin(), drawn.end());
  for (size_t i = 0; i < 36; ++i) EXPECT_EQ(drawn[i], i);
}

TEST(ProblemOrderTest, DrawsDifferentProblemsOfARoundByShares) {
  const std::vector<Problem> problems = Problems();
  const auto pools = PoolsOf(Mixture(1, 1), problems);
  std::vector<size_t> drawn = DrawProblems(pools, 8, 0, "ei_1/round_1");
  EXPECT_EQ(std::count_if(drawn.begin(), drawn.end(), [](size_t i) { return i < 6; }), 4);
  EXPECT_NE(DrawProblems(pools, 8, 0, "ei_1/round_2"), drawn);
  drawn = DrawProblems(pools, 20, 0, "ei_1/round_1");  // a has only six
  EXPECT_EQ(std::set<size_t>(drawn.begin(), drawn.end()).size(), 20u);
  EXPECT_EQ(std::count_if(drawn.begin(), drawn.end(), [](size_t i) { return i < 6; }), 6);
  EXPECT_EQ(PoolsOf(Mixture(1, 1), problems, /*first=*/10).size(), 1u);
}

}  // namespace
}  // namespace reckon
