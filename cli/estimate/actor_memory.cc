#include "cli/estimate/actor_memory.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "cli/launcher/local_gpus.h"
#include "cli/launcher/role_commands.h"

namespace reckon {
namespace {

// Measured of runs of a model of 100 KB.
MemoryLine ActorProgram() {
  return {"program", 200.0 * (1 << 20), "LibTorch, gRPC and their buffers"};
}

// Whether an actor has a GPU for itself, alone or by turns.
bool HasGpu(const RunConfig& config) {
  return config.resources().actor().gpus() > 0 || TakesTurns(config, /*gpu=*/true).value_or(false);
}

// What the batch engine has beside the weights.
void AddEngine(const RunConfig& config, const ModelConfig& m, Placement placement,
               MemoryEstimate* estimate) {
  const uint32_t mib = config.actor().kv_cache_mib();
  const double kv = (mib > 0 ? mib : kSharedKvCacheMib) * double{1 << 20};
  const double token =
      2 * static_cast<double>(m.num_kv_heads * m.head_dim * m.num_layers) * ComputeBytes(config);
  estimate->lines.push_back(
      {"KV cache", kv,
       absl::StrCat("actor.kv_cache_mib: ", static_cast<int64_t>(kv / token), " tokens",
                    mib == 0 && placement == Placement::kGpu && HasGpu(config)
                        ? "; takes what is left"
                        : "")});
  // 0: what the actor chooses, at most.
  const uint32_t chosen = placement == Placement::kGpu ? 1024 : 64;
  const uint32_t batch = config.actor().max_batch() > 0 ? config.actor().max_batch() : chosen;
  estimate->lines.push_back({"logits", batch * static_cast<double>(m.vocab_size) * 4,
                             absl::StrCat("actor.max_batch ", batch)});
}

}  // namespace

MemoryEstimate ActorMemory(const RunConfig& config, const ModelSize& model, Placement placement) {
  MemoryEstimate estimate;
  estimate.lines.push_back(
      {"weights", 2 * ForwardBytes(config, model.shape), "the version in use and the next one"});
  AddEngine(config, model.shape, placement, &estimate);
  if (placement == Placement::kCpu) {
    estimate.lines.push_back({"weights as fetched", ActorHostBytes(config, model),
                              "before they are packed, and those before, for what has changed"});
    estimate.lines.push_back(ActorProgram());
  }
  return estimate;
}

double ActorHostBytes(const RunConfig& config, const ModelSize& model) {
  // The one that was fetched last, and the next one while it is fetched.
  const double version = VersionBytes(config, model.shape);
  return version + std::max(version, static_cast<double>(model.weight_bytes));
}

MemoryEstimate ServerMemory(const RunConfig& config, const ModelSize& model, Placement placement) {
  MemoryEstimate estimate;
  estimate.lines.push_back({"weights", ForwardBytes(config, model.shape), ""});
  AddEngine(config, model.shape, placement, &estimate);
  if (placement == Placement::kCpu) {
    estimate.lines.push_back(
        {"weights as read", static_cast<double>(model.weight_bytes), "before they are packed"});
    estimate.lines.push_back(ActorProgram());
  }
  return estimate;
}

}  // namespace reckon
