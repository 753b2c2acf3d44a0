#include "cli/sweep/sweep_plan.h"

#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "common/testing/temp_folder.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class SweepPlanTest : public testing::Test {
 protected:
  SweepPlanTest() {
    std::filesystem::create_directories(folder_);
    Write("ei.textproto", R"(data { train: "builtin" } model { path: "m" } stage { ei {} })");
    Write("ppo.textproto", R"(data { train: "builtin" } model { path: "m" } stage { ppo {} })");
    Write("start.textproto",
          R"(data { train: "builtin" } stage { init {} } stage { sft { limit: 64 } })");
  }
  void Write(const std::string& name, const std::string& text) {
    std::ofstream(folder_ + "/" + name) << text;
  }
  absl::StatusOr<SweepPlan> Plan(const std::string& text, const SweepOverrides& overrides = {}) {
    const absl::StatusOr<SweepFile> file =
        ParseSweep(folder_ + "/s.textproto",
                   absl::StrCat("name: \"s\" output_dir: \"/out\"\n", text), overrides);
    if (!file.ok()) return file.status();
    return PlanSweep(*file);
  }
  std::string Error(const std::string& text, const SweepOverrides& overrides = {}) {
    const absl::StatusOr<SweepPlan> plan = Plan(text, overrides);
    EXPECT_FALSE(plan.ok()) << text;
    return std::string(plan.status().message());
  }
  static std::vector<std::string> Names(const SweepPlan& plan) {
    std::vector<std::string> names;
    for (const SweepRun& run : plan.runs) names.push_back(run.name);
    return names;
  }

  const TempFolder temp_;
  const std::string& folder_ = temp_.path();
};

TEST_F(SweepPlanTest, AGridHasEveryCombinationAndSeedsVarySlowest) {
  const auto plan = Plan(R"(config: "ei.textproto" seed_count: 2
    grid { name: "K" field: "stage[0].ei.samples_per_prompt" value: "2" value: "4" }
    grid { field: "resources.actors" value: "1" value: "3" }
    set: "eval.samples=8")");
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_THAT(plan->arms,
              ElementsAre("K=2 actors=1", "K=2 actors=3", "K=4 actors=1", "K=4 actors=3"));
  EXPECT_THAT(Names(*plan), ElementsAre("K-2_actors-1_s1", "K-2_actors-3_s1", "K-4_actors-1_s1",
                                        "K-4_actors-3_s1", "K-2_actors-1_s2", "K-2_actors-3_s2",
                                        "K-4_actors-1_s2", "K-4_actors-3_s2"));
  const SweepRun& last = plan->runs.back();
  EXPECT_EQ(last.config.stage(0).ei().samples_per_prompt(), 4);
  EXPECT_EQ(last.config.resources().actors(), 3);
  EXPECT_EQ(last.config.eval().samples(), 8);
  EXPECT_EQ(last.config.seed(), 2);
  EXPECT_EQ(last.folder(), "/out/s/runs/K-4_actors-3_s2");
  EXPECT_THAT(last.set, ElementsAre("eval.samples=8", "stage[0].ei.samples_per_prompt=4",
                                    "resources.actors=3", "seed=2", "output_dir=/out/s/runs",
                                    "name=K-4_actors-3_s2"));
}

TEST_F(SweepPlanTest, PointsMoveSeveralFieldsAndMayHaveConfigsOfTheirOwn) {
  const auto plan = Plan(R"(seed: 7 grid { name: "algorithm"
    point { label: "ei" config: "ei.textproto" set: "stage[0].ei.rounds=3" set: "eval.samples=2" }
    point { label: "ppo" config: "ppo.textproto" set: "stage[0].ppo.steps=5" } })");
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_THAT(Names(*plan), ElementsAre("ei_s7", "ppo_s7"));
  EXPECT_EQ(plan->runs[0].config.stage(0).ei().rounds(), 3);
  EXPECT_EQ(plan->runs[0].config.eval().samples(), 2);
  EXPECT_EQ(plan->runs[1].config.stage(0).ppo().steps(), 5);
  EXPECT_EQ(plan->runs[1].values[0], std::make_pair(std::string("algorithm"), std::string("ppo")));
}

TEST_F(SweepPlanTest, ArmsThatBeginAlikeShareAStart) {
  const auto plan =
      Plan(R"(seed_count: 2 start: "start.textproto" set: "model.path={start}/weights/sft_1"
    grid { name: "begin" point { label: "full" } point { label: "light" start_set: "stage[1].sft.limit=8" } }
    grid { name: "algorithm" point { label: "ei" config: "ei.textproto" } point { label: "ppo" config: "ppo.textproto" } })");
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_THAT(Names(*plan),
              ElementsAre("start_s1", "full_ei_s1", "full_ppo_s1", "start_light_s1", "light_ei_s1",
                          "light_ppo_s1", "start_s2", "full_ei_s2", "full_ppo_s2", "start_light_s2",
                          "light_ei_s2", "light_ppo_s2"));
  EXPECT_EQ(plan->runs[2].start, 0);
  EXPECT_EQ(plan->runs[5].start, 3);
  EXPECT_EQ(plan->runs[3].config.stage(1).sft().limit(), 8);
  EXPECT_EQ(plan->runs[5].config.model().path(), "/out/s/runs/start_light_s1/weights/sft_1");
  EXPECT_TRUE(plan->runs[3].is_start);
  EXPECT_EQ(plan->arms.size(), 4);
}

TEST_F(SweepPlanTest, TheCommandLineAddsToRunsAndToStarts) {
  const auto plan = Plan(
      R"(config: "ei.textproto" start: "start.textproto" set: "model.path={start}/weights/sft_1")",
      {.set = {"eval.samples=3"}, .start_set = {"stage[1].sft.limit=5"}});
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->runs[0].config.stage(1).sft().limit(), 5);
  EXPECT_EQ(plan->runs[1].config.eval().samples(), 3);
  EXPECT_NE(plan->runs[0].config.eval().samples(), 3);
}

TEST_F(SweepPlanTest, ASweepWithoutAxesIsOneArm) {
  const auto plan = Plan(R"(config: "ei.textproto")");
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_THAT(Names(*plan), ElementsAre("run_s1"));
}

TEST_F(SweepPlanTest, AWrongFieldIsAnErrorOfItsLineAndNamesTheArm) {
  const std::string error = Error(R"(config: "ei.textproto"
    grid { name: "K" field: "stage[0].ei.sample"
      value: "2"
      value: "4" })");
  EXPECT_THAT(error, AllOf(HasSubstr("s.textproto:4: arm K=2: stage[0].ei.sample: no field named"),
                           HasSubstr("\n"), HasSubstr("s.textproto:5: arm K=4: ")));
  EXPECT_THAT(Error("config: \"ei.textproto\" grid { field: \"eval.samples\" value: \"many\" }"),
              HasSubstr("s.textproto:2: arm samples=many: eval.samples: cannot read 'many'"));
  // A value that no run may have, and one that does not fit the others.
  EXPECT_THAT(Error("config: \"ei.textproto\" grid { field: \"resources.actors\" value: \"0\" }"),
              HasSubstr("arm actors=0: "));
  EXPECT_THAT(Error("config: \"ei.textproto\" set: \"stage[0].ppo.steps=3\""),
              HasSubstr("is of kind 'ei', not 'ppo'"));
  EXPECT_THAT(Error("config: \"ei.textproto\"", {.set = {"eval.sample=3"}}),
              StartsWith("--set: arm run: eval.sample: no field named"));
}

TEST_F(SweepPlanTest, UnknownAndUselessFieldsAreErrorsOfTheirLine) {
  const std::string config = "config: \"ei.textproto\" ";
  const std::string axis = "grid { field: \"eval.samples\" value: \"2\" }\n";
  for (const auto& [text, error] : std::vector<std::pair<std::string, std::string>>{
           {"grids {}", "s.textproto:2:7: no field named 'grids'; did you mean 'grid'?"},
           {config + "seed: 1\nseed_count: 3", "s.textproto:3: seed_count: the seeds are listed"},
           {config + "seed: 1 seed: 1", "seed: 1 is given twice"},
           {config + "seed_count: 0", "s.textproto:2: seed_count is 0; allowed: 1 to 1000"},
           {config + "metric: \"maj\"", "metric: 'maj' is not one of"},
           {config + "\nset: \"eval.samples\"", "s.textproto:3: set[0]: expected \"KEY=VALUE\""},
           {config + "set: \"seed=3\"", "set[0]: 'seed' of a run is set by the sweep"},
           {config + axis + axis, "s.textproto:3: grid[1]: two axes have the name 'samples'"},
           {config + "set: \"eval.samples=1\"\n" + axis,
            "s.textproto:3: arm samples=2: eval.samples: is set twice; the other is set[0]"},
           {config + "grid { field: \"seed\" value: \"2\" }",
            "'seed' of a run is set by the sweep"},
           {config + "grid { name: \"a\" }", "an axis is a `field` with values, or points"},
           {config + "grid { field: \"eval.samples\" }", "`field` needs a value"},
           {config + "grid { field: \"eval.samples\" value: \"2\" value: \"2\" }",
            "a value is given twice"},
           {config + "grid { point { label: \"a\" } point { label: \"a\" } }",
            "grid[0].point[1]: two points have the label 'a'"},
           {config + "grid { point { label: \"a/b\" } }", "grid[0].point[0].label: 'a/b' must be"},
           {config + "grid { point {} }", "label: is required"},
           {config + "start: \"start.textproto\"", "has a start, but no value of its `set` names"},
           {config + "set: \"model.path={start}/weights\"", "{start} needs `start`"},
           {config + "start_set: \"eval.samples=3\"", "start_set without `start`"},
           {"seed: 1", "arm run: has no config"},
           {"config: \"missing.textproto\"", "missing.textproto"}}) {
    EXPECT_THAT(Error(text), HasSubstr(error));
  }
  const auto nameless = ParseSweep("s.textproto", "config: \"ei.textproto\"");
  EXPECT_THAT(nameless.status().message(), HasSubstr("s.textproto: name: is required"));
}

TEST_F(SweepPlanTest, ValuesThatGiveOneFolderAreRefused) {
  EXPECT_THAT(Error("config: \"ei.textproto\" grid { field: \"model.path\" value: \"a/b\" value: "
                    "\"a:b\" }"),
              HasSubstr("its folder would have the name of another arm's"));
}

TEST_F(SweepPlanTest, TheSweepsOfTheRepositoryAreRight) {
  size_t found = 0;
  for (const auto& entry : std::filesystem::directory_iterator("recipes/sweeps")) {
    if (entry.path().extension() != ".textproto") continue;
    const auto file = LoadSweep(entry.path().string());
    ASSERT_TRUE(file.ok()) << file.status();
    const auto plan = PlanSweep(*file);
    ASSERT_TRUE(plan.ok()) << plan.status();
    EXPECT_GT(plan->arms.size(), 1) << entry.path();
    found += 1;
  }
  EXPECT_GE(found, 10);
}

}  // namespace
}  // namespace reckon
