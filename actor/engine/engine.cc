#include "actor/engine/engine.h"

#include <algorithm>
#include <utility>

#include "common/base/status_macros.h"

namespace reckon {

absl::Status Engine::Admit(const Lease& lease, std::shared_ptr<const PlanSpec> plan) {
  ASSIGN_OR_RETURN(std::shared_ptr<Group> group, MakeGroup(lease, std::move(plan), *policy_));
  if (!group->pending.empty()) waiting_.push_back(std::move(group));
  return absl::OkStatus();
}

int64_t Engine::waiting() const {
  int64_t samples = 0;
  for (const auto& group : waiting_) samples += group->pending.size();
  return samples;
}

absl::StatusOr<std::vector<FinishedSample>> Engine::Step() {
  std::vector<FinishedSample> finished;
  ASSIGN_OR_RETURN(std::vector<Start> starts, Plan());
  RETURN_IF_ERROR(Prefill(starts));
  for (const Start& start : starts) RETURN_IF_ERROR(Launch(start, &finished));
  RETURN_IF_ERROR(Decode(&finished));
  stats_.finished_samples += finished.size();
  return finished;
}

// Which groups, and how many samples of each, start now. Reserves the pages of their contexts; the
// samples' pages are counted here and reserved by Launch, before anything else can take them.
absl::StatusOr<std::vector<Engine::Start>> Engine::Plan() {
  std::vector<Start> starts;
  int64_t slots = options_.max_batch - running();
  int64_t pages = policy_->free_pages();
  int64_t rows = 0;
  for (const std::shared_ptr<Group>& group : waiting_) {
    const int64_t shared = group->num_shared();
    const bool fresh = !group->prefilled;
    const int64_t context_pages = fresh ? policy_->PagesFor(0, shared) : 0;
    if (fresh && rows > 0 && rows + shared > options_.max_prefill_rows) break;
    int64_t samples = group->pending.size();
    int64_t sample_pages = 0;
    if (group->max_new > 0) {
      sample_pages = policy_->PagesFor(shared, group->max_tokens());
      // A sample of one token may need no page of its own.
      const int64_t fit =
          sample_pages > 0 ? (pages - context_pages) / sample_pages : group->pending.size();
      samples = std::min({samples, slots, fit});
      slots -= std::max<int64_t>(samples, 0);
    }
    if (samples <= 0 || context_pages > pages) break;
    if (fresh && shared > 0) {
      ASSIGN_OR_RETURN(group->sequence, policy_->Add(shared));
    }
    group->prefilled = true;
    pages -= context_pages + (group->max_new > 0 ? samples * sample_pages : 0);
    if (fresh) rows += shared;
    starts.push_back({group, samples});
    if (samples < static_cast<int64_t>(group->pending.size())) break;
  }
  return starts;
}

// Runs the contexts of new groups, packed, at most max_prefill_rows a forward pass.
absl::Status Engine::Prefill(const std::vector<Start>& starts) {
  std::vector<Policy::Row> rows;
  std::vector<Group*> owners;  // of the rows that draw
  for (const Start& start : starts) {
    Group* group = start.group.get();
    const int64_t shared = group->num_shared();
    const bool scores = group->plan->score_forced();
    for (; group->fed < shared; ++group->fed) {
      if (static_cast<int64_t>(rows.size()) == options_.max_prefill_rows) {
        RETURN_IF_ERROR(RunRows(rows, owners));
        rows.clear();
        owners.clear();
      }
      Policy::Row row;
      row.sequence = group->sequence;
      row.token = group->context[group->fed];
      row.draws = scores && group->fed + 1 >= group->num_prompt();
      if (row.draws) {
        row.draw.forced = group->context[group->fed + 1];
        owners.push_back(group);
      }
      rows.push_back(row);
    }
  }
  return rows.empty() ? absl::OkStatus() : RunRows(rows, owners);
}

absl::Status Engine::RunRows(const std::vector<Policy::Row>& rows,
                             const std::vector<Group*>& owners) {
  ASSIGN_OR_RETURN(std::vector<Drawn> drawn, policy_->Step(rows));
  for (size_t i = 0; i < owners.size(); ++i) {
    owners[i]->forced_logprobs.push_back(drawn[i].logprob);
  }
  stats_.prefilled_tokens += rows.size();
  return absl::OkStatus();
}

// Makes the samples of a prefilled group, or finishes them when the item only scores.
absl::Status Engine::Launch(const Start& start, std::vector<FinishedSample>* finished) {
  const std::shared_ptr<Group>& group = start.group;
  const Lease& lease = group->lease;
  for (int64_t i = 0; i < start.samples; ++i) {
    const uint32_t number = group->pending.front();
    if (group->max_new == 0) {
      group->pending.pop_front();
      finished->push_back(
          {lease.lease(), MakeRollout(*group, number, nullptr, FINISH_FORCED, *tokenizer_), group});
      continue;
    }
    LiveSample sample;
    sample.group = group;
    sample.sample = number;
    sample.rng = CounterRng(
        StreamKey(group->plan->sampling().seed(), lease.plan(), lease.item().group(), number));
    sample.next = group->context.back();
    if (group->num_shared() > 0) {
      ASSIGN_OR_RETURN(sample.sequence,
                       policy_->Fork(group->sequence, group->num_shared(), group->max_tokens()));
    } else {
      ASSIGN_OR_RETURN(sample.sequence, policy_->Add(group->max_tokens()));
    }
    group->pending.pop_front();
    live_.push_back(std::move(sample));
  }
  if (group->pending.empty()) {
    ForgetContext(group.get());
    waiting_.pop_front();  // groups are launched in order
  }
  return absl::OkStatus();
}

absl::Status Engine::Decode(std::vector<FinishedSample>* finished) {
  if (live_.empty()) return absl::OkStatus();
  std::vector<Policy::Row> rows;
  rows.reserve(live_.size());
  for (const LiveSample& sample : live_) {
    rows.push_back({sample.sequence, sample.next, /*draws=*/true, sample.NextDraw()});
  }
  ASSIGN_OR_RETURN(std::vector<Drawn> drawn, policy_->Step(rows));
  stats_.sampled_tokens += drawn.size();
  ++stats_.decode_steps;
  size_t kept = 0;
  for (size_t i = 0; i < live_.size(); ++i) {
    LiveSample& sample = live_[i];
    FinishReason finish;
    if (sample.Take(drawn[i], *tokenizer_, &finish)) {
      policy_->Remove(sample.sequence);
      const Group& group = *sample.group;
      finished->push_back({group.lease.lease(),
                           MakeRollout(group, sample.sample, &sample, finish, *tokenizer_),
                           sample.group});
    } else {
      if (kept != i) live_[kept] = std::move(sample);
      ++kept;
    }
  }
  live_.erase(live_.begin() + kept, live_.end());
  return absl::OkStatus();
}

void Engine::ForgetContext(Group* group) {
  if (group->sequence >= 0) policy_->Remove(group->sequence);
  group->sequence = -1;
}

void Engine::Drop(uint64_t lease) {
  for (auto it = waiting_.begin(); it != waiting_.end();) {
    if ((*it)->lease.lease() == lease) {
      ForgetContext(it->get());
      it = waiting_.erase(it);
    } else {
      ++it;
    }
  }
  for (auto it = live_.begin(); it != live_.end();) {
    if (it->group->lease.lease() == lease) {
      policy_->Remove(it->sequence);
      it = live_.erase(it);
    } else {
      ++it;
    }
  }
}

void Engine::Clear() {
  for (const auto& group : waiting_) ForgetContext(group.get());
  waiting_.clear();
  for (const LiveSample& sample : live_) policy_->Remove(sample.sequence);
  live_.clear();
}

}  // namespace reckon
