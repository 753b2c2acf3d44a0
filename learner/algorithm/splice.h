#ifndef RECKON_LEARNER_ALGORITHM_SPLICE_H_
#define RECKON_LEARNER_ALGORITHM_SPLICE_H_

#include <cstdint>
#include <vector>

#include "common/text/tokenizer.h"
#include "learner/update/training_sequence.h"
#include "proto/rollout.pb.h"

namespace reckon {

// How a sample of one format becomes a training sequence of another.
struct SpliceOptions {
  const Tokenizer* tokenizer = nullptr;
  std::vector<uint32_t> stop_token_ids;  // that end a training sequence;
                                         // the first is what worked solutions end with
};

// Recorded tokens under another prompt: `prompt`, then the rollout's completion, of which sampled
// tokens are learned and forced ones are not. Nothing is tokenised again. A sample that a stop
// string ended is cut before it and the white space there, at a token boundary, and ends as a
// worked solution does instead.
TrainingSequence Splice(const std::vector<uint32_t>& prompt, const Rollout& rollout,
                        const SpliceOptions& options);

}  // namespace reckon

#endif  // RECKON_LEARNER_ALGORITHM_SPLICE_H_
