#ifndef RECKON_CLI_REPORT_ROLLOUT_JSON_H_
#define RECKON_CLI_REPORT_ROLLOUT_JSON_H_

#include <string>
#include <vector>

#include "common/text/tokenizer.h"
#include "proto/rollout.pb.h"

namespace reckon {

// The verdict of its first reward, in lower case; empty when there is none.
std::string VerdictOf(const Rollout& rollout);

// Why it ended: "stop", "length", "forced"; "unspecified" of none.
std::string FinishOf(const Rollout& rollout);

// A rollout as one line of JSON, for other programs: every field of Rollout, and the prompt's text.
// docs/looking.md lists the keys.
std::string RolloutLine(const Rollout& rollout, const Tokenizer& tokenizer);

// The texts of tokens in a row. A character that several tokens spell is the last one's, and the
// others are empty; special tokens are spelled out.
std::vector<std::string> TokenTexts(const std::vector<uint32_t>& tokens,
                                    const Tokenizer& tokenizer);

}  // namespace reckon

#endif  // RECKON_CLI_REPORT_ROLLOUT_JSON_H_
