#include "common/model/transformer.h"

#include <c10/core/GradMode.h>

#include "common/base/log.h"
#include "common/model/decoder.h"
#include "common/model/ops/ops_table.h"

namespace reckon {
namespace {

class Llama : public Transformer {
 public:
  Llama(const ModelConfig& config, Compute compute, Backend backend)
      : compute_(compute), ops_(OpsOf(backend)), weights_(config, ElementOf(compute), backend) {}

  std::vector<TensorEntry> ExpectedTensors() const override {
    return DecoderWeights::Expected(config());
  }
  absl::Status Load(const WeightManifest& manifest, absl::Span<const char> bytes,
                    bool trainable) override {
    return weights_.Load(manifest, bytes, trainable);
  }
  void AddAdapters(int64_t rank, double alpha, uint64_t seed) override {
    weights_.AddAdapters(rank, alpha, seed);
  }
  void SwitchAdapters(bool on) override { weights_.SwitchAdapters(on); }
  bool adapted() const override { return weights_.adapted(); }
  NamedTensors Parameters() override { return weights_.Parameters(); }
  NamedTensors MergedWeights() override { return weights_.Merged(); }
  void Repack() override { weights_.Pack(); }

  at::Tensor Forward(const at::Tensor& tokens, const at::Tensor& positions,
                     AttentionSource& attention, Tap* tap) override {
    at::Tensor x = ops_.embed(tokens.to(DeviceOf(backend())), weights_.embedding());
    // The embedding is frozen under adapters, but those of the first layer are to have a gradient.
    if (weights_.adapted() && c10::GradMode::is_enabled()) x.set_requires_grad(true);
    return RunLayers(weights_, x, positions, attention, tap);
  }

  at::Tensor Logits(const at::Tensor& hidden) override {
    return ops_.head_logits(hidden, weights_.head());
  }

  at::Tensor LogProb(const at::Tensor& hidden, const at::Tensor& targets,
                     double temperature) override {
    return ops_.head_log_prob(hidden, weights_.head(), targets.to(hidden.device(), at::kInt),
                              temperature);
  }

  const ModelConfig& config() const override { return weights_.config(); }
  Compute compute() const override { return compute_; }
  Backend backend() const override { return weights_.backend(); }

 private:
  const Compute compute_;
  const Ops& ops_;
  DecoderWeights weights_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Transformer>> Transformer::Create(const ModelConfig& config,
                                                                 Compute compute, Backend backend) {
  return std::make_unique<Llama>(config, compute, backend);
}

}  // namespace reckon
