#include "coordinator/service/coordinator_metrics.h"

#include <algorithm>

#include "common/net/plan_health.h"
#include "common/telemetry/shared_metrics.h"

namespace reckon {
namespace {

Counter& Rollouts(const char* outcome, Registry* registry) {
  return registry->AddCounter("reckon_rollouts_total",
                              "Rollouts received from actors, by the answer they got",
                              {{"outcome", outcome}});
}

Gauge& Groups(const char* state, Registry* registry) {
  return registry->AddGauge(
      "reckon_queue_groups",
      "Groups of open plans: leasable (an actor may have samples of them now), held_back "
      "(admission "
      "holds them back), at_actors (all missing samples are leased), complete (in no batch yet)",
      {{"state", state}});
}

Gauge& Actors(const char* state, Registry* registry) {
  return registry->AddGauge(
      "reckon_actors",
      "Actors: working (hold samples), idle, waiting (for weights), silent (do not call)",
      {{"state", state}});
}

}  // namespace

CoordinatorMetrics::CoordinatorMetrics(Registry* registry)
    : activity("coordinator", {"load", "idle", "commit"}, registry),
      commit_seconds(registry->AddHistogram("reckon_commit_seconds",
                                            "Writing and syncing one group of events",
                                            ExponentialBounds(0.0005, 2, 14))),
      accepted_(Rollouts("accepted", registry)),
      duplicate_(Rollouts("duplicate", registry)),
      late_(Rollouts("late", registry)),
      rejected_(Rollouts("rejected", registry)),
      mismatched_(registry->AddCounter(
          "reckon_mismatched_rollouts_total",
          "Duplicates that should equal the accepted rollout and do not: an error")),
      leased_(registry->AddCounter("reckon_leased_samples_total", "Samples leased to actors")),
      expired_(registry->AddCounter(
          "reckon_lease_expired_total",
          "Leased samples whose lease was not renewed: their actor is lost or cut off")),
      returned_(registry->AddCounter("reckon_lease_returned_total",
                                     "Leased samples that actors returned undone")),
      set_aside_(registry->AddCounter("reckon_set_aside_samples_total",
                                      "Leased samples of groups that were set aside")),
      accepted_tokens_(registry->AddCounter("reckon_accepted_tokens_total",
                                            "Sampled tokens of accepted rollouts")),
      evicted_(registry->AddCounter("reckon_evicted_rollouts_total",
                                    "Rollouts deleted because no selection names them")),
      set_aside_groups_(registry->AddCounter("reckon_set_aside_groups_total",
                                             "Groups that failed too often and were given up")),
      leased_now_(registry->AddGauge("reckon_leased_samples", "Samples that actors hold now")),
      leasable_(Groups("leasable", registry)),
      held_back_(Groups("held_back", registry)),
      at_actors_(Groups("at_actors", registry)),
      complete_(Groups("complete", registry)),
      batches_(registry->AddGauge("reckon_queue_batches",
                                  "Batches that are cut and wait for the learner")),
      working_actors_(Actors("working", registry)),
      idle_actors_(Actors("idle", registry)),
      waiting_actors_(Actors("waiting", registry)),
      silent_actors_(Actors("silent", registry)),
      ranks_(registry->AddGauge("reckon_ranks", "Learner ranks of the term that have called")),
      rank_silence_(registry->AddGauge("reckon_rank_silent_seconds",
                                       "Since the last heartbeat of the most silent rank")),
      version_(PolicyVersion(registry)),
      term_(registry->AddGauge("reckon_term", "Number of the learner group's life")) {}

CoordinatorMetrics& CoordinatorMetrics::Process() {
  static CoordinatorMetrics& metrics = *new CoordinatorMetrics(&Registry::Process());
  return metrics;
}

void CoordinatorMetrics::ShowLedger(const Ledger& ledger) {
  MirrorTotal(static_cast<double>(ledger.accepted()), &accepted_);
  MirrorTotal(static_cast<double>(ledger.duplicate()), &duplicate_);
  MirrorTotal(static_cast<double>(ledger.late()), &late_);
  MirrorTotal(static_cast<double>(ledger.rejected()), &rejected_);
  MirrorTotal(static_cast<double>(ledger.mismatched()), &mismatched_);
  MirrorTotal(static_cast<double>(ledger.leased()), &leased_);
  MirrorTotal(static_cast<double>(ledger.expired()), &expired_);
  MirrorTotal(static_cast<double>(ledger.returned()), &returned_);
  MirrorTotal(static_cast<double>(ledger.set_aside()), &set_aside_);
  leased_now_.Set(static_cast<double>(ledger.outstanding()));
}

void CoordinatorMetrics::ShowMembers(const GetStatusReply& status) {
  double working = 0, idle = 0, waiting = 0, silent = 0;
  for (const ActorStatus& actor : status.actors()) {
    const bool waits =
        !actor.report().waiting_for().empty() || !actor.report().refused_because().empty();
    double& state = absl::Milliseconds(actor.idle_ms()) >= kActorGone ? silent
                    : actor.outstanding() > 0                         ? working
                    : waits                                           ? waiting
                                                                      : idle;
    state += 1;
  }
  working_actors_.Set(working);
  idle_actors_.Set(idle);
  waiting_actors_.Set(waiting);
  silent_actors_.Set(silent);
  uint64_t silence = 0;
  for (const RankStatus& rank : status.ranks()) silence = std::max(silence, rank.silent_ms());
  ranks_.Set(status.ranks_size());
  rank_silence_.Set(absl::ToDoubleSeconds(absl::Milliseconds(silence)));
}

void CoordinatorMetrics::Show(const Core& core, absl::Time now) {
  const GetStatusReply status = core.Status(now);
  ShowLedger(status.ledger());
  ShowMembers(status);
  uint64_t tokens = 0, set_aside = 0;
  for (const PlanStatus& plan : status.plans()) {
    tokens += plan.sampled_tokens();
    set_aside += plan.set_aside_groups();
  }
  MirrorTotal(static_cast<double>(tokens), &accepted_tokens_);
  MirrorTotal(static_cast<double>(set_aside), &set_aside_groups_);
  MirrorTotal(static_cast<double>(core.evicted()), &evicted_);
  const QueueCounts queue = core.CountQueue();
  leasable_.Set(static_cast<double>(queue.leasable));
  held_back_.Set(static_cast<double>(queue.held_back));
  at_actors_.Set(static_cast<double>(queue.at_actors));
  complete_.Set(static_cast<double>(queue.complete));
  batches_.Set(static_cast<double>(queue.batches));
  version_.Set(static_cast<double>(status.newest_version()));
  term_.Set(static_cast<double>(status.term()));
}

}  // namespace reckon
