#include "common/config/resume_rules.h"

#include <string>

#include "common/config/config.h"
#include "common/config/resolve.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr char kRun[] = R"pb(
  name: "r"
  model { path: "/m" }
  data { train: "builtin" }
  stage { sft {} }
  stage { ppo { steps: 100 prompts: 8 } }
  stage { eval {} }
  stage { ei { rounds: 2 } }
)pb";

RunConfig Config(const std::string& text,
                 const std::vector<std::pair<std::string, std::string>>& edits = {}) {
  std::string edited = text;
  for (const auto& [from, to] : edits) {
    const size_t at = edited.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    edited.replace(at, from.size(), to);
  }
  absl::StatusOr<RunConfig> config = ParseConfig("c", edited);
  EXPECT_TRUE(config.ok()) << config.status();
  ResolveConfig(&*config);
  return *config;
}

Cursor At(int64_t stage, int64_t round, Cursor::Phase phase) {
  Cursor cursor;
  cursor.set_stage(stage);
  cursor.set_round(round);
  cursor.set_phase(phase);
  return cursor;
}

using Edits = std::vector<std::pair<std::string, std::string>>;

absl::Status Resume(const Edits& edits, const Cursor& cursor) {
  return CheckResume(Config(kRun), Config(kRun, edits), cursor);
}

TEST(ResumeRulesTest, WhatDoesNotTouchThePastMayChange) {
  const Cursor cursor = At(1, 49, Cursor::TRAINED);
  for (const Edits& edits : std::vector<Edits>{
           {},
           {{"name: \"r\"",
             "name: \"r\" resources { actors: 3 learner_ranks: 2 } slurm { partition: \"p\" } "
             "kubernetes { queue: \"q\" }"}},
           {{"name: \"r\"",
             "name: \"r\" keep_last: 9 keep_evaluated: ALL best_metric: \"pass@K\""}},
           {{"name: \"r\"",
             "name: \"r\" output_dir: \"/elsewhere\" coordinator { lease_ms: 500 }"}},
           {{"name: \"r\"", "name: \"r\" eval { samples: 8 limit: 10 }"}},
           {{"path: \"/m\"", "path: \"/m\" device: CPU"}},
           {{"steps: 100", "steps: 200"}},
           {{"steps: 100", "steps: 50"}},  // 50 are done
           {{"prompts: 8", "prompts: 8 eval_every: 7"}},
           {{"prompts: 8", "prompts: 8 max_staleness: 0"}},  // the default
           {{"rounds: 2", "rounds: 7 samples_per_prompt: 9"}},
           {{"stage { ei { rounds: 2 } }", ""}},
           {{"stage { ei { rounds: 2 } }", "stage { ei { rounds: 2 } } stage { ei {} }"}},
           {{"stage { eval {} }", "stage { ei {} }"}},
       }) {
    const absl::Status status = Resume(edits, cursor);
    EXPECT_TRUE(status.ok()) << (edits.empty() ? "" : edits[0].second) << ": " << status;
  }
}

TEST(ResumeRulesTest, WhatWouldMakeThePastUntrueIsRefusedWithBothValues) {
  const Cursor cursor = At(1, 49, Cursor::TRAINED);
  const std::pair<Edits, std::string> kCases[] = {
      {{{"name: \"r\"", "name: \"r\" seed: 9"}}, "seed: was 0 when the run began and is 9 now"},
      {{{"path: \"/m\"", "path: \"/other\""}}, "model.path: was \"/m\""},
      {{{"steps: 100", "steps: 49"}}, "stage[1].ppo.steps: was 100"},
      {{{"prompts: 8", "prompts: 9"}}, "stage[1].ppo.prompts: was 8 when the run began and is 9"},
      {{{"prompts: 8", "prompts: 8 kl { coef: 0.1 }"}}, "stage[1].ppo.kl.coef: was 0.05"},
      {{{"prompts: 8", "prompts: 8 backtracking { steps: 5 }"}},
       "stage[1].ppo.backtracking.steps: was 0"},
      {{{"prompts: 8", "prompts: 8 reward {} reward { kind: STEP_MATCH }"}}, "stage[1].ppo.reward"},
      {{{"sft {}", "sft { limit: 5 }"}}, "stage[0].sft.limit: was 0 when the run began and is 5"},
      {{{"sft {}", "init {}"}}, "stage[0]"},
      {{{"train: \"builtin\"", "train: \"builtin\" overlong_problems: COUNT_WRONG"}},
       "data.overlong_problems: was REFUSE when the run began and is COUNT_WRONG now"},
      {{{"name: \"r\"", "name: \"r\" training { learning_rate: 1e-3 }"}},
       "stage[0].training.learning_rate: was 2e-05"},
      {{{"stage { ppo { steps: 100 prompts: 8 } }\n  stage { eval {} }\n  stage { ei { rounds: 2 } "
         "}",
         ""}},
       "stage[1]"},
  };
  for (const auto& [edits, says] : kCases) {
    const absl::Status status = Resume(edits, cursor);
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << says;
    EXPECT_THAT(std::string(status.message()), AllOf(HasSubstr(says), HasSubstr("--set name=")));
  }
}

TEST(ResumeRulesTest, AStageThatEndedIsPastOnceTheNextMayHaveBegun) {
  // At the end of ppo_1 the evaluation and ei_1 may have begun, and ei_1 may be the one in
  // progress.
  const Cursor end = At(1, 99, Cursor::TRAINED);
  EXPECT_FALSE(Resume({{"steps: 100", "steps: 200"}}, end).ok());
  EXPECT_TRUE(Resume({{"rounds: 2", "rounds: 3"}}, end).ok());
  EXPECT_FALSE(Resume({{"rounds: 2", "rounds: 2 samples_per_prompt: 9"}}, end).ok());
  // Without a checkpoint the first stage is in progress.
  EXPECT_FALSE(Resume({{"sft {}", "sft { limit: 5 }"}}, Cursor()).ok());
  EXPECT_TRUE(Resume({{"prompts: 8", "prompts: 9"}}, Cursor()).ok());
  // Of a finished run the last stage can be made longer.
  const Cursor finished = At(3, 1, Cursor::TRAINED);
  EXPECT_TRUE(Resume({{"rounds: 2", "rounds: 3"}}, finished).ok());
  EXPECT_FALSE(Resume({{"rounds: 2", "rounds: 1"}}, finished).ok());
}

TEST(ResumeRulesTest, AFinishedRunHasMoreToDoWithMoreOfTheLastStageOrMoreStages) {
  const RunConfig run = Config(kRun);
  EXPECT_FALSE(HasMoreToDo(run, run));
  EXPECT_FALSE(HasMoreToDo(run, Config(kRun, {{"name: \"r\"", "name: \"r\" keep_last: 9"}})));
  EXPECT_TRUE(HasMoreToDo(run, Config(kRun, {{"rounds: 2", "rounds: 3"}})));
  EXPECT_TRUE(
      HasMoreToDo(run, Config(kRun, {{"stage { sft {} }", "stage { sft {} } stage { ei {} }"}})));
}

}  // namespace
}  // namespace reckon
