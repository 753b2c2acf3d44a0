#include "common/model/kv_cache.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/log.h"
#include "common/model/kv_pages.h"

namespace reckon {
namespace {

struct Sequence {
  std::vector<int64_t> pages;
  int64_t length = 0;
};

class StepAttention;

class PagedKvCache : public KvCache {
 public:
  PagedKvCache(const ModelConfig& config, Element element, int64_t pages, Backend backend)
      : layers_(config.num_layers),
        pages_(KvPages::Make(config, element, config.num_layers, pages, backend)),
        references_(pages, 0) {
    for (int64_t p = pages; p-- > 0;) free_.push_back(p);
  }

  int64_t total_pages() const override { return static_cast<int64_t>(references_.size()); }
  int64_t free_pages() const override { return static_cast<int64_t>(free_.size()); }
  int64_t PagesFor(int64_t tokens) const override {
    return (tokens + kPageTokens - 1) / kPageTokens;
  }

  absl::StatusOr<SequenceId> Add(int64_t max_tokens) override {
    Sequence sequence;
    absl::Status taken = Take(PagesFor(max_tokens), &sequence.pages);
    if (!taken.ok()) return taken;
    return Insert(std::move(sequence));
  }

  absl::StatusOr<SequenceId> Fork(SequenceId parent, int64_t prefix_tokens,
                                  int64_t max_tokens) override {
    const Sequence& from = At(parent);
    CHECK_LE(prefix_tokens, from.length);
    CHECK_LE(prefix_tokens, max_tokens);
    const int64_t shared = prefix_tokens / kPageTokens;
    Sequence sequence;
    sequence.length = prefix_tokens;
    sequence.pages.assign(from.pages.begin(), from.pages.begin() + shared);
    absl::Status taken = Take(PagesFor(max_tokens) - shared, &sequence.pages);
    if (!taken.ok()) return taken;
    for (int64_t p = 0; p < shared; ++p) ++references_[sequence.pages[p]];
    if (prefix_tokens % kPageTokens != 0) pages_->Copy(from.pages[shared], sequence.pages[shared]);
    return Insert(std::move(sequence));
  }

  void Remove(SequenceId id) override {
    for (int64_t page : At(id).pages) {
      if (--references_[page] == 0) free_.push_back(page);
    }
    sequences_.erase(id);
  }

  int64_t length(SequenceId id) const override { return sequences_.at(id).length; }

  std::unique_ptr<AttentionSource> Step(std::vector<SequenceId> rows) override;

 private:
  friend class StepAttention;

  Sequence& At(SequenceId id) {
    auto it = sequences_.find(id);
    CHECK(it != sequences_.end()) << "no sequence " << id;
    return it->second;
  }

  SequenceId Insert(Sequence sequence) {
    SequenceId id = next_++;
    sequences_[id] = std::move(sequence);
    return id;
  }

  absl::Status Take(int64_t count, std::vector<int64_t>* pages) {
    if (count > free_pages()) {
      return absl::ResourceExhaustedError(absl::StrCat("KV cache: ", count, " pages wanted, ",
                                                       free_pages(), " of ", total_pages(),
                                                       " free; raise actor.kv_cache_mib"));
    }
    for (int64_t i = 0; i < count; ++i) {
      references_[free_.back()] = 1;
      pages->push_back(free_.back());
      free_.pop_back();
    }
    return absl::OkStatus();
  }

  const int64_t layers_;
  const std::unique_ptr<KvPages> pages_;
  std::vector<int32_t> references_;
  std::vector<int64_t> free_;
  // Pointer-stable, since a step holds pointers to page lists.
  std::unordered_map<SequenceId, Sequence> sequences_;
  SequenceId next_ = 0;
};

class StepAttention : public AttentionSource {
 public:
  StepAttention(PagedKvCache* cache, std::vector<KvCache::SequenceId> sequences)
      : cache_(cache), sequences_(std::move(sequences)) {
    int64_t position = 0;
    for (size_t row = 0; row < sequences_.size(); ++row) {
      Sequence& sequence = cache_->At(sequences_[row]);
      bool continues = row > 0 && sequences_[row] == sequences_[row - 1];
      position = continues ? position + 1 : sequence.length;
      CHECK_LT(position / kPageTokens, static_cast<int64_t>(sequence.pages.size()))
          << "more tokens than were reserved";
      rows_.push_back({&sequence.pages, position});
    }
  }

  at::Tensor Attend(int64_t layer, const at::Tensor& qkv) override {
    at::Tensor out = cache_->pages_->Attend(layer, rows_, qkv);
    if (layer + 1 == cache_->layers_) {
      for (KvCache::SequenceId id : sequences_) ++cache_->At(id).length;
    }
    return out;
  }

 private:
  PagedKvCache* const cache_;
  const std::vector<KvCache::SequenceId> sequences_;
  std::vector<KvRow> rows_;
};

std::unique_ptr<AttentionSource> PagedKvCache::Step(std::vector<SequenceId> rows) {
  return std::make_unique<StepAttention>(this, std::move(rows));
}

}  // namespace

std::unique_ptr<KvCache> KvCache::Create(const ModelConfig& config, Compute compute,
                                         int64_t max_bytes, Backend backend) {
  Element element = compute == Compute::kBf16 ? Element::kBf16 : Element::kFp32;
  int64_t pages = max_bytes / KvPages::BytesPerPage(config, element, config.num_layers);
  return std::make_unique<PagedKvCache>(config, element, std::max<int64_t>(pages, 0), backend);
}

}  // namespace reckon
