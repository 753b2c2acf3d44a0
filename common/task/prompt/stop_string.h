#ifndef RECKON_COMMON_TASK_PROMPT_STOP_STRING_H_
#define RECKON_COMMON_TASK_PROMPT_STOP_STRING_H_

#include <cstdint>

#include "absl/types/span.h"
#include "common/text/tokenizer.h"
#include "proto/rollout.pb.h"

namespace reckon {

// A base model does not end its solution, but continues with a question of its own, which the stop
// string of the plan cuts from Rollout.completion. The tokens are still in the record:
//
//   sampled   [#### 5] [\n] [\n] [Question] [:]
//   result    [#### 5] [end of text]
//
// Cuts the tokens from the spans, with the white space before them, at a token boundary, and puts
// end_tokens[0], with which worked solutions end, in their place. What trains on a rollout or reads
// it (EI, PPO, reward models, return-conditioned RL) does so after this, so that a model learns to
// end and never to ask.
//
// The end token is a SAMPLED span of its own without log-probabilities, because no actor drew it:
// the policy's decision to stop is taken for a decision to end. Fine-tuning learns it like any
// token. An online stage learns it from the log-probability that the learner computes before the
// update, with importance weight 1 (Experience::end_in_place). Steps of a dense reward that ended
// in a cut token end in the end token.
//
// Does nothing, and returns false, if no stop string ended the rollout: it was cut at the length
// limit, or its last token is one of `end_tokens`. `end_tokens`: PromptFormatter::StopTokenIds.
bool EndAtStopString(const Tokenizer& tokenizer, absl::Span<const uint32_t> end_tokens,
                     Rollout* rollout);

}  // namespace reckon

#endif  // RECKON_COMMON_TASK_PROMPT_STOP_STRING_H_
