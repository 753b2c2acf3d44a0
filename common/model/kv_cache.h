#ifndef RECKON_COMMON_MODEL_KV_CACHE_H_
#define RECKON_COMMON_MODEL_KV_CACHE_H_

#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/model/attention.h"
#include "common/model/backend.h"
#include "common/model/config.h"
#include "common/model/kernels/dtype.h"
#include "common/model/kv_pages.h"

namespace reckon {

// The keys and values of many sequences, in pages of kPageTokens positions (Kwon et al. 2023,
// PagedAttention). Pages that are full of a shared prompt are shared by reference count; Fork
// copies the page in which two sequences part. A prompt of 150 tokens and two samples of it, with
// kPageTokens = 64 and room for 200 tokens each:
//
//                page of positions   0..63   64..127   128..191   192..255
//   prompt   Add(150)                 p0       p1         p2
//   sample 0 Fork(prompt, 150, 200)   p0       p1      p3 = copy     p4
//   sample 1 Fork(prompt, 150, 200)   p0       p1      p5 = copy     p6
//   references                         3        3        1 each    1 each
//
// All pages of a sequence are reserved when it is made, so that a pass never lacks one. Always:
//   references[p] = number of sequences that hold page p
//   free_pages + #{p : references[p] > 0} = total_pages
//   length(s) <= max_tokens(s) <= kPageTokens * #pages(s)
//   a page with references > 1 is never written
//
// Owned by the model runners of one shape together (actor/runner/torch_model_runner.h). One
// thread.
class KvCache {
 public:
  using SequenceId = int32_t;

  // As many pages as fit into max_bytes, all allocated now.
  KvCache(const ModelConfig& config, Dtype dtype, int64_t max_bytes,
          Backend backend = Backend::kCpuKernels);
  KvCache(const KvCache&) = delete;
  KvCache& operator=(const KvCache&) = delete;

  // The size of a cache for which the config names none: 1 GiB; on a GPU what is free there, less a
  // second version of the weights, what a pass of `rows` rows computes and a reserve.
  static int64_t DefaultBytes(const ModelConfig& config, Dtype dtype, Backend backend,
                              int64_t rows);

  int64_t total_pages() const { return static_cast<int64_t>(references_.size()); }
  int64_t free_pages() const { return static_cast<int64_t>(free_.size()); }
  // Pages of a sequence of so many tokens: ceil(tokens / kPageTokens). Fork(parent, prefix, n)
  // takes PagesFor(n) - prefix / kPageTokens of them from the free ones.
  static int64_t PagesFor(int64_t tokens);

  // A new, empty sequence. RESOURCE_EXHAUSTED, without effect: fewer than PagesFor(max_tokens)
  // pages are free.
  absl::StatusOr<SequenceId> Add(int64_t max_tokens);
  // A new sequence that starts with the first prefix_tokens of `parent` and has room for max_tokens
  // in total. RESOURCE_EXHAUSTED as in Add.
  absl::StatusOr<SequenceId> Fork(SequenceId parent, int64_t prefix_tokens, int64_t max_tokens);
  // Frees the pages that no other sequence holds.
  void Remove(SequenceId sequence);
  int64_t length(SequenceId sequence) const { return sequences_.at(sequence).length; }

  // For passes whose kernels address the pages themselves (decode/): where they are, and the pages
  // of a sequence.
  const KvPages& memory() const { return *pages_; }
  const std::vector<int64_t>& pages(SequenceId sequence) const {
    return sequences_.at(sequence).pages;
  }
  // Counts a token, which such a pass writes at position length(sequence) before any other pass.
  void Append(SequenceId sequence);

  // The attention of one forward pass: row i appends one token to sequence row_sequences[i] and
  // attends to all its tokens up to and including that one. Rows of one sequence are adjacent and
  // in position order. Lengths increase when the last layer has attended. Neither the cache nor a
  // sequence of the pass may be removed before the pass.
  std::unique_ptr<AttentionSource> BeginPass(std::vector<SequenceId> row_sequences);

 private:
  class Pass;
  struct Sequence {
    std::vector<int64_t> pages;
    int64_t length = 0;  // tokens that are in the pages
  };

  Sequence& At(SequenceId id);
  SequenceId Insert(Sequence sequence);
  absl::Status Reserve(int64_t count, std::vector<int64_t>* pages);

  const int64_t layers_;
  std::vector<int32_t> references_;  // by page
  const std::unique_ptr<KvPages> pages_;
  std::vector<int64_t> free_;  // a stack
  // A map whose values have stable addresses: a pass points to lists of pages.
  std::unordered_map<SequenceId, Sequence> sequences_;
  SequenceId next_ = 0;
};

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_KV_CACHE_H_
