#include "actor/engine/prompt_group.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/config/ranges.h"

namespace reckon {
namespace {

absl::Status CheckTokens(const PromptGroup& group, const ModelRunner& runner) {
  const uint32_t max_new_tokens = group.plan->sampling().max_new_tokens();
  if (group.num_prompt() == 0) return absl::InvalidArgumentError("the prompt has no tokens");
  if (max_new_tokens == 0 && group.lease.item().forced_tokens().empty()) {
    return absl::InvalidArgumentError(
        "nothing to do: the item has no forced tokens and max_new_tokens is 0");
  }
  for (uint32_t token : group.context) {
    // The embedding reads the row of this id without a check.
    if (token < runner.vocab_size()) continue;
    return absl::InvalidArgumentError(absl::StrCat("token id ", token, " is outside the model's ",
                                                   "vocabulary of ", runner.vocab_size()));
  }
  const int64_t length = group.context.size();
  if (length > runner.max_positions() || (max_new_tokens > 0 && group.max_new <= 0)) {
    return absl::InvalidArgumentError(
        absl::StrCat("prompt and forced tokens are ", length, " tokens, which leaves nothing of ",
                     "the model's ", runner.max_positions(), " positions; shorten the prompt"));
  }
  return absl::OkStatus();
}

absl::Status CheckMemory(const PromptGroup& group, const ModelRunner& runner) {
  // What ChooseStarts asks for with nothing else in the cache. An item that fails here would
  // otherwise wait at the front of the queue for ever.
  int64_t pages = runner.PagesFor(0, group.num_shared());
  if (group.max_new > 0) pages += runner.PagesFor(group.num_shared(), group.max_tokens());
  if (pages <= runner.total_pages()) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat("one sample needs ", pages, " pages and the KV cache has ", runner.total_pages(),
                   "; raise the actor's kv_cache_mib or lower max_new_tokens"));
}

}  // namespace

absl::StatusOr<std::shared_ptr<PromptGroup>> PromptGroup::Create(
    const Lease& lease, std::shared_ptr<const PlanSpec> plan, const ModelRunner& runner) {
  auto group = std::make_shared<PromptGroup>();
  group->lease = lease;
  group->plan = std::move(plan);
  const SamplingParams& sampling = group->plan->sampling();
  auto append = [&context = group->context](const auto& tokens) {
    context.insert(context.end(), tokens.begin(), tokens.end());
  };
  append(lease.item().prompt_tokens());
  append(lease.item().forced_tokens());
  if (sampling.max_new_tokens() > 0) append(group->step_label());
  group->pending.assign(lease.samples().begin(), lease.samples().end());
  // The last token that is drawn is never fed, but it has a position when the learner computes its
  // rollout: context + max_new <= max_positions.
  const int64_t free_positions = runner.max_positions() - group->num_shared() - 1;
  group->max_new =
      std::clamp<int64_t>(free_positions, 0, static_cast<int64_t>(sampling.max_new_tokens()));
  RETURN_IF_ERROR(CheckRanges(sampling, "sampling"));
  RETURN_IF_ERROR(CheckTokens(*group, runner));
  RETURN_IF_ERROR(CheckMemory(*group, runner));
  return group;
}

int64_t LongestSample(const ModelRunner& runner) {
  int64_t fits = 0, beyond = runner.max_positions() + 1;
  while (beyond - fits > 1) {
    const int64_t tokens = fits + (beyond - fits) / 2;
    // One page is for the end of a prompt, which CheckMemory counts twice: the sample has a copy.
    (runner.PagesFor(0, tokens) < runner.total_pages() ? fits : beyond) = tokens;
  }
  return fits;
}

}  // namespace reckon
