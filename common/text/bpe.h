#ifndef RECKON_COMMON_TEXT_BPE_H_
#define RECKON_COMMON_TEXT_BPE_H_

#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"

namespace reckon {

// Ranked merges of byte-pair encoding: the pair of neighbours with the lowest rank is joined first,
// and of equal ranks the leftmost. Filled by one thread, then immutable.
class BpeMerges {
 public:
  // Memory that Apply reuses; one for each thread.
  struct Scratch {
    struct Symbol {
      uint32_t id;
      int32_t previous, next;  // -1 at the ends
    };
    std::vector<Symbol> symbols;
    std::vector<uint64_t> queue;
  };

  // Joins `left` and `right` into `result`. Of a pair added twice the later counts.
  void Add(uint32_t left, uint32_t right, uint32_t rank, uint32_t result);

  // Applies all merges to the ids of one word and appends the result to `out`, in O(n log n).
  void Apply(const std::vector<uint32_t>& word, Scratch* scratch, std::vector<uint32_t>* out) const;

 private:
  struct Merge {
    uint32_t rank, result;
  };
  const Merge* Find(uint32_t left, uint32_t right) const;

  absl::flat_hash_map<uint64_t, Merge> merges_;  // by left << 32 | right
};

}  // namespace reckon

#endif  // RECKON_COMMON_TEXT_BPE_H_
