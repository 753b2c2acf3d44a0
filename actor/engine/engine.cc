#include "actor/engine/engine.h"

#include <algorithm>
#include <utility>

#include "absl/time/clock.h"
#include "common/base/status_macros.h"
// Last.
#include "common/base/log.h"

namespace reckon {

absl::Status Engine::Admit(const Lease& lease, std::shared_ptr<const PlanSpec> plan,
                           uint32_t ranked) {
  ASSIGN_OR_RETURN(std::shared_ptr<PromptGroup> group,
                   PromptGroup::Create(lease, std::move(plan), *runner_));
  group->ranked = ranked;
  if (!group->pending.empty()) waiting_.push_back(std::move(group));
  return absl::OkStatus();
}

int64_t Engine::waiting() const {
  int64_t samples = 0;
  for (const auto& group : waiting_) samples += group->pending.size();
  return samples;
}

absl::StatusOr<std::vector<FinishedSample>> Engine::RunPass() {
  ASSIGN_OR_RETURN(std::vector<Start> starts, ChooseStarts());
  RETURN_IF_ERROR(Prefill(starts));
  // In the order of the queue, which Launch relies on: it removes a group by popping the front.
  for (const Start& start : starts) RETURN_IF_ERROR(Launch(start));
  RETURN_IF_ERROR(Decode());
  stats_.finished_samples += finished_.size();
  return std::exchange(finished_, {});
}

// Chooses from the front of the queue until slots, pages or prefill rows run out, so that every
// start but the last one takes all pending samples of its group. With F free pages at entry, always
//
//   sum over new groups of pages(context) + sum over starts of samples * pages(sample)  <=  F
//
// where `pages` below is the difference. The contexts' pages are reserved here, by Add; those of
// the samples are counted here and reserved by Launch before anything else can take them.
absl::StatusOr<std::vector<Engine::Start>> Engine::ChooseStarts() {
  std::vector<Start> starts;
  int64_t slots = max_batch_ - running();
  int64_t pages = runner_->free_pages();
  int64_t rows = 0;  // of the contexts to run
  for (const std::shared_ptr<PromptGroup>& group : waiting_) {
    const int64_t shared = group->num_shared();
    const bool fresh = !group->prefilled;
    const int64_t context_pages = fresh ? runner_->PagesFor(0, shared) : 0;
    // A context longer than the limit runs alone, in several passes.
    if (fresh && rows > 0 && rows + shared > options_.max_prefill_rows) break;
    int64_t samples = group->pending.size();
    int64_t sample_pages = 0;
    if (group->max_new > 0) {
      sample_pages = runner_->PagesFor(shared, group->max_tokens());
      // A sample of one token may need no page of its own.
      const int64_t fit =
          sample_pages > 0 ? (pages - context_pages) / sample_pages : group->pending.size();
      samples = std::min({samples, slots, fit});
      slots -= std::max<int64_t>(samples, 0);
    }
    // First come, first served: no later group starts in place of one that does not fit, or a group
    // with a long context would wait for ever while short ones pass it.
    if (samples <= 0 || context_pages > pages) break;
    if (fresh && shared > 0) {
      ASSIGN_OR_RETURN(group->sequence, runner_->Add(shared));
    }
    // Set before Prefill, which runs every context of this pass or fails the whole pass; after a
    // failure the caller clears the engine.
    group->prefilled = true;
    pages -= context_pages + (group->max_new > 0 ? samples * sample_pages : 0);
    if (fresh) rows += shared;
    starts.push_back({group, samples});
    // The rest of this group starts first in the next pass, from the context that stays in the
    // cache.
    if (samples < static_cast<int64_t>(group->pending.size())) break;
  }
  return starts;
}

absl::Status Engine::Prefill(const std::vector<Start>& starts) {
  std::vector<ModelRunner::Row> rows;
  std::vector<PromptGroup*> scored;
  for (const Start& start : starts) {
    PromptGroup* group = start.group.get();
    const int64_t shared = group->num_shared();
    const bool scores = group->plan->score_forced();
    for (; group->fed < shared; ++group->fed) {
      // `fed` counts rows over several passes, so a long context continues where the pass before
      // ended. Attention of a later row finds the earlier ones in the cache.
      if (static_cast<int64_t>(rows.size()) == options_.max_prefill_rows) {
        RETURN_IF_ERROR(RunContextRows(rows, scored));
        rows.clear();
        scored.clear();
      }
      ModelRunner::Row row = {.sequence = group->sequence, .token = group->context[group->fed]};
      // The row before a forced token yields that token's log-probability.
      row.draws = scores && group->fed + 1 >= group->num_prompt();
      if (row.draws) {
        row.draw.forced = group->context[group->fed + 1];
        scored.push_back(group);
      }
      rows.push_back(row);
    }
  }
  return rows.empty() ? absl::OkStatus() : RunContextRows(rows, scored);
}

absl::Status Engine::RunContextRows(const std::vector<ModelRunner::Row>& rows,
                                    const std::vector<PromptGroup*>& scored) {
  ASSIGN_OR_RETURN(std::vector<DrawnToken> drawn, runner_->RunPass(rows));
  for (size_t i = 0; i < scored.size(); ++i) {
    // The runner returns one token for each row that draws, in order, and `scored` has one entry
    // for each.
    scored[i]->forced_logprobs.push_back(drawn[i].logprob);
  }
  stats_.prefilled_tokens += rows.size();
  return absl::OkStatus();
}

absl::Status Engine::Launch(const Start& start) {
  const std::shared_ptr<PromptGroup>& group = start.group;
  for (int64_t i = 0; i < start.samples; ++i) {
    const uint32_t number = group->pending.front();
    if (group->max_new == 0) {
      finished_.push_back({group->lease.id(),
                           MakeRollout(*group, number, nullptr, FINISH_FORCED, *tokenizer_), group,
                           absl::ZeroDuration()});
    } else {
      // A context of one token has no shared part to fork from.
      ASSIGN_OR_RETURN(const ModelRunner::Sequence sequence,
                       group->num_shared() > 0 ? runner_->Fork(group->sequence, group->num_shared(),
                                                               group->max_tokens())
                                               : runner_->Add(group->max_tokens()));
      live_.emplace_back(group, number, sequence, next_id_++);
    }
    group->pending.pop_front();
  }
  if (group->pending.empty()) {
    CHECK_EQ(waiting_.front(), group) << "groups must be launched in the order of the queue";
    RemoveContext(group.get());
    waiting_.pop_front();
  }
  return absl::OkStatus();
}

absl::Status Engine::Decode() {
  const size_t before = started_.size();
  RETURN_IF_ERROR(StartDecode());
  const bool full = static_cast<int64_t>(started_.size()) > runner_->decodes_ahead();
  // Where no row could be started, every sample waits for a pass that was.
  return full || (started_.size() == before && before > 0) ? FinishDecode() : absl::OkStatus();
}

absl::Status Engine::StartDecode() {
  std::vector<ModelRunner::Row> rows;
  rows.reserve(live_.size());
  StartedDecode pass = {.version = version_};
  for (LiveSample& sample : live_) {
    if (!sample.MayStartRow()) continue;
    rows.push_back(sample.NextRow());
    pass.ids.push_back(sample.id());
  }
  if (rows.empty()) return absl::OkStatus();
  RETURN_IF_ERROR(runner_->StartDecode(rows));
  started_.push_back(std::move(pass));
  ++stats_.decode_passes;
  return absl::OkStatus();
}

absl::Status Engine::FinishDecode() {
  const StartedDecode pass = std::move(started_.front());
  started_.pop_front();
  ASSIGN_OR_RETURN(std::vector<DrawnToken> drawn, runner_->FinishDecode());
  CHECK_EQ(drawn.size(), pass.ids.size());
  size_t kept = 0, row = 0;
  for (size_t i = 0; i < live_.size(); ++i) {
    LiveSample& sample = live_[i];
    while (row < pass.ids.size() && pass.ids[row] < sample.id()) ++row;
    FinishReason why = FINISH_UNSPECIFIED;
    if (row < pass.ids.size() && pass.ids[row] == sample.id()) {
      why = sample.Append(std::move(drawn[row]), pass.version, *tokenizer_);
      ++stats_.sampled_tokens;
    }
    if (why != FINISH_UNSPECIFIED) {
      Finish(sample, why);
      continue;
    }
    if (kept != i) live_[kept] = std::move(sample);
    ++kept;
  }
  live_.erase(live_.begin() + kept, live_.end());
  return absl::OkStatus();
}

void Engine::Finish(const LiveSample& sample, FinishReason why) {
  runner_->Remove(sample.sequence());
  const PromptGroup& group = *sample.group();
  finished_.push_back({group.lease.id(),
                       MakeRollout(group, sample.number(), &sample, why, *tokenizer_),
                       sample.group(), absl::Now() - sample.begin(), sample.ranked()});
}

absl::Status Engine::FinishStarted() {
  while (!started_.empty()) RETURN_IF_ERROR(FinishDecode());
  return absl::OkStatus();
}

bool Engine::MayChangeVersion() const {
  const auto pinned = [](const PromptGroup& group) {
    return group.plan->has_pinned_version() || group.plan->score_forced();
  };
  return std::none_of(waiting_.begin(), waiting_.end(),
                      [&](const auto& group) { return pinned(*group); }) &&
         std::none_of(live_.begin(), live_.end(),
                      [&](const LiveSample& sample) { return pinned(*sample.group()); });
}

absl::Status Engine::ChangeRunner(ModelRunner* runner, uint64_t version, bool recompute) {
  CHECK(started_.empty()) << "FinishStarted comes first";
  runner_ = runner;
  version_ = version;
  for (const std::shared_ptr<PromptGroup>& group : waiting_) {
    RemoveContext(group.get());
    group->prefilled = false;
    group->fed = 0;
  }
  return recompute ? Recompute() : absl::OkStatus();
}

absl::Status Engine::Recompute() {
  for (LiveSample& sample : live_) {
    runner_->Remove(sample.sequence());
    sample.set_sequence(-1);
  }
  // The samples of a group are neighbours, as they were launched. They share its context again,
  // which the first of them has: a sequence of the context alone would need a page more than they
  // had where the context ends within one, and there may be none.
  for (size_t first = 0, end = 0; first < live_.size(); first = end) {
    const PromptGroup& group = *live_[first].group();
    while (end < live_.size() && live_[end].group().get() == &group) ++end;
    const int64_t shared = group.num_shared();
    std::vector<ModelRunner::Row> rows;
    const auto feed = [&](ModelRunner::Sequence sequence, uint32_t token) -> absl::Status {
      rows.push_back({.sequence = sequence, .token = token});
      if (static_cast<int64_t>(rows.size()) < options_.max_prefill_rows) return absl::OkStatus();
      return RunContextRows(std::exchange(rows, {}), {});
    };
    ASSIGN_OR_RETURN(const ModelRunner::Sequence of_first, runner_->Add(group.max_tokens()));
    live_[first].set_sequence(of_first);
    for (int64_t i = 0; i < shared; ++i) RETURN_IF_ERROR(feed(of_first, group.context[i]));
    if (!rows.empty()) RETURN_IF_ERROR(RunContextRows(std::exchange(rows, {}), {}));
    for (size_t i = first; i < end; ++i) {
      if (i > first) {
        ASSIGN_OR_RETURN(const ModelRunner::Sequence sequence,
                         runner_->Fork(of_first, shared, group.max_tokens()));
        live_[i].set_sequence(sequence);
      }
      for (const uint32_t token : live_[i].FedTokens()) {
        RETURN_IF_ERROR(feed(live_[i].sequence(), token));
      }
    }
    if (!rows.empty()) RETURN_IF_ERROR(RunContextRows(rows, {}));
  }
  return absl::OkStatus();
}

void Engine::RemoveContext(PromptGroup* group) {
  if (group->sequence >= 0) runner_->Remove(group->sequence);
  group->sequence = -1;
}

void Engine::Drop(uint64_t lease) {
  std::erase_if(waiting_, [&](const std::shared_ptr<PromptGroup>& group) {
    if (group->lease.id() != lease) return false;
    RemoveContext(group.get());
    return true;
  });
  std::erase_if(live_, [&](const LiveSample& sample) {
    if (sample.group()->lease.id() != lease) return false;
    runner_->Remove(sample.sequence());
    return true;
  });
  std::erase_if(finished_, [&](const FinishedSample& sample) { return sample.lease == lease; });
}

void Engine::Clear() {
  // A runner that fails to finish a pass has still finished it.
  for (; !started_.empty(); started_.pop_front()) runner_->FinishDecode().IgnoreError();
  finished_.clear();
  for (const auto& group : waiting_) RemoveContext(group.get());
  waiting_.clear();
  for (const LiveSample& sample : live_) {
    if (sample.sequence() >= 0) runner_->Remove(sample.sequence());
  }
  live_.clear();
}

}  // namespace reckon
