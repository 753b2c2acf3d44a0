#ifndef RECKON_LEARNER_ORM_STEP_TOKENS_H_
#define RECKON_LEARNER_ORM_STEP_TOKENS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "common/text/tokenizer.h"

namespace reckon {

// Which tokens end a step: those that hold a newline. The same rule as the actor's, which forces
// step labels behind them. Immutable.
class StepTokens {
 public:
  explicit StepTokens(const Tokenizer& tokenizer) : ends_(tokenizer.vocab_size()) {
    for (uint32_t id = 0; id < ends_.size(); ++id) {
      ends_[id] = tokenizer.TokenBytes(id).find('\n') != absl::string_view::npos;
    }
  }

  bool End(uint32_t token) const { return token < ends_.size() && ends_[token]; }

  // How many completion tokens there are at the end of each step of tokens[prompt, size); the last
  // step ends with the completion. Empty for no completion.
  std::vector<size_t> EndsOf(const std::vector<uint32_t>& tokens, size_t prompt) const {
    std::vector<size_t> ends;
    for (size_t i = prompt; i < tokens.size(); ++i) {
      if (i + 1 == tokens.size() || End(tokens[i])) ends.push_back(i + 1 - prompt);
    }
    return ends;
  }

 private:
  std::vector<bool> ends_;
};

}  // namespace reckon

#endif  // RECKON_LEARNER_ORM_STEP_TOKENS_H_
