#include "actor/runner/torch_model_runner.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/index_select.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/model/files/manifest.h"
#include "common/model/kernels/cpu/attention.h"
#include "common/model/kv_cache.h"
#include "common/model/model_shape.h"
#include "common/model/sampler.h"
#include "common/model/torch_status.h"
#include "common/model/transformer.h"

namespace reckon {
namespace {

class TorchModelRunner : public ModelRunner {
 public:
  // `base`: what the model's adapters are over, so that the next ones find it; or null.
  TorchModelRunner(std::shared_ptr<Transformer> model, std::shared_ptr<const Transformer> base,
                   std::shared_ptr<KvCache> cache)
      : model_(std::move(model)), base_(std::move(base)), cache_(std::move(cache)) {}

  int64_t vocab_size() const override { return model_->config().num_tokens(); }
  int64_t max_positions() const override { return model_->config().max_positions; }
  int64_t total_pages() const override { return cache_->total_pages(); }
  int64_t free_pages() const override { return cache_->free_pages(); }
  int64_t PagesFor(int64_t prefix, int64_t tokens) const override {
    // Only whole pages of the prefix are shared. The page in which the prefix ends is copied, so it
    // counts as the sample's own.
    return cache_->PagesFor(tokens) - prefix / kPageTokens;
  }

  absl::StatusOr<Sequence> Add(int64_t max_tokens) override {
    return CatchTorchErrors("KV cache", [&] { return cache_->Add(max_tokens); });
  }
  absl::StatusOr<Sequence> Fork(Sequence parent, int64_t prefix, int64_t max_tokens) override {
    return CatchTorchErrors("KV cache", [&] { return cache_->Fork(parent, prefix, max_tokens); });
  }
  void Remove(Sequence sequence) override { cache_->Remove(sequence); }

  absl::StatusOr<std::vector<DrawnToken>> RunPass(absl::Span<const Row> rows) override {
    return CatchTorchErrors("forward pass", [&]() -> absl::StatusOr<std::vector<DrawnToken>> {
      // No tensor of this pass records a graph or a version counter.
      c10::InferenceMode inference;
      return Run(rows);
    });
  }

 private:
  absl::StatusOr<std::vector<DrawnToken>> Run(absl::Span<const Row> rows) {
    const int64_t n = rows.size();
    at::Tensor tokens = at::empty({n}, at::kInt), positions = at::empty({n}, at::kInt);  // [rows]
    int32_t* token = tokens.data_ptr<int32_t>();
    int32_t* position = positions.data_ptr<int32_t>();
    std::vector<KvCache::SequenceId> sequences(n);
    std::vector<TokenDraw> draws;
    std::vector<int64_t> drawing;
    for (int64_t i = 0; i < n; ++i) {
      const Row& row = rows[i];
      sequences[i] = row.sequence;
      token[i] = static_cast<int32_t>(row.token);
      const bool follows = i > 0 && rows[i - 1].sequence == row.sequence;
      // Positions continue within the pass; the cache counts a sequence's tokens when the last
      // layer has written them.
      position[i] =
          follows ? position[i - 1] + 1 : static_cast<int32_t>(cache_->length(row.sequence));
      if (!row.draws) continue;
      drawing.push_back(i);
      draws.push_back(row.draw);
    }
    std::unique_ptr<AttentionSource> attention = cache_->BeginPass(std::move(sequences));
    at::Tensor hidden = model_->Forward(tokens, positions, *attention);  // [rows, hidden]
    if (draws.empty()) return std::vector<DrawnToken>();
    // The head is the largest matrix and most rows of a prefill draw nothing, so only the rows that
    // draw go through it. On their own, the bits of these rows are the same.
    if (drawing.size() < rows.size()) {
      at::Tensor index = at::empty({static_cast<int64_t>(drawing.size())}, at::kLong);
      std::copy(drawing.begin(), drawing.end(), index.data_ptr<int64_t>());
      hidden = at::index_select(hidden, 0, index.to(hidden.device()));  // [draws, hidden]
    }
    return Sample(*model_, hidden, draws);
  }

  const std::shared_ptr<Transformer> model_;
  const std::shared_ptr<const Transformer> base_;
  const std::shared_ptr<KvCache> cache_;
};

}  // namespace

struct TorchModelRunnerMaker::SharedCache {
  std::string config_json;
  std::shared_ptr<KvCache> cache;
  // Of the last version: most have the same texts, and the tokenizer takes long to load.
  std::string texts;
  ModelConfig shape;
  // The models of whole weights that some runner still uses, by Digests: adapters may be over them.
  std::map<std::string, std::weak_ptr<Transformer>> whole;

  absl::StatusOr<ModelConfig> ShapeOf(const WeightManifest& manifest) {
    std::string now =
        absl::StrCat(manifest.config_json(), manifest.tokenizer_json(), manifest.tokenizer_model());
    if (texts != now) {
      texts.clear();
      ASSIGN_OR_RETURN(shape, ModelShape(manifest));
      texts = std::move(now);
    }
    return shape;
  }

  // Of whole weights.
  absl::StatusOr<std::shared_ptr<Transformer>> Load(const Weights& weights,
                                                    std::shared_ptr<Transformer> model) {
    RETURN_IF_ERROR(model->Load(weights.manifest, weights.bytes->bytes(), /*trainable=*/false));
    std::erase_if(whole, [](const auto& entry) { return entry.second.expired(); });
    whole[Digests(weights.manifest)] = model;
    return model;
  }
  // The model under adapters, which is loaded unless a runner has it.
  absl::StatusOr<std::shared_ptr<Transformer>> Base(const Weights& weights,
                                                    std::shared_ptr<Transformer> model) {
    const auto known = whole.find(Digests(weights.manifest));
    std::shared_ptr<Transformer> loaded = known == whole.end() ? nullptr : known->second.lock();
    return loaded != nullptr ? loaded : Load(weights, std::move(model));
  }
};

TorchModelRunnerMaker::TorchModelRunnerMaker(TorchModelRunnerOptions options)
    : options_(options), shared_(std::make_unique<SharedCache>()) {}
TorchModelRunnerMaker::~TorchModelRunnerMaker() = default;

absl::StatusOr<std::unique_ptr<ModelRunner>> TorchModelRunnerMaker::Make(const Weights& weights) {
  return CatchTorchErrors("loading weights", [&]() -> absl::StatusOr<std::unique_ptr<ModelRunner>> {
    const std::string& json = weights.texts().config_json();
    ASSIGN_OR_RETURN(const ModelConfig config, shared_->ShapeOf(weights.texts()));
    const Dtype compute = options_.fp32 ? Dtype::kFp32 : Dtype::kBf16;
    // Before the cache is replaced: weights that do not load leave the old version usable.
    const auto make = [&] {
      return std::make_shared<Transformer>(config, compute, options_.backend);
    };
    std::shared_ptr<Transformer> model, base;
    if (weights.base == nullptr) {
      ASSIGN_OR_RETURN(model, shared_->Load(weights, make()));
    } else {
      ASSIGN_OR_RETURN(base, shared_->Base(*weights.base, make()));
      model = make();
      RETURN_IF_ERROR(model->LoadAdapters(*base, weights.manifest, weights.bytes->bytes()));
    }
    if (shared_->cache == nullptr || shared_->config_json != json) {
      shared_->cache = nullptr;  // release the old one first: both may not fit
      const int64_t bytes = options_.kv_cache_bytes > 0
                                ? options_.kv_cache_bytes
                                : KvCache::DefaultBytes(config, compute, options_.backend);
      shared_->cache = std::make_shared<KvCache>(config, compute, bytes, options_.backend);
      // Only after the allocation succeeded. After an exception the cache is null, and the next
      // Make tries again.
      shared_->config_json = json;
    }
    return std::make_unique<TorchModelRunner>(std::move(model), std::move(base), shared_->cache);
  });
}

}  // namespace reckon
