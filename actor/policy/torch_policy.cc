#include "actor/policy/torch_policy.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/index_select.h>
#include <c10/core/InferenceMode.h>

#include <exception>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/model/kv_cache.h"
#include "common/model/ops/attention.h"
#include "common/model/sampler.h"
#include "common/model/transformer.h"
// Last.
#include "common/base/log.h"

namespace reckon {
namespace {

// The one border where LibTorch's exceptions become a status.
template <typename Function>
auto NoThrow(const char* what, Function function) -> decltype(function()) {
  try {
    return function();
  } catch (const std::exception& error) {
    return absl::InternalError(absl::StrCat(what, ": ", error.what()));
  }
}

class TorchPolicy : public Policy {
 public:
  TorchPolicy(std::unique_ptr<Transformer> model, std::shared_ptr<KvCache> cache)
      : model_(std::move(model)), cache_(std::move(cache)) {}

  int64_t vocab_size() const override { return model_->config().vocab_size; }
  int64_t max_positions() const override { return model_->config().max_positions; }
  int64_t total_pages() const override { return cache_->total_pages(); }
  int64_t free_pages() const override { return cache_->free_pages(); }
  int64_t PagesFor(int64_t prefix, int64_t tokens) const override {
    return cache_->PagesFor(tokens) - prefix / kPageTokens;
  }

  absl::StatusOr<Sequence> Add(int64_t max_tokens) override {
    return NoThrow("KV cache", [&] { return cache_->Add(max_tokens); });
  }
  absl::StatusOr<Sequence> Fork(Sequence parent, int64_t prefix, int64_t max_tokens) override {
    return NoThrow("KV cache", [&] { return cache_->Fork(parent, prefix, max_tokens); });
  }
  void Remove(Sequence sequence) override { cache_->Remove(sequence); }

  absl::StatusOr<std::vector<Drawn>> Step(absl::Span<const Row> rows) override {
    return NoThrow("forward pass", [&]() -> absl::StatusOr<std::vector<Drawn>> {
      c10::InferenceMode inference;
      return Run(rows);
    });
  }

 private:
  std::vector<Drawn> Run(absl::Span<const Row> rows) {
    const int64_t n = rows.size();
    at::Tensor tokens = at::empty({n}, at::kInt), positions = at::empty({n}, at::kInt);  // [rows]
    int32_t* token = tokens.data_ptr<int32_t>();
    int32_t* position = positions.data_ptr<int32_t>();
    std::vector<KvCache::SequenceId> sequences(n);
    std::vector<SampleRow> draws;
    std::vector<int64_t> drawing;
    for (int64_t i = 0; i < n; ++i) {
      const Row& row = rows[i];
      sequences[i] = row.sequence;
      token[i] = static_cast<int32_t>(row.token);
      const bool follows = i > 0 && rows[i - 1].sequence == row.sequence;
      position[i] =
          follows ? position[i - 1] + 1 : static_cast<int32_t>(cache_->length(row.sequence));
      if (!row.draws) continue;
      drawing.push_back(i);
      draws.push_back({row.draw.temperature, row.draw.top_k, row.draw.top_p, row.draw.uniform,
                       row.draw.forced});
    }
    std::unique_ptr<AttentionSource> attention = cache_->Step(std::move(sequences));
    at::Tensor hidden = model_->Forward(tokens, positions, *attention);  // [rows, hidden]
    if (draws.empty()) return {};
    if (drawing.size() < rows.size()) {
      at::Tensor index = at::empty({static_cast<int64_t>(drawing.size())}, at::kLong);
      std::copy(drawing.begin(), drawing.end(), index.data_ptr<int64_t>());
      hidden = at::index_select(hidden, 0, index.to(hidden.device()));  // [draws, hidden]
    }
    std::vector<Drawn> drawn;
    drawn.reserve(draws.size());
    for (const Sampled& s : Sample(*model_, hidden, draws)) drawn.push_back({s.token, s.logprob});
    return drawn;
  }

  const std::unique_ptr<Transformer> model_;
  const std::shared_ptr<KvCache> cache_;
};

}  // namespace

struct TorchPolicyMaker::Shared {
  std::string config_json;
  std::shared_ptr<KvCache> cache;
};

TorchPolicyMaker::TorchPolicyMaker(TorchPolicyOptions options)
    : options_(options), shared_(std::make_unique<Shared>()) {}
TorchPolicyMaker::~TorchPolicyMaker() = default;

absl::StatusOr<std::unique_ptr<Policy>> TorchPolicyMaker::Make(const Weights& weights) {
  return NoThrow("loading weights", [&]() -> absl::StatusOr<std::unique_ptr<Policy>> {
    const std::string& json = weights.manifest.config_json();
    ASSIGN_OR_RETURN(ModelConfig config, ModelConfig::Parse(json));
    const Compute compute = options_.fp32 ? Compute::kFp32 : Compute::kBf16;
    ASSIGN_OR_RETURN(std::unique_ptr<Transformer> model,
                     Transformer::Create(config, compute, options_.backend));
    RETURN_IF_ERROR(model->Load(weights.manifest, weights.bytes->bytes(), /*trainable=*/false));
    if (shared_->cache == nullptr || shared_->config_json != json) {
      shared_->cache = nullptr;  // give the memory back before taking the new
      shared_->cache = KvCache::Create(config, compute, options_.kv_cache_bytes, options_.backend);
      shared_->config_json = json;
    }
    return std::make_unique<TorchPolicy>(std::move(model), shared_->cache);
  });
}

}  // namespace reckon
