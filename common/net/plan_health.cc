#include "common/net/plan_health.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace reckon {
namespace {

constexpr absl::Duration kNoAnswer = absl::Milliseconds(1500);
// Actors that start with the run call for the first time at different times.
constexpr absl::Duration kNoActorYet = absl::Seconds(2);
constexpr absl::Duration kRefusedFor = absl::Seconds(2);
constexpr absl::Duration kNoSample = absl::Minutes(1);

std::string AndOthers(size_t others) {
  if (others == 0) return "";
  return absl::StrCat(" (and ", others, others == 1 ? " other actor)" : " other actors)");
}

}  // namespace

void PlanHealth::Note(const absl::StatusOr<GetStatusReply>& status, absl::Time now) {
  if (!begin_.has_value()) begin_ = accepted_since_ = now;
  if (!status.ok()) {
    refused_since_.reset();
    if (now - answered_.value_or(*begin_) >= kNoAnswer) {
      waiting_for_ = "the coordinator does not answer";
    }
    return;
  }
  answered_ = now;
  if (term_ != 0 && status->term() > term_) {
    failure_ = absl::AbortedError(absl::StrCat("learner term ", status->term(),
                                               " has begun and this learner is of term ", term_,
                                               ": another learner group has taken over"));
  }
  waiting_for_.clear();
  for (const PlanStatus& plan : status->plans()) {
    if (plan.name() == spec_.name() && failure_.ok()) NoteStatus(*status, plan, now);
  }
}

void PlanHealth::NoteStatus(const GetStatusReply& status, const PlanStatus& plan, absl::Time now) {
  // Batches of a plan that needs no more samples come from the store.
  const bool sampled = plan.end_of_plan() &&
                       plan.complete_groups() + plan.set_aside_groups() >= plan.appended_groups();
  NoteGroups(plan);
  if (plan.closed() || sampled || !failure_.ok()) return;
  NoteActors(status, now);
  if (waiting_for_.empty()) NoteSamples(status, plan, now);
}

void PlanHealth::NoteGroups(const PlanStatus& plan) {
  const uint64_t aside = plan.set_aside_groups();
  if (aside == 0 || plan.complete_groups() > 0) return;
  const bool all = plan.end_of_plan() && aside == plan.appended_groups();
  if (!all && aside < spec_.groups_per_batch()) return;
  failure_ = absl::FailedPreconditionError(absl::StrCat(
      "plan '", plan.name(), "': each of the ", aside, " groups that actors tried was ",
      "set aside; the last error: ", plan.last_error()));
}

void PlanHealth::NoteActors(const GetStatusReply& status, absl::Time now) {
  const uint64_t needed =
      spec_.has_pinned_version() ? spec_.pinned_version() : status.newest_version();
  std::vector<const ActorStatus*> live, refusing, waiting;
  for (const ActorStatus& actor : status.actors()) {
    if (absl::Milliseconds(actor.idle_ms()) >= kActorGone) continue;
    live.push_back(&actor);
    const ActorReport& report = actor.report();
    if ((!report.refused_because().empty() && report.refused_version() == needed) ||
        !report.failing_because().empty()) {
      refusing.push_back(&actor);
    } else if (!report.waiting_for().empty()) {
      waiting.push_back(&actor);
    }
  }
  if (live.empty()) {
    refused_since_.reset();
    if (!status.actors().empty() || now - *begin_ >= kNoActorYet) {
      waiting_for_ = "no actor is connected";
    }
    return;
  }
  if (refusing.size() < live.size()) refused_since_.reset();
  if (refusing.size() + waiting.size() < live.size()) return;  // one works
  if (!waiting.empty()) {
    const ActorStatus& first = *waiting.front();
    waiting_for_ = absl::StrCat(first.name(), ": ", first.report().waiting_for(),
                                AndOthers(waiting.size() - 1));
    return;
  }
  if (!refused_since_.has_value()) refused_since_ = now;
  const ActorStatus& first = *refusing.front();
  waiting_for_ =
      first.report().failing_because().empty()
          ? absl::StrCat(first.name(), " refuses weight version ", needed, ": ",
                         first.report().refused_because(), AndOthers(refusing.size() - 1))
          : absl::StrCat(first.name(), " takes no work: ", first.report().failing_because(),
                         AndOthers(refusing.size() - 1));
  if (now - *refused_since_ >= kRefusedFor) failure_ = absl::FailedPreconditionError(waiting_for_);
}

void PlanHealth::NoteSamples(const GetStatusReply& status, const PlanStatus& plan, absl::Time now) {
  const uint64_t leased = status.ledger().outstanding();
  if (plan.samples_accepted() != accepted_ || leased == 0) {
    accepted_ = plan.samples_accepted();
    accepted_since_ = now;
  }
  if (now - accepted_since_ < kNoSample) return;
  waiting_for_ = absl::StrCat("samples: actors hold ", leased, " and have finished none for ",
                              absl::ToInt64Minutes(now - accepted_since_), " min");
}

}  // namespace reckon
