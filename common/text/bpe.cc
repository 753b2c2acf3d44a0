#include "common/text/bpe.h"

#include <algorithm>
#include <functional>
#include <limits>

#include "common/base/log.h"

namespace reckon {
namespace {

constexpr uint32_t kJoined = std::numeric_limits<uint32_t>::max();  // a symbol that is no more

}  // namespace

void BpeMerges::Add(uint32_t left, uint32_t right, uint32_t rank, uint32_t result) {
  merges_[uint64_t{left} << 32 | right] = {rank, result};
}

const BpeMerges::Merge* BpeMerges::Find(uint32_t left, uint32_t right) const {
  auto merge = merges_.find(uint64_t{left} << 32 | right);
  return merge == merges_.end() ? nullptr : &merge->second;
}

void BpeMerges::Apply(const std::vector<uint32_t>& word, Scratch* scratch,
                      std::vector<uint32_t>* out) const {
  const size_t size = word.size();
  CHECK_LE(size, static_cast<size_t>(std::numeric_limits<int32_t>::max()));
  // A linked list of symbols, and a queue of (rank, place of the left one): as one number each, so
  // that order is by rank and then from the left.
  auto& symbols = scratch->symbols;
  auto& queue = scratch->queue;
  symbols.resize(size);
  queue.clear();
  for (size_t i = 0; i < size; ++i) {
    symbols[i] = {word[i], static_cast<int32_t>(i) - 1,
                  i + 1 < size ? static_cast<int32_t>(i) + 1 : -1};
    if (i + 1 == size) break;
    if (const Merge* merge = Find(word[i], word[i + 1])) {
      queue.push_back(uint64_t{merge->rank} << 32 | i);
    }
  }
  std::make_heap(queue.begin(), queue.end(), std::greater<>());
  auto offer = [&](int32_t left, int32_t right) {
    if (left < 0 || right < 0) return;
    if (const Merge* merge = Find(symbols[left].id, symbols[right].id)) {
      queue.push_back(uint64_t{merge->rank} << 32 | static_cast<uint32_t>(left));
      std::push_heap(queue.begin(), queue.end(), std::greater<>());
    }
  };
  while (!queue.empty()) {
    std::pop_heap(queue.begin(), queue.end(), std::greater<>());
    const uint64_t entry = queue.back();
    queue.pop_back();
    const int32_t at = static_cast<int32_t>(entry & 0xffffffff);
    auto& left = symbols[at];
    if (left.id == kJoined || left.next < 0) continue;
    auto& right = symbols[left.next];
    // The pair here may have changed since it was queued; a rank belongs to one pair only.
    const Merge* merge = Find(left.id, right.id);
    if (merge == nullptr || merge->rank != entry >> 32) continue;
    left.id = merge->result;
    left.next = right.next;
    right.id = kJoined;
    if (left.next >= 0) symbols[left.next].previous = at;
    offer(left.previous, at);
    offer(at, left.next);
  }
  for (int32_t at = size > 0 ? 0 : -1; at >= 0; at = symbols[at].next) {
    out->push_back(symbols[at].id);
  }
}

}  // namespace reckon
