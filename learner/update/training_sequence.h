#ifndef RECKON_LEARNER_UPDATE_TRAINING_SEQUENCE_H_
#define RECKON_LEARNER_UPDATE_TRAINING_SEQUENCE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace reckon {

// Tokens and which of them are learned. loss[i]: token i is predicted from those before it; the
// first token never is.
struct TrainingSequence {
  std::vector<uint32_t> tokens;
  std::vector<bool> loss;
  float target = 0;  // what a reward model should predict

  bool operator==(const TrainingSequence&) const = default;
};

// A prompt, which is given, and a completion, which is learned.
TrainingSequence MakeSequence(const std::vector<uint32_t>& prompt,
                              const std::vector<uint32_t>& completion);

int64_t LossTokens(const TrainingSequence& sequence);

// Many sequences as bytes, for the broadcast between ranks.
std::string SerializeSequences(const std::vector<TrainingSequence>& sequences);
// INVALID_ARGUMENT when the bytes are not whole.
absl::StatusOr<std::vector<TrainingSequence>> ParseSequences(absl::string_view bytes);

}  // namespace reckon

#endif  // RECKON_LEARNER_UPDATE_TRAINING_SEQUENCE_H_
