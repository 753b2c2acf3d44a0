#ifndef RECKON_COMMON_MODEL_KV_CACHE_H_
#define RECKON_COMMON_MODEL_KV_CACHE_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "common/model/transformer.h"

namespace reckon {

// Keys and values of many sequences in pages of kPageTokens positions (ops/attention.h). Pages that
// lie wholly in a shared prompt are shared by reference count (Fork); the page where sequences part
// is copied. Pages are reserved when a sequence is made, so a running batch never runs out. One
// thread.
class KvCache {
 public:
  using SequenceId = int32_t;

  static std::unique_ptr<KvCache> Create(const ModelConfig& config, Compute compute,
                                         int64_t max_bytes, Backend backend = Backend::kOwn);
  virtual ~KvCache() = default;

  virtual int64_t total_pages() const = 0;
  virtual int64_t free_pages() const = 0;
  // Pages a Fork needs of its own: from the last, partly filled prompt page on.
  virtual int64_t PagesFor(int64_t tokens) const = 0;

  // A new, empty sequence with room for `max_tokens`. RESOURCE_EXHAUSTED: not enough pages.
  virtual absl::StatusOr<SequenceId> Add(int64_t max_tokens) = 0;
  // A sequence that shares the first `prefix_tokens` of `parent` and has room for max_tokens in
  // all.
  virtual absl::StatusOr<SequenceId> Fork(SequenceId parent, int64_t prefix_tokens,
                                          int64_t max_tokens) = 0;
  virtual void Remove(SequenceId sequence) = 0;
  virtual int64_t length(SequenceId sequence) const = 0;

  // Attention for one forward pass over rows of these sequences: row i appends to rows_sequence[i]
  // (rows of one sequence are adjacent and in position order) and attends to all before it and
  // itself. Lengths grow when the last layer has been attended. The cache must outlive it.
  virtual std::unique_ptr<AttentionSource> Step(std::vector<SequenceId> rows_sequence) = 0;
};

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_KV_CACHE_H_
