#ifndef RECKON_COMMON_TEXT_BPE_TRAINER_H_
#define RECKON_COMMON_TEXT_BPE_TRAINER_H_

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "absl/types/span.h"

namespace reckon {

// Learns `count` merges of byte-level BPE from `texts` (Sennrich et al. 2016): repeatedly joins the
// pair of neighbours that is most frequent within words, and of equally frequent pairs the one
// whose parts are older. Words are split as SmolLM2 does, so each digit is a token. Returns fewer
// merges when no pair occurs twice. Each merge is given as bytes. Takes O(merges x distinct words).
std::vector<std::pair<std::string, std::string>> TrainMerges(absl::Span<const std::string> texts,
                                                             size_t count);

}  // namespace reckon

#endif  // RECKON_COMMON_TEXT_BPE_TRAINER_H_
