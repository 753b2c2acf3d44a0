#include "learner/data/training_sequence.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

namespace reckon {
namespace {

// Token ids are far below 2^31: the top bit of a word says whether the token is learned.
constexpr uint32_t kLossBit = 1u << 31;

void AppendWord(uint32_t word, std::string* out) {
  out->append(reinterpret_cast<const char*>(&word), sizeof(word));
}

}  // namespace

TrainingSequence MakeSequence(const std::vector<uint32_t>& prompt,
                              const std::vector<uint32_t>& completion) {
  TrainingSequence sequence;
  sequence.tokens.reserve(prompt.size() + completion.size());
  sequence.tokens.insert(sequence.tokens.end(), prompt.begin(), prompt.end());
  sequence.tokens.insert(sequence.tokens.end(), completion.begin(), completion.end());
  sequence.loss.assign(prompt.size(), false);
  sequence.loss.resize(sequence.tokens.size(), true);
  if (!sequence.loss.empty()) sequence.loss[0] = false;
  return sequence;
}

int64_t LossTokens(const TrainingSequence& sequence) {
  return std::count(sequence.loss.begin(), sequence.loss.end(), true);
}

std::string SerializeSequences(const std::vector<TrainingSequence>& sequences) {
  std::string out;
  size_t words = 2 * sequences.size();
  for (const TrainingSequence& sequence : sequences) words += sequence.tokens.size();
  out.reserve(words * sizeof(uint32_t));
  for (const TrainingSequence& sequence : sequences) {
    AppendWord(sequence.tokens.size(), &out);
    AppendWord(std::bit_cast<uint32_t>(sequence.target), &out);
    for (size_t i = 0; i < sequence.tokens.size(); ++i) {
      AppendWord(sequence.tokens[i] | (sequence.loss[i] ? kLossBit : 0), &out);
    }
  }
  return out;
}

absl::StatusOr<std::vector<TrainingSequence>> ParseSequences(absl::string_view bytes) {
  std::vector<TrainingSequence> sequences;
  auto next = [&bytes](uint32_t* word) {
    if (bytes.size() < sizeof(*word)) return false;
    std::memcpy(word, bytes.data(), sizeof(*word));
    bytes.remove_prefix(sizeof(*word));
    return true;
  };
  while (!bytes.empty()) {
    uint32_t length = 0, word = 0;
    if (!next(&length) || !next(&word) || bytes.size() / sizeof(word) < length) {
      return absl::InvalidArgumentError("training sequences: the bytes end in the middle of one");
    }
    TrainingSequence sequence;
    sequence.target = std::bit_cast<float>(word);
    sequence.tokens.reserve(length);
    for (uint32_t i = 0; i < length && next(&word); ++i) {
      sequence.tokens.push_back(word & ~kLossBit);
      sequence.loss.push_back((word & kLossBit) != 0);
    }
    sequences.push_back(std::move(sequence));
  }
  return sequences;
}

}  // namespace reckon
