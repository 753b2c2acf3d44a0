#include "learner/sampling/prompt_replay.h"

#include <set>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

using testing::DoubleNear;
using testing::ElementsAre;

PpoSettings Settings(uint32_t prompts, double ratio, double temperature, double staleness) {
  PpoSettings settings;
  settings.set_prompts(prompts);
  settings.mutable_replay()->set_ratio(ratio);
  settings.mutable_replay()->set_temperature(temperature);
  settings.mutable_replay()->set_staleness_coef(staleness);
  return settings;
}

void AddSeen(uint64_t problem, double score, int64_t step, ReplayState* state) {
  ReplayState::Seen* seen = state->add_seen();
  seen->set_problem(problem);
  seen->set_score(score);
  seen->set_step(step);
}

// Problems 3, 5 and 9, last seen at steps 0, 2 and 2.
ReplayState Seen() {
  ReplayState state;
  state.set_fresh(3);
  AddSeen(3, 0.5, 0, &state);
  AddSeen(5, 2.0, 2, &state);
  AddSeen(9, 1.0, 2, &state);
  return state;
}

TEST(PromptReplayTest, TheChancesAreThoseOfTheFormula) {
  // Ranks by score: 5, 9, 3. With temperature 0.5 their weights are 1, 1/4 and 1/9 of 49/36;
  // staleness at step 4 is 4, 2 and 2 of 8.
  const PromptReplay replay(Settings(2, 1, 0.5, 0.25), 7, Seen());
  EXPECT_THAT(replay.Chances(4), ElementsAre(DoubleNear(0.75 * 4 / 49 + 0.25 / 2, 1e-12),
                                             DoubleNear(0.75 * 36 / 49 + 0.25 / 4, 1e-12),
                                             DoubleNear(0.75 * 9 / 49 + 0.25 / 4, 1e-12)));
}

TEST(PromptReplayTest, ProblemsOfOneScoreAreRankedByTheirPlaceInTheData) {
  ReplayState state = Seen();
  for (ReplayState::Seen& seen : *state.mutable_seen()) seen.set_score(1);
  const PromptReplay replay(Settings(2, 1, 1, 0), 7, state);
  EXPECT_THAT(replay.Chances(4),
              ElementsAre(DoubleNear(6.0 / 11, 1e-12), DoubleNear(3.0 / 11, 1e-12),
                          DoubleNear(2.0 / 11, 1e-12)));
}

TEST(PromptReplayTest, ProblemsAreDrawnAsOftenAsTheirChancesSay) {
  const PromptReplay replay(Settings(1, 0.6, 1, 0.2), 7, Seen());
  std::map<size_t, double> share;
  double fresh = 0;
  constexpr int kSteps = 20000;
  // Shifted along with the step, so that staleness stays.
  for (int step = 0; step < kSteps; ++step) {
    ReplayState state = Seen();
    for (ReplayState::Seen& seen : *state.mutable_seen()) seen.set_step(seen.step() + step);
    const PromptReplay shifted(Settings(1, 0.6, 1, 0.2), 7, state);
    const PromptReplay::Choice choice = shifted.Draw(step + 4)[0];
    (choice.replayed ? share[choice.problem] : fresh) += 1.0 / kSteps;
  }
  const std::vector<double> chances = replay.Chances(4);
  // Four standard deviations of a share are below 0.015.
  EXPECT_NEAR(fresh, 0.4, 0.015);
  EXPECT_NEAR(share[3], 0.6 * chances[0], 0.015);
  EXPECT_NEAR(share[5], 0.6 * chances[1], 0.015);
  EXPECT_NEAR(share[9], 0.6 * chances[2], 0.015);
}

TEST(PromptReplayTest, AStepReplaysNoProblemTwiceAndFillsUpWithNewOnes) {
  for (int64_t step = 3; step < 40; ++step) {
    const auto choices = PromptReplay(Settings(8, 1, 0.1, 0), 7, Seen()).Draw(step);
    std::set<size_t> problems;
    size_t replayed = 0;
    for (const PromptReplay::Choice& choice : choices) {
      if (!choice.replayed) continue;
      ++replayed;
      problems.insert(choice.problem);
    }
    EXPECT_EQ(choices.size(), 8u);
    EXPECT_EQ(replayed, 3u);
    EXPECT_THAT(problems, ElementsAre(3, 5, 9));
  }
}

TEST(PromptReplayTest, NothingSeenOrNoRatioIsNewPromptsOnly) {
  for (const PromptReplay& replay : {PromptReplay(Settings(4, 1, 0.1, 0.1), 7, {}),
                                     PromptReplay(Settings(4, 0, 0.1, 0.1), 7, Seen())}) {
    for (const PromptReplay::Choice& choice : replay.Draw(5)) EXPECT_FALSE(choice.replayed);
  }
}

TEST(PromptReplayTest, ARestartFromTheStateDrawsTheSameAndAnotherKeyDoesNot) {
  PromptReplay replay(Settings(16, 0.5, 1, 0.1), 7, {});
  std::vector<size_t> problems;
  std::vector<double> scores;
  for (size_t i = 0; i < 40; ++i) {
    problems.push_back((i * 17) % 41);
    scores.push_back(static_cast<double>((i * 7) % 13));
  }
  replay.Record(0, problems, scores, 40);
  const PromptReplay again(Settings(16, 0.5, 1, 0.1), 7, replay.state());
  const PromptReplay other(Settings(16, 0.5, 1, 0.1), 8, replay.state());
  EXPECT_EQ(again.Draw(1), replay.Draw(1));
  EXPECT_NE(other.Draw(1), replay.Draw(1));
  EXPECT_NE(replay.Draw(2), replay.Draw(1));
}

TEST(PromptReplayTest, WhatWasLearnedIsKeptByProblemAndTheLastTimeCounts) {
  PromptReplay replay(Settings(2, 0.5, 1, 0.1), 7, Seen());
  replay.Record(4, {7, 5}, {0.25, 0.125}, 1);
  ReplayState expected;
  expected.set_fresh(4);
  AddSeen(3, 0.5, 0, &expected);
  AddSeen(5, 0.125, 4, &expected);
  AddSeen(7, 0.25, 4, &expected);
  AddSeen(9, 1.0, 2, &expected);
  EXPECT_EQ(replay.state().ShortDebugString(), expected.ShortDebugString());
}

TEST(PromptReplayTest, AProblemThatIsTwiceInAStepGetsTheMeanOfItsScores) {
  PromptReplay replay(Settings(3, 0.5, 1, 0.1), 7, Seen());
  replay.Record(4, {9, 5, 9}, {0.25, 0.125, 0.75}, 1);
  EXPECT_EQ(replay.state().seen(1).score(), 0.125);
  EXPECT_EQ(replay.state().seen(2).score(), 0.5);
}

}  // namespace
}  // namespace reckon
