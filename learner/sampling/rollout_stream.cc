#include "learner/sampling/rollout_stream.h"

#include <algorithm>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "common/base/rng.h"
#include "common/base/status_macros.h"
#include "common/net/plan_watch.h"
#include "learner/sampling/run_plan.h"

namespace reckon {

RolloutStream::RolloutStream(LeaderContext& leader, const PpoSettings& settings)
    : leader_(leader),
      settings_(settings),
      name_(leader.run.stage().name()),
      order_(leader.run.config.data(), leader.data.train, leader.run.config.seed(),
             "prompts/" + name_),
      taken_order_(order_) {
  if (settings_.backtracking().steps() > 0) {
    backtracking_.emplace(settings_, *leader.data.prompt, *leader.data.tokenizer);
  }
  if (settings_.replay().ratio() > 0) {
    replay_.emplace(settings_, StreamKey(leader.run.config.seed(), "replay/" + name_),
                    leader.run.cursor.replay());
  }
}

absl::StatusOr<std::unique_ptr<RolloutStream>> RolloutStream::Open(LeaderContext& leader,
                                                                   const PpoSettings& settings) {
  auto stream = absl::WrapUnique(new RolloutStream(leader, settings));
  PlanSpec spec = MakePlan(leader.run, *leader.data.prompt, settings.sampling());
  spec.set_name(stream->name_);
  spec.set_samples_per_group(settings.samples_per_prompt());
  spec.set_groups_per_batch(settings.prompts());
  // Groups of batch b may start when b - max_staleness batches are applied.
  spec.set_max_open_batches(settings.max_staleness() + 1);
  AddRewards(settings.reward(), &spec);
  ASSIGN_OR_RETURN(const OpenPlanReply opened, leader.plans.Open(spec));
  stream->spec_ = spec;
  stream->appended_ = opened.appended_groups();
  // The cursor, not the coordinator, says where to continue: batches that were applied after the
  // checkpoint are taken again, as recorded, and their steps repeated with the same bits.
  stream->batch_ = leader.run.cursor.batches();
  // Else the batches that were learned would have to be sampled again before this one is leased.
  if (static_cast<int64_t>(stream->appended_) <
      leader.run.cursor.batches() * int64_t{settings.prompts()}) {
    return absl::FailedPreconditionError(
        absl::StrCat("the coordinator has lost its store: the checkpoint has learned ",
                     leader.run.cursor.batches(), " batches of stage '", stream->name_,
                     "', of which it knows ", stream->appended_ / settings.prompts(),
                     "; restore the run's store folder, or start a run with another name"));
  }
  return stream;
}

bool RolloutStream::HasBatch() {
  const absl::StatusOr<NextBatchReply> reply =
      leader_.plans.PollBatch(name_, batch_, absl::ZeroDuration());
  return reply.ok() && reply->has_header();
}

absl::StatusOr<std::vector<Rollout>> RolloutStream::NextBatch(int64_t step, bool ready) {
  const Cursor& cursor = leader_.run.cursor;
  // Also when a restart finds the groups of this step appended: the draw is a function of key, step
  // and state, so it gives the problems that those groups ask, and RecordScores needs them.
  if (replay_.has_value()) DrawPrompts(step);
  if (batch_ > cursor.batches()) {  // the step needs another batch: the one before made no version
    RETURN_IF_ERROR(leader_.plans.MarkApplied(name_, batch_ - 1, cursor.version()));
  }
  // As far ahead as staleness allows, but not beyond what the stage's remaining steps need.
  const int64_t ahead = std::min<int64_t>(1 + settings_.max_staleness(), settings_.steps() - step);
  RETURN_IF_ERROR(AppendUntil((batch_ + ahead) * settings_.prompts(), step, /*wait=*/!ready));
  ASSIGN_OR_RETURN(const std::optional<BatchHeader> header,
                   leader_.plans.NextHeader(name_, batch_, [this] { return Check(); }));
  watch_.reset();
  if (!header.has_value()) {
    return absl::FailedPreconditionError(
        absl::StrCat("plan '", name_, "' ended before step ", step));
  }
  if (header->rollouts().empty() && !header->set_aside().empty()) {
    return leader_.plans.AllSetAside(name_, header->set_aside_size());
  }
  batch_ += 1;
  std::vector<RolloutKey> keys;
  for (const RolloutHeader& rollout : header->rollouts()) keys.push_back(rollout.key());
  return leader_.plans.Fetch(keys);
}

// Most batches are there, or soon; only a longer wait is watched.
absl::Status RolloutStream::Check() {
  if (watch_ == nullptr) {
    watch_ = std::make_unique<PlanWatch>(
        &leader_.coordinator, spec_, leader_.run.term,
        [this](const PlanView& view) { leader_.run.reporter->SetWaitingFor(view.waiting_for); });
  }
  return watch_->Check();
}

absl::Status RolloutStream::MarkApplied(uint64_t version) {
  return leader_.plans.MarkApplied(name_, leader_.run.cursor.batches() - 1, version);
}

absl::Status RolloutStream::MarkDurable() {
  leader_.covered_plans[name_] = leader_.run.cursor.batches() - 1;
  return TellDurable(leader_);
}

absl::Status RolloutStream::Close() { return leader_.plans.Close(name_); }

absl::Status RolloutStream::AppendUntil(uint64_t groups, int64_t step, bool wait) {
  if (appended_ >= groups) return absl::OkStatus();
  std::vector<WorkItem> items;
  for (uint64_t group = appended_; group < groups; ++group) {
    const Problem& problem = leader_.data.train[ProblemOfGroup(group)];
    WorkItem& item = items.emplace_back(MakeWorkItem(*leader_.data.prompt, problem, group));
    if (!backtracking_.has_value()) continue;
    // The group is learned `ahead` steps from now, so it gets the share of that step.
    const int64_t ahead = static_cast<int64_t>(group / settings_.prompts()) - batch_;
    for (uint32_t token : backtracking_->Prefix(problem.solution, step + ahead)) {
      item.add_forced_tokens(token);
    }
  }
  if (!wait) {
    PlanClient::PendingGroups pending = {.first_group = appended_};
    pending.items.assign(std::make_move_iterator(items.begin()),
                         std::make_move_iterator(items.end()));
    RETURN_IF_ERROR(leader_.plans.AppendWhatFits(name_, &pending).status());
    appended_ = pending.first_group;
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(leader_.plans.Append(name_, appended_, std::move(items), /*end_of_plan=*/false,
                                       [this] { return Check(); }));
  appended_ = groups;
  return absl::OkStatus();
}

size_t RolloutStream::ProblemOfGroup(uint64_t group) {
  return replay_.has_value() ? drawn_[group % settings_.prompts()] : order_.At(group);
}

const std::string& RolloutStream::SetOf(uint64_t group) {
  const size_t problem =
      replay_.has_value() ? drawn_[group % settings_.prompts()] : taken_order_.At(group);
  return leader_.data.train[problem].set;
}

void RolloutStream::DrawPrompts(int64_t step) {
  drawn_.clear();
  fresh_ = 0;
  for (const PromptReplay::Choice& choice : replay_->Draw(step)) {
    drawn_.push_back(choice.replayed ? choice.problem
                                     : order_.At(replay_->state().fresh() + fresh_++));
  }
}

void RolloutStream::RecordScores(int64_t step, const std::map<uint64_t, double>& score_of_group) {
  if (!replay_.has_value()) return;
  std::vector<double> scores;
  for (uint64_t i = 0; i < drawn_.size(); ++i) {
    // With replay every step is one batch, so group `step * prompts + i` asked drawn_[i]. A group
    // that was set aside has no score; 0 ranks its problem last.
    const auto at = score_of_group.find(static_cast<uint64_t>(step) * settings_.prompts() + i);
    scores.push_back(at == score_of_group.end() ? 0 : at->second);
  }
  replay_->Record(step, drawn_, scores, fresh_);
  *leader_.run.cursor.mutable_replay() = replay_->state();
}

void RolloutStream::AddMetrics(int64_t step, std::map<std::string, double>* metrics) const {
  if (backtracking_.has_value()) {
    (*metrics)["curriculum/prefix_share"] = backtracking_->ShareAt(step);
  }
  if (replay_.has_value()) {
    (*metrics)["curriculum/replayed"] =
        1 - static_cast<double>(fresh_) / static_cast<double>(drawn_.size());
  }
}

}  // namespace reckon
