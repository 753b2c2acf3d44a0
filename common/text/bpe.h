#ifndef RECKON_COMMON_TEXT_BPE_H_
#define RECKON_COMMON_TEXT_BPE_H_

#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"

namespace reckon {

// Ranked merges of byte-pair encoding: the pair of neighbours with the lowest rank is joined first,
// the leftmost of equal ones. Filled once, then read by any thread.
class BpeMerges {
 public:
  // Memory that Apply reuses; one a thread.
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

  // Joins the ids of one word as far as merges go and appends what is left to `out`. n log n.
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
