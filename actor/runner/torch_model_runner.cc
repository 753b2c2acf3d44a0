#include "actor/runner/torch_model_runner.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/index_select.h>
#include <c10/core/InferenceMode.h>
#include <c10/core/StreamGuard.h>

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/model/device_memory.h"
#include "common/model/files/manifest.h"
#include "common/model/kernels/cpu/attention.h"
#include "common/model/kernels/torch/row_tiles.h"
#include "common/model/kernels/torch/torch_ops.h"
#include "common/model/kv_cache.h"
#include "common/model/model_shape.h"
#include "common/model/sampler.h"
#include "common/model/shared_bytes.h"
#include "common/model/torch_status.h"
#include "common/model/transformer.h"
#include "proto/weights.pb.h"
#ifdef RECKON_CUDA
#include "common/model/kernels/cuda/cuda_step_device.h"
#endif
#if defined(RECKON_CUDA) || defined(RECKON_CUDA_ON_CPU)
#include "common/model/decode/decode_runner.h"
#include "common/model/decode/fused_layers.h"
#include "common/model/decode/fused_pass.h"
#define RECKON_DECODES_AHEAD
#endif
// Last.
#include "common/base/log.h"

namespace reckon {
namespace {

constexpr int64_t kCpuBatch = 64;

// Makes the stream of `steps` the current one, if there are steps.
class OnStream {
 public:
  explicit OnStream(StepDevice* steps) {
    if (steps != nullptr) guard_.emplace(steps->stream());
  }

 private:
  std::optional<c10::StreamGuard> guard_;
};

// Whether a row's result can be independent of the others, if that is asked for.
absl::Status CheckRows(const ModelConfig& config, Dtype compute, Backend backend) {
  bool fused = false;
#ifdef RECKON_DECODES_AHEAD
  fused = HasFusedLayers(config);
#endif
  if (!fused && RowTile() > 0 && backend != Backend::kCpuKernels) {
    return absl::InvalidArgumentError(
        absl::StrCat("model.row_invariant: heads of ", config.head_dim,
                     " elements have no attention kernel that is (docs/cuda.md); set it to false"));
  }
  return CheckRowInvariance(config, compute, backend);
}

class TorchModelRunner : public ModelRunner {
 public:
  // `base`: what the model's adapters are over, so that the next ones find it; or null. `steps`: on
  // whose stream the tensors are; or null.
  TorchModelRunner(std::shared_ptr<Transformer> model, std::shared_ptr<const Transformer> base,
                   std::shared_ptr<KvCache> cache, int64_t max_batch,
                   std::shared_ptr<StepDevice> steps)
      : model_(std::move(model)),
        base_(std::move(base)),
        cache_(std::move(cache)),
        max_batch_(max_batch),
        steps_(std::move(steps)) {}

  int64_t vocab_size() const override { return model_->config().num_tokens(); }
  int64_t max_positions() const override { return model_->config().max_positions; }
  int64_t total_pages() const override { return cache_->total_pages(); }
  int64_t free_pages() const override { return cache_->free_pages(); }
  int64_t default_batch() const override { return max_batch_; }
  int64_t PagesFor(int64_t prefix, int64_t tokens) const override {
    // Only whole pages of the prefix are shared. The page in which the prefix ends is copied, so it
    // counts as the sample's own.
    return cache_->PagesFor(tokens) - prefix / kPageTokens;
  }

  absl::StatusOr<Sequence> Add(int64_t max_tokens) override {
    return CatchTorchErrors("KV cache", [&] { return cache_->Add(max_tokens); });
  }
  absl::StatusOr<Sequence> Fork(Sequence parent, int64_t prefix, int64_t max_tokens) override {
    return CatchTorchErrors("KV cache", [&] {
      const OnStream on(steps_.get());
      return cache_->Fork(parent, prefix, max_tokens);
    });
  }
  void Remove(Sequence sequence) override { cache_->Remove(sequence); }

  absl::StatusOr<std::vector<DrawnToken>> RunPass(absl::Span<const Row> rows) override {
    return CatchTorchErrors("forward pass", [&]() -> absl::StatusOr<std::vector<DrawnToken>> {
      // No tensor of this pass records a graph or a version counter.
      c10::InferenceMode inference;
      const OnStream on(steps_.get());
      return Run(rows);
    });
  }

  int64_t decodes_ahead() const override { return 0; }
  absl::Status StartDecode(absl::Span<const Row> rows) override {
    finished_ = RunPass(rows);
    return absl::OkStatus();
  }
  absl::StatusOr<std::vector<DrawnToken>> FinishDecode() override { return std::move(finished_); }

 private:
  absl::StatusOr<std::vector<DrawnToken>> Run(absl::Span<const Row> rows) {
    std::vector<int32_t> tokens;
    std::vector<KvCache::SequenceId> sequences;
    std::vector<TokenDraw> draws;
    std::vector<int64_t> drawing;
    for (const Row& row : rows) {
      if (row.draws) {
        drawing.push_back(static_cast<int64_t>(tokens.size()));
        draws.push_back(row.draw);
      }
      tokens.push_back(static_cast<int32_t>(row.token));
      sequences.push_back(row.sequence);
    }
    at::Tensor hidden = Forward(tokens, std::move(sequences));
    if (draws.empty()) return std::vector<DrawnToken>();
    // The head is the largest matrix and most rows of a prefill draw nothing, so only the rows that
    // draw go through it. On their own, the bits of these rows are the same.
    if (drawing.size() < rows.size()) {
      at::Tensor index = at::empty({static_cast<int64_t>(drawing.size())}, at::kLong);
      std::copy(drawing.begin(), drawing.end(), index.data_ptr<int64_t>());
      hidden =
          at::index_select(hidden, 0, SendToDevice(index, hidden.device()));  // [draws, hidden]
    }
    return Sample(*model_, hidden, draws);
  }

  // hidden [rows, hidden] of the tokens, one a row, which are appended to their sequences.
  at::Tensor Forward(const std::vector<int32_t>& tokens,
                     std::vector<KvCache::SequenceId> sequences) {
#ifdef RECKON_DECODES_AHEAD
    if (steps_ != nullptr && HasFusedLayers(model_->config())) {
      return RunFusedPass(*model_, cache_.get(), steps_.get(), tokens, sequences);
    }
#endif
    const int64_t n = static_cast<int64_t>(tokens.size());
    const c10::Device device = DeviceOf(model_->backend());
    at::Tensor ids = at::empty({n}, at::kInt), positions = at::empty({n}, at::kInt);  // [rows]
    std::copy(tokens.begin(), tokens.end(), ids.data_ptr<int32_t>());
    int32_t* position = positions.data_ptr<int32_t>();
    for (int64_t i = 0; i < n; ++i) {
      // Positions continue within the pass; the cache counts a sequence's tokens when the last
      // layer has written them.
      position[i] = i > 0 && sequences[i - 1] == sequences[i]
                        ? position[i - 1] + 1
                        : static_cast<int32_t>(cache_->length(sequences[i]));
    }
    std::unique_ptr<AttentionSource> attention = cache_->BeginPass(std::move(sequences));
    return model_->Forward(SendToDevice(ids, device), SendToDevice(positions, device), *attention);
  }

  const std::shared_ptr<Transformer> model_;
  const std::shared_ptr<const Transformer> base_;
  const std::shared_ptr<KvCache> cache_;
  const int64_t max_batch_;
  const std::shared_ptr<StepDevice> steps_;
  // Of the decode pass that was started.
  absl::StatusOr<std::vector<DrawnToken>> finished_ = std::vector<DrawnToken>();
};

#ifdef RECKON_DECODES_AHEAD
// Whose decode passes run ahead, by DecodeRunner.
class AheadModelRunner : public TorchModelRunner {
 public:
  AheadModelRunner(std::shared_ptr<Transformer> model, std::shared_ptr<const Transformer> base,
                   std::shared_ptr<KvCache> cache, std::shared_ptr<DecodeBatch> batch,
                   const std::shared_ptr<StepDevice>& steps)
      : TorchModelRunner(model, std::move(base), cache, batch->capacity(), steps),
        batch_(batch),
        steps_(steps),
        decoder_(std::move(model), std::move(cache), std::move(batch), steps) {}

  void Remove(Sequence sequence) override {
    batch_->Remove(sequence);
    TorchModelRunner::Remove(sequence);
  }

  int64_t decodes_ahead() const override { return DecodeRunner::kAhead; }
  absl::Status StartDecode(absl::Span<const Row> rows) override {
    std::vector<DecodeRow> out;
    out.reserve(rows.size());
    for (const Row& row : rows) {
      const bool drawn = row.token == kDrawn;
      out.push_back({.sequence = row.sequence,
                     .token = drawn ? DecodeRow::kDrawn : static_cast<int32_t>(row.token),
                     .draw = row.draw,
                     .stream = row.stream,
                     .place = row.place});
    }
    return CatchTorchErrors("decode step", [&] {
      c10::InferenceMode inference;
      const OnStream on(steps_.get());
      decoder_.Start(out);
      return absl::OkStatus();
    });
  }
  absl::StatusOr<std::vector<DrawnToken>> FinishDecode() override {
    return CatchTorchErrors("decode step", [&] {
      const OnStream on(steps_.get());
      return decoder_.Finish();
    });
  }

 private:
  const std::shared_ptr<DecodeBatch> batch_;
  const std::shared_ptr<StepDevice> steps_;
  DecodeRunner decoder_;
};
#endif

}  // namespace

struct TorchModelRunnerMaker::SharedCache {
  std::shared_ptr<KvCache> cache;
  std::optional<ModelConfig> cached;  // the shape that it has, or will have
  int64_t max_batch = 0;              // with that cache
  std::shared_ptr<StepDevice> steps;
#ifdef RECKON_DECODES_AHEAD
  std::shared_ptr<DecodeBatch> batch;  // of the cache; null: passes do not run ahead
#endif
  // Of the last version: most have the same texts, and the tokenizer takes long to load.
  std::string shape_config, tokenizer_json, tokenizer_model;
  std::optional<ModelConfig> shape;  // of these texts
  // The models of whole weights that some runner still uses, by Digests: adapters may be over them.
  std::map<std::string, std::weak_ptr<Transformer>> whole;

  // Its memory is free then: the runners, which own it too, are gone.
  void DropCache() {
#ifdef RECKON_DECODES_AHEAD
    batch = nullptr;
#endif
    CHECK(cache == nullptr || cache.use_count() == 1) << "a runner is left";
    cache = nullptr;
  }

  absl::StatusOr<ModelConfig> ShapeOf(const FolderTexts& wanted) {
    // Megabytes, so they are compared in place.
    if (!shape.has_value() || shape_config != wanted.config_json() ||
        tokenizer_json != wanted.tokenizer_json() || tokenizer_model != wanted.tokenizer_model()) {
      shape.reset();
      ASSIGN_OR_RETURN(shape, ModelShape(wanted));
      shape_config = wanted.config_json();
      tokenizer_json = wanted.tokenizer_json();
      tokenizer_model = wanted.tokenizer_model();
    }
    return *shape;
  }

  // What the learner of the device has left there, and its memory.
  DeviceWeights left;
  std::string opened;  // the handle of:
  at::Tensor memory;

  // Whether `model` reads the version where the learner has it.
  bool ReadInPlace(const WeightManifest& manifest, Transformer* model) {
    const bool is_there = !left.handle().empty() && left.version() == manifest.version() &&
                          left.term() == manifest.term() &&
                          (left.dtype() == "F32") == (model->compute() == Dtype::kFp32);
    if (!is_there) return false;
    absl::Status status;
    if (opened != left.handle()) {
      memory = at::Tensor();
      opened.clear();
      const absl::StatusOr<at::Tensor> open = OpenSharedBytes(
          model->backend(), left.handle(), static_cast<int64_t>(left.total_bytes()));
      status = open.status();
      if (open.ok()) {
        memory = *open;
        opened = left.handle();
      }
    }
    if (status.ok()) status = model->Adopt(memory);
    LOG_IF(WARNING, !status.ok()) << "loading the weights instead of sharing them: " << status;
    return status.ok();
  }

  // Of whole weights.
  absl::StatusOr<std::shared_ptr<Transformer>> Load(const Weights& weights,
                                                    std::shared_ptr<Transformer> model) {
    if (weights.packed != nullptr) {
      RETURN_IF_ERROR(model->Adopt(TensorOver(weights.packed)));
    } else if (!ReadInPlace(weights.manifest, model.get())) {
      RETURN_IF_ERROR(model->Load(weights.manifest, weights.bytes->bytes(), /*trainable=*/false));
    }
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
    : options_(std::move(options)), shared_(std::make_unique<SharedCache>()) {
  shared_->steps = options_.steps;
#ifdef RECKON_CUDA
  if (options_.backend == Backend::kTorchCuda && shared_->steps == nullptr) {
    shared_->steps = MakeCudaStepDevice(DeviceOf(options_.backend));
  }
#endif
}
TorchModelRunnerMaker::~TorchModelRunnerMaker() = default;

void TorchModelRunnerMaker::TakeDevice(const std::string& left) {
  // What is no such message is of nobody that this actor can share with.
  if (!shared_->left.ParseFromString(left)) shared_->left.Clear();
}

void TorchModelRunnerMaker::LeaveDevice() {
  shared_->left.Clear();
  shared_->DropCache();
  shared_->whole.clear();
  const absl::Status status = CatchTorchErrors("leaving the device", [&] {
    ReturnFreedMemory(options_.backend);
    return absl::OkStatus();
  });
  // Others have less room then, which they will say.
  LOG_IF(ERROR, !status.ok()) << status;
}

absl::StatusOr<std::unique_ptr<ModelRunner>> TorchModelRunnerMaker::Make(const Weights& weights) {
  return CatchTorchErrors("loading weights", [&]() -> absl::StatusOr<std::unique_ptr<ModelRunner>> {
    const OnStream on(shared_->steps.get());
    ASSIGN_OR_RETURN(const ModelConfig config, shared_->ShapeOf(weights.texts()));
    const Dtype compute = options_.fp32 ? Dtype::kFp32 : Dtype::kBf16;
    if (shared_->cached != config) {
      RETURN_IF_ERROR(CheckRows(config, compute, options_.backend));
      // Before anything of the new shape is made: both may not fit.
      shared_->DropCache();
      shared_->cached = config;
    }
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
    // After the weights, which leave what the cache may have.
    if (shared_->cache == nullptr) {
      const int64_t bytes =
          options_.kv_cache_bytes > 0
              ? options_.kv_cache_bytes
              : KvCache::DefaultBytes(config, compute, options_.backend,
                                      WithWholeTiles(options_.max_batch > 0 ? options_.max_batch
                                                                            : kMostDefaultBatch));
      auto cache = std::make_shared<KvCache>(config, compute, bytes, options_.backend);
      shared_->max_batch =
          options_.max_batch > 0 ? options_.max_batch
          : options_.backend == Backend::kTorchCuda
              ? std::clamp<int64_t>(cache->total_pages() / KvCache::PagesFor(kDefaultSampleTokens),
                                    1, kMostDefaultBatch)
              : kCpuBatch;
#ifdef RECKON_DECODES_AHEAD
      if (shared_->steps != nullptr && !options_.ranks && HasFusedLayers(config)) {
        shared_->batch = std::make_shared<DecodeBatch>(cache.get(), config, shared_->max_batch,
                                                       shared_->steps.get());
      }
#endif
      // Last: after an exception it is null, and the next Make tries again.
      shared_->cache = std::move(cache);
    }
#ifdef RECKON_DECODES_AHEAD
    if (shared_->batch != nullptr) {
      return std::make_unique<AheadModelRunner>(std::move(model), std::move(base), shared_->cache,
                                                shared_->batch, shared_->steps);
    }
#endif
    return std::make_unique<TorchModelRunner>(std::move(model), std::move(base), shared_->cache,
                                              shared_->max_batch, shared_->steps);
  });
}

}  // namespace reckon
