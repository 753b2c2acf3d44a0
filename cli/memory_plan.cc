#include "cli/memory_plan.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace reckon {
namespace {

// Weight, gradient and two moments of what AdamW steps, fp32 each.
constexpr double kTrained = 16;
// Rows whose logits a GPU holds at once, a few copies of them (ops/device_ops.cc).
constexpr double kHeadRows = 256, kHeadCopies = 4;

double Query(const ModelConfig& m) { return static_cast<double>(m.num_heads * m.head_dim); }
double KeyValue(const ModelConfig& m) { return static_cast<double>(m.num_kv_heads * m.head_dim); }
double Hidden(const ModelConfig& m) { return static_cast<double>(m.hidden_size); }
double Inner(const ModelConfig& m) { return static_cast<double>(m.intermediate_size); }

double LayerCount(const ModelConfig& m) {
  const double h = Hidden(m), q = Query(m), kv = KeyValue(m);
  double count = h * (2 * q + 2 * kv) + 3 * h * Inner(m) + 2 * h;
  if (m.qkv_bias) count += q + 2 * kv;
  if (m.qk_norm) count += 2 * static_cast<double>(m.head_dim);
  return count;
}

// What a process holds before its first weight.
MemoryLine Program() { return {"program", 300.0 * (1 << 20), "LibTorch, gRPC and their buffers"}; }

double ComputeBytes(const RunConfig& config) {
  return config.model().compute() == ModelSettings::FP32 ? 4 : 2;
}

// Bytes of the copies that matrix products read, of `elements` weights. The own kernels pack one
// for the backward pass too.
double CopyBytes(double elements, double compute, Placement placement, bool trained) {
  return elements * compute * (trained && placement == Placement::kCpu ? 2 : 1);
}

// Kept of one layer for the backward pass, bytes a token.
double LayerActivations(const ModelConfig& m, double compute, Placement placement) {
  const double h = Hidden(m), q = Query(m), kv = KeyValue(m), inner = Inner(m);
  // The residual stream at both norms; inputs of the four products; queries, keys, values; gate,
  // up.
  double bytes = 2 * 4 * h + compute * (2 * h + q + inner) + compute * (q + 2 * kv) +
                 compute * 2 * inner + 4 * static_cast<double>(m.num_heads);
  // LibTorch's operations keep fp32 between the steps of norms, RoPE and SwiGLU.
  if (placement == Placement::kGpu) bytes += 2 * 4 * h + 4 * (q + kv) + 2 * 4 * inner;
  return bytes;
}

MemoryPlan PlanOf(const RunConfig& config, const Stage& stage, const ModelConfig& m,
                  Placement placement) {
  const double compute = ComputeBytes(config), all = ParameterCount(m);
  const double rank = stage.training().lora_rank();
  const double tokens = config.learner().micro_batch_tokens();
  MemoryPlan plan;
  auto add = [&](std::string what, double bytes, std::string why) {
    if (bytes > 0) plan.lines.push_back({std::move(what), bytes, std::move(why)});
  };
  if (rank == 0) {
    add("weights, gradient, AdamW", kTrained * all, "fp32, 16 bytes a parameter");
  } else {
    add("frozen weights", compute * all, "under the adapters");
    add("adapters, gradient, AdamW", kTrained * AdapterCount(m, rank),
        absl::StrCat("fp32, lora_rank ", rank));
  }
  add("compute copies", CopyBytes(all, compute, placement, true),
      rank == 0 ? "weights as products read them" : "with the adapters merged");
  bool reward_model = stage.has_rcrl();
  for (const RewardSettings& reward : stage.ppo().reward()) reward_model |= reward.has_orm();
  for (const RewardSettings& reward : stage.ei().reward()) reward_model |= reward.has_orm();
  double layers = static_cast<double>(m.num_layers);
  if (stage.has_ppo()) {
    if (stage.ppo().kl_coef() > 0 && rank == 0) {
      add("reference", CopyBytes(all, compute, placement, false), "kl_coef above 0");
    }
    if (stage.ppo().adv_estimator() == PpoSettings::GAE) {
      const double own = stage.ppo().value_layers();
      const double head = 2 * Hidden(m) * Hidden(m) + 4 * Hidden(m) + 1;
      const double branch = own * LayerCount(m);
      add("critic", kTrained * (branch + head) + CopyBytes(branch, compute, placement, true),
          own > 0 ? absl::StrCat("value_layers ", own, " and its head") : "its head");
      layers += own;
    }
  }
  if (reward_model) add("reward model", CopyBytes(all, compute, placement, false), "orm");
  double activations = tokens * layers * LayerActivations(m, compute, placement);
  if (placement == Placement::kGpu) {
    activations += kHeadCopies * kHeadRows * static_cast<double>(m.vocab_size) * 4;
  }
  add("activations", activations,
      absl::StrCat("learner.micro_batch_tokens ", config.learner().micro_batch_tokens()));
  if (placement == Placement::kCpu) plan.lines.push_back(Program());
  return plan;
}

}  // namespace

double ParameterCount(const ModelConfig& m) {
  const double table = static_cast<double>(m.vocab_size) * Hidden(m);
  return table * (m.tie_word_embeddings ? 1 : 2) +
         static_cast<double>(m.num_layers) * LayerCount(m) + Hidden(m);
}

double AdapterCount(const ModelConfig& m, double rank) {
  const double h = Hidden(m), q = Query(m), kv = KeyValue(m);
  const double sides = 2 * (h + q) + 2 * (h + kv) + 3 * (h + Inner(m));
  return rank * sides * static_cast<double>(m.num_layers);
}

double TrainedCount(const RunConfig& config, const ModelConfig& shape) {
  double most = 0;
  for (const Stage& stage : config.stage()) {
    const double rank = stage.training().lora_rank();
    most = std::max(most, rank > 0 ? AdapterCount(shape, rank) : ParameterCount(shape));
  }
  return most;
}

double MemoryPlan::total() const {
  double sum = 0;
  for (const MemoryLine& line : lines) sum += line.bytes;
  return sum;
}

MemoryPlan ActorMemory(const RunConfig& config, const ModelConfig& m, Placement placement) {
  const double copy = CopyBytes(ParameterCount(m), ComputeBytes(config), placement, false);
  const double kv = config.actor().kv_cache_mib() * double{1 << 20};
  const double token = 2 * KeyValue(m) * static_cast<double>(m.num_layers) * ComputeBytes(config);
  MemoryPlan plan;
  plan.lines.push_back({"weights", 2 * copy, "the version that samples and the next one"});
  plan.lines.push_back(
      {"KV cache", kv,
       absl::StrCat("actor.kv_cache_mib: ", static_cast<int64_t>(kv / token), " tokens")});
  plan.lines.push_back({"logits",
                        config.actor().max_batch() * static_cast<double>(m.vocab_size) * 4,
                        absl::StrCat("actor.max_batch ", config.actor().max_batch())});
  if (placement == Placement::kCpu) {
    plan.lines.push_back({"weights as fetched", copy, "before they are packed"});
    plan.lines.push_back(Program());
  }
  return plan;
}

StageMemory LearnerMemory(const RunConfig& config, const ModelConfig& shape, Placement placement) {
  StageMemory most;
  for (const Stage& stage : config.stage()) {
    if (stage.has_init() || stage.has_eval()) continue;
    MemoryPlan plan = PlanOf(config, stage, shape, placement);
    if (plan.total() > most.plan.total()) most = {stage.name(), std::move(plan)};
  }
  return most;
}

}  // namespace reckon
