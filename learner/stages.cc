#include "learner/stages.h"

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/status_macros.h"
#include "common/model/init/init_model.h"
#include "learner/algorithm/algorithm.h"
#include "learner/algorithm/registry.h"
#include "learner/context/shared_device.h"
#include "learner/evaluate/evaluate.h"
#include "learner/experience/orm_rewards.h"
#include "learner/report/learner_metrics.h"
#include "learner/run/model_cards.h"
#include "learner/run/resume.h"
#include "learner/run/versions.h"

namespace reckon {
namespace {

absl::Status EvaluateAs(RankContext& ranks, const std::string& name) {
  RETURN_IF_ERROR(LeaveToLeader(ranks));
  if (ranks.leader == nullptr) return absl::OkStatus();
  LeaderContext& leader = *ranks.leader;
  RETURN_IF_ERROR(Evaluate(leader, name,
                           StepLabelOfNewestPolicy(ranks.run.config, ranks.run.cursor, leader.data))
                      .status());
  DropUnusedRewardModel(ranks.run);
  RETURN_IF_ERROR(UpdateModelCards(leader));
  RETURN_IF_ERROR(KeepEvaluated(leader));
  DropOldFolders(leader);  // the one that was the best before
  return absl::OkStatus();
}

// Counts the cursor to the next version, which the leader publishes: before it is saved, so that
// actors load it meanwhile. As adapters alone only while these are trained on, so that the version
// that a later stage or round begins with is whole.
absl::Status MakeVersion(RankContext& ranks, const Algorithm& algorithm) {
  RunState& run = ranks.run;
  const int64_t round = run.cursor.round();
  run.cursor.set_version(run.cursor.version() + 1);
  LearnerMetrics::Process().version.Set(static_cast<double>(run.cursor.version()));
  run.cursor.add_folders(RoundName(run));
  if (algorithm.SavesAfter(round)) {
    run.reporter->BeginPhase(absl::StrCat(RoundTitle(run), ": save"), 1, "versions");
  }
  run.published_adapters = run.model->adapted() && algorithm.ContinuesAfter(round);
  if (run.published_adapters) {
    return ranks.leader != nullptr ? PublishAdapters(*ranks.leader) : absl::OkStatus();
  }
  const NamedTensors merged = WeightsForLeader(ranks);
  if (ranks.leader != nullptr) RETURN_IF_ERROR(PublishPolicy(*ranks.leader, merged));
  SharesVersion(run);
  return absl::OkStatus();
}

absl::Status RunRound(RankContext& ranks, Algorithm& algorithm) {
  RunState& run = ranks.run;
  const bool must_save = algorithm.SavesAfter(run.cursor.round());
  bool saved = true;  // a round in TRAINED was resumed from its checkpoint
  if (run.cursor.phase() != Cursor::TRAINED) {
    RETURN_IF_ERROR(algorithm.Round(ranks));
    run.cursor.set_phase(Cursor::TRAINED);
    run.cursor.set_train_step(0);
    const bool due = absl::Now() - run.saved_at > run.checkpoint_interval;
    absl::Status made;
    if (algorithm.updates_policy()) made = MakeVersion(ranks, algorithm);
    // A stop during the round cancels the first call to the coordinator, which publishes the
    // version.
    ASSIGN_OR_RETURN(const bool stops, AsLeader(ranks, absl::IsCancelled(made)));
    if (!stops) RETURN_IF_ERROR(made);
    ASSIGN_OR_RETURN(saved, AsLeader(ranks, must_save || due || stops));
    if (saved) {
      RETURN_IF_ERROR(SaveRun(ranks, algorithm.moments()));
      run.saved_at = absl::Now();
    }
    if (stops) {
      RETURN_IF_ERROR(SettleSave(ranks, /*wait=*/true));
      return Stopped(run);
    }
  }
  RETURN_IF_ERROR(algorithm.Published(ranks, saved));
  RETURN_IF_ERROR(SettleSave(ranks, /*wait=*/false));
  return algorithm.EvaluatesAfter(run.cursor.round()) ? EvaluateAs(ranks, RoundName(run))
                                                      : absl::OkStatus();
}

}  // namespace

absl::Status RunStages(RankContext& ranks) {
  RunState& run = ranks.run;
  Cursor& cursor = run.cursor;
  if (!run.resume.has_value() && !HasInit(run.config)) {
    RETURN_IF_ERROR(EvaluateAs(ranks, "start"));
  }
  for (; cursor.stage() < run.config.stage_size(); cursor.set_stage(cursor.stage() + 1)) {
    const Stage& stage = run.stage();
    if (stage.has_init()) continue;  // PrepareRun made it; random weights need no evaluation
    const std::unique_ptr<Algorithm> algorithm =
        MakeAlgorithm(run.config, static_cast<int>(cursor.stage()));
    run.round_word = algorithm == nullptr ? std::string() : algorithm->round_word();
    if (cursor.phase() == Cursor::BEGIN && cursor.round() == 0) {
      cursor.set_stage_version(cursor.version());
    }
    RETURN_IF_ERROR(AllNeedDevices(ranks));
    DropUnusedRewardModel(run);
    if (algorithm != nullptr) RETURN_IF_ERROR(algorithm->Begin(ranks));
    if (run.resume.has_value()) RETURN_IF_ERROR(RestoreParameters(run, ranks.parallel));
    if (algorithm == nullptr) {
      RETURN_IF_ERROR(EvaluateAs(ranks, stage.name()));
      continue;
    }
    if (ranks.leader != nullptr && algorithm->updates_policy()) {
      RETURN_IF_ERROR(
          PrepareVersions(*ranks.leader, algorithm->rounds() - cursor.round(),
                          run.model->adapted() && algorithm->ContinuesAfter(cursor.round())));
    }
    for (; cursor.round() < algorithm->rounds(); cursor.set_round(cursor.round() + 1)) {
      RETURN_IF_ERROR(RunRound(ranks, *algorithm));
      cursor.set_phase(Cursor::BEGIN);
    }
    cursor.set_round(0);
    run.extra.clear();
    run.resume.reset();
  }
  return absl::OkStatus();
}

}  // namespace reckon
