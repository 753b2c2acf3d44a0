#include "common/model/kv_cache.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/model/device_memory.h"
// Last.
#include "common/base/log.h"

namespace reckon {
namespace {

// For what CUDA's libraries load when it is first needed, and blocks that LibTorch divides.
constexpr int64_t kReserve = int64_t{1} << 30;

// What a pass of so many rows computes: its logits and, several times over, its widest activations.
int64_t PassBytes(const ModelConfig& config, int64_t rows) {
  const int64_t attention = (config.num_heads + 2 * config.num_kv_heads) * config.head_dim;
  const int64_t widest = std::max({attention, 2 * config.intermediate_size, config.hidden_size});
  return rows * 4 * (config.num_tokens() + 4 * widest);
}

}  // namespace

class KvCache::Pass : public AttentionSource {
 public:
  Pass(KvCache* cache, std::vector<SequenceId> row_sequences)
      : cache_(*cache), row_sequences_(std::move(row_sequences)) {
    int64_t position = 0;
    for (size_t row = 0; row < row_sequences_.size(); ++row) {
      const Sequence& sequence = cache_.At(row_sequences_[row]);
      const bool continues = row > 0 && row_sequences_[row] == row_sequences_[row - 1];
      position = continues ? position + 1 : sequence.length;
      CHECK_LT(position / kPageTokens, static_cast<int64_t>(sequence.pages.size()))
          << "more tokens than were reserved";
      rows_.push_back({&sequence.pages, position});
    }
  }

  at::Tensor Attend(int64_t layer, const at::Tensor& qkv) override {
    at::Tensor out = cache_.pages_->Attend(layer, rows_, qkv);
    // Not earlier: all layers write at the positions that the constructor computed from these
    // lengths.
    if (layer + 1 == cache_.layers_) {
      for (SequenceId id : row_sequences_) ++cache_.At(id).length;
    }
    return out;
  }

 private:
  KvCache& cache_;
  const std::vector<SequenceId> row_sequences_;
  std::vector<KvRow> rows_;
};

KvCache::KvCache(const ModelConfig& config, Dtype dtype, int64_t max_bytes, Backend backend)
    : layers_(config.num_layers),
      references_(std::max<int64_t>(max_bytes / KvPages::BytesPerPage(config, dtype, layers_), 0)),
      pages_(KvPages::Make(config, dtype, layers_, total_pages(), backend)) {
  for (int64_t p = total_pages(); p-- > 0;) free_.push_back(p);
}

int64_t KvCache::DefaultBytes(const ModelConfig& config, Dtype dtype, Backend backend,
                              int64_t rows) {
  if (backend != Backend::kTorchCuda) return int64_t{1} << 30;
  // What LibTorch holds and does not use counts as free.
  ReturnFreedMemory(backend);
  int64_t next_version = 0;
  for (const TensorEntry& tensor : config.Tensors()) {
    int64_t elements = 1;
    for (int64_t size : tensor.shape()) elements *= size;
    next_version += elements * BytesOf(dtype);
  }
  const int64_t free = FreeDeviceBytes(backend);
  return std::max<int64_t>(
      free - next_version - PassBytes(config, rows) - std::max(free / 20, kReserve), 0);
}

int64_t KvCache::PagesFor(int64_t tokens) { return (tokens + kPageTokens - 1) / kPageTokens; }

absl::StatusOr<KvCache::SequenceId> KvCache::Add(int64_t max_tokens) {
  Sequence sequence;
  RETURN_IF_ERROR(Reserve(PagesFor(max_tokens), &sequence.pages));
  return Insert(std::move(sequence));
}

absl::StatusOr<KvCache::SequenceId> KvCache::Fork(SequenceId parent, int64_t prefix_tokens,
                                                  int64_t max_tokens) {
  const Sequence& from = At(parent);
  CHECK_LE(prefix_tokens, from.length);
  CHECK_LE(prefix_tokens, max_tokens);
  const int64_t shared = prefix_tokens / kPageTokens;
  Sequence sequence;
  sequence.length = prefix_tokens;
  sequence.pages.assign(from.pages.begin(), from.pages.begin() + shared);
  // Before the shared pages are counted, so that a failure changes nothing.
  RETURN_IF_ERROR(Reserve(PagesFor(max_tokens) - shared, &sequence.pages));
  for (int64_t p = 0; p < shared; ++p) ++references_[sequence.pages[p]];
  // The page in which the prefix ends will be written by both sequences, each from its own next
  // position on, so each has its own.
  if (prefix_tokens % kPageTokens != 0) pages_->Copy(from.pages[shared], sequence.pages[shared]);
  return Insert(std::move(sequence));
}

void KvCache::Remove(SequenceId id) {
  for (int64_t page : At(id).pages) {
    if (--references_[page] == 0) free_.push_back(page);
  }
  sequences_.erase(id);
}

void KvCache::Append(SequenceId id) {
  Sequence& sequence = At(id);
  CHECK_LT(sequence.length / kPageTokens, static_cast<int64_t>(sequence.pages.size()))
      << "more tokens than were reserved";
  ++sequence.length;
}

std::unique_ptr<AttentionSource> KvCache::BeginPass(std::vector<SequenceId> row_sequences) {
  return std::make_unique<Pass>(this, std::move(row_sequences));
}

KvCache::Sequence& KvCache::At(SequenceId id) {
  auto it = sequences_.find(id);
  CHECK(it != sequences_.end()) << "no sequence " << id;
  return it->second;
}

KvCache::SequenceId KvCache::Insert(Sequence sequence) {
  const SequenceId id = next_++;
  sequences_[id] = std::move(sequence);
  return id;
}

absl::Status KvCache::Reserve(int64_t count, std::vector<int64_t>* pages) {
  // All or nothing: a sequence with a part of its pages could neither run nor be useful to others.
  if (count > free_pages()) {
    return absl::ResourceExhaustedError(absl::StrCat("KV cache: ", count, " pages are needed, ",
                                                     free_pages(), " of ", total_pages(),
                                                     " are free; raise actor.kv_cache_mib"));
  }
  for (int64_t i = 0; i < count; ++i) {
    references_[free_.back()] = 1;
    pages->push_back(free_.back());
    free_.pop_back();
  }
  return absl::OkStatus();
}

}  // namespace reckon
