#include "learner/sampling/prompt_replay.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "common/base/rng.h"

namespace reckon {
namespace {

enum Lane { kWhether = 0, kWhich = 1 };

void Normalise(std::vector<double>* weights) {
  const double sum = std::accumulate(weights->begin(), weights->end(), 0.0);
  for (double& weight : *weights) weight /= sum;
}

}  // namespace

PromptReplay::PromptReplay(const PpoSettings& settings, uint64_t key, ReplayState state)
    : settings_(settings), key_(key), state_(std::move(state)) {}

std::vector<double> PromptReplay::Chances(int64_t step) const {
  const auto& seen = state_.seen();
  if (seen.empty()) return {};
  std::vector<int> by_score(seen.size());
  std::iota(by_score.begin(), by_score.end(), 0);
  // Ranks instead of scores, so that the size of the scores does not change how sharp the choice
  // is. Stable, so that equal scores rank by problem and a resumed run draws the same.
  std::stable_sort(by_score.begin(), by_score.end(),
                   [&](int a, int b) { return seen[a].score() > seen[b].score(); });
  std::vector<double> scored(seen.size()), stale(seen.size());
  for (size_t rank = 0; rank < by_score.size(); ++rank) {
    scored[by_score[rank]] =
        std::pow(1.0 / static_cast<double>(rank + 1), 1 / settings_.replay().temperature());
  }
  // At least 1, because a step draws before its own problems are recorded; so the sum below is not
  // 0.
  for (int i = 0; i < seen.size(); ++i) stale[i] = static_cast<double>(step - seen[i].step());
  Normalise(&scored);
  Normalise(&stale);
  const double mix = settings_.replay().staleness_coef();
  for (int i = 0; i < seen.size(); ++i) scored[i] = (1 - mix) * scored[i] + mix * stale[i];
  return scored;
}

std::vector<PromptReplay::Choice> PromptReplay::Draw(int64_t step) const {
  const CounterRng rng(StreamKey(key_, "replay", static_cast<uint64_t>(step)));
  std::vector<double> chances = Chances(step);
  size_t left = chances.size();
  std::vector<Choice> out(settings_.prompts());
  for (size_t i = 0; i < out.size(); ++i) {
    // The two numbers of place i are at fixed positions of the stream, so whether one place replays
    // does not move the draws of the others.
    if (left == 0 || rng.Uniform(i, kWhether) >= settings_.replay().ratio()) continue;
    double at = rng.Uniform(i, kWhich) * std::accumulate(chances.begin(), chances.end(), 0.0);
    // If rounding leads beyond the last problem that has a chance, that one is drawn.
    size_t chosen = 0;
    for (size_t j = 0; j < chances.size(); ++j) {
      if (chances[j] <= 0) continue;
      chosen = j;
      if (at < chances[j]) break;
      at -= chances[j];
    }
    // No problem is replayed twice in a step. The remaining chances are not normalised again: the
    // draw multiplies by their sum.
    chances[chosen] = 0;
    --left;
    out[i] = {true, state_.seen(static_cast<int>(chosen)).problem()};
  }
  return out;
}

void PromptReplay::Record(int64_t step, absl::Span<const size_t> problems,
                          absl::Span<const double> scores, int64_t fresh) {
  state_.set_fresh(state_.fresh() + fresh);
  auto& seen = *state_.mutable_seen();
  std::map<size_t, std::vector<double>> scores_of;
  for (size_t i = 0; i < problems.size(); ++i) scores_of[problems[i]].push_back(scores[i]);
  for (const auto& [problem, of_problem] : scores_of) {
    auto at = std::lower_bound(
        seen.begin(), seen.end(), problem,
        [](const ReplayState::Seen& one, size_t wanted) { return one.problem() < wanted; });
    if (at == seen.end() || at->problem() != problem) {
      // Add may move the elements, so the place is kept as a number. The list stays in ascending
      // order of problems, as the search above and the check of checkpoints need.
      const auto place = at - seen.begin();
      seen.Add()->set_problem(problem);
      at = seen.begin() + place;
      std::rotate(at, seen.end() - 1, seen.end());
    }
    at->set_score(std::accumulate(of_problem.begin(), of_problem.end(), 0.0) /
                  static_cast<double>(of_problem.size()));
    at->set_step(step);
  }
}

}  // namespace reckon
