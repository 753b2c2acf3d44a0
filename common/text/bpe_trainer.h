#ifndef RECKON_COMMON_TEXT_BPE_TRAINER_H_
#define RECKON_COMMON_TEXT_BPE_TRAINER_H_

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "absl/types/span.h"

namespace reckon {

// Merges of byte-level BPE learned from `texts` (Sennrich et al. 2016): again and again the pair of
// neighbours that is most frequent within words becomes a token; of equally frequent ones the one
// whose parts are older. Words are cut as SmolLM2 does it, so numbers stay digits. Fewer than
// `count` when no pair occurs twice.
//
// Each merge as bytes. Time: merges x distinct words.
std::vector<std::pair<std::string, std::string>> TrainMerges(absl::Span<const std::string> texts,
                                                             size_t count);

}  // namespace reckon

#endif  // RECKON_COMMON_TEXT_BPE_TRAINER_H_
