#ifndef RECKON_COMMON_CONFIG_ANSWERS_H_
#define RECKON_COMMON_CONFIG_ANSWERS_H_

#include "absl/status/status.h"
#include "proto/config.pb.h"

namespace reckon {

// data.answers says what an answer is, and the rewards of a config compare such answers.

// With BOXED, rewards without a kind get ANSWER_BOXED, with TEXT ANSWER_TEXT. Part of
// ResolveConfig.
void ResolveAnswers(RunConfig* config);

// Refuses rewards that read an answer of the other kind, and names the first. Part of
// ValidateConfig.
absl::Status CheckAnswers(const RunConfig& config);

}  // namespace reckon

#endif  // RECKON_COMMON_CONFIG_ANSWERS_H_
