#ifndef RECKON_LEARNER_DATA_TRAINING_SEQUENCE_H_
#define RECKON_LEARNER_DATA_TRAINING_SEQUENCE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace reckon {

// Tokens and the mask of those that are learned. loss[i]: token i is predicted from tokens 0 to
// i - 1 and enters the loss; the first token never does.
struct TrainingSequence {
  std::vector<uint32_t> tokens;
  std::vector<bool> loss;
  float target = 0;  // label for a reward model: 1, the solution is right, or 0

  bool operator==(const TrainingSequence&) const = default;
};

// A prompt, which is given, then a completion, which is learned.
TrainingSequence MakeSequence(const std::vector<uint32_t>& prompt,
                              const std::vector<uint32_t>& completion);

int64_t LossTokens(const TrainingSequence& sequence);

// The form in which the leader broadcasts sequences: for each one 32-bit words, namely the number
// of tokens, the target, and the tokens with the mask in their top bit.
std::string SerializeSequences(const std::vector<TrainingSequence>& sequences);
// INVALID_ARGUMENT when the bytes end within a sequence.
absl::StatusOr<std::vector<TrainingSequence>> ParseSequences(absl::string_view bytes);

}  // namespace reckon

#endif  // RECKON_LEARNER_DATA_TRAINING_SEQUENCE_H_
