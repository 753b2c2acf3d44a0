#include "cli/commands/memory_estimate.h"

#include <algorithm>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "cli/launcher/local_gpus.h"
#include "cli/launcher/role_commands.h"
#include "common/config/fields.h"
#include "common/config/stage_info.h"

namespace reckon {
namespace {

// Bytes for each trained element: weight, gradient and AdamW's two moments, fp32 each.
constexpr double kTrained = 16, kParameter = 4;
// From this many tokens of a micro-batch on, FULL takes no longer than layers that are computed
// twice. For each parameter FULL moves 8 bytes while it computes, which take 320 ps over 25 GB/s,
// the slowest links between GPUs; 8 operations a token in place of 6 take 328 ps at 400 TFLOP/s.
// With fewer tokens that depends on the links, which no plan knows, and computing twice costs a
// third more everywhere.
constexpr uint32_t kTokensThatHideGathers = 16384;
// On a GPU the loss holds a tile of logits of this size at a time, in a few copies; on a CPU those
// of so many tokens, and for the backward pass the errors of all tokens, up to so many bytes
// (kernels/cpu/output_head.h).
constexpr double kHeadRows = 4096, kHeadColumns = 8192, kHeadCopies = 4, kHeadBlock = 128;
constexpr double kHeadErrorBytes = 256.0 * (1 << 20);

double Query(const ModelConfig& m) { return static_cast<double>(m.num_heads * m.head_dim); }
double KeyValue(const ModelConfig& m) { return static_cast<double>(m.num_kv_heads * m.head_dim); }
double Hidden(const ModelConfig& m) { return static_cast<double>(m.hidden_size); }
double Inner(const ModelConfig& m) { return static_cast<double>(m.intermediate_size); }

double Elements(const TensorEntry& tensor) {
  double count = 1;
  for (int64_t n : tensor.shape()) count *= static_cast<double>(n);
  return count;
}

double LayerCount(const ModelConfig& m) {
  double count = 0;
  for (const TensorEntry& tensor : m.Tensors()) {
    if (absl::StartsWith(tensor.name(), "model.layers.")) count += Elements(tensor);
  }
  return count / static_cast<double>(m.num_layers);
}

// The buffers of versions that a run uses (learner/publish/version_buffers.h).
constexpr double kVersionBuffers = 3;

// Measured of runs of a model of 100 KB.
constexpr double kActorProgram = 200.0 * (1 << 20), kLearnerProgram = 150.0 * (1 << 20);
MemoryLine Program(double bytes) { return {"program", bytes, "LibTorch, gRPC and their buffers"}; }

double ComputeBytes(const RunConfig& config) {
  return config.model().compute() == ModelSettings::FP32 ? 4 : 2;
}

// Bytes of the copies of `elements` weights that matrix products read. The CPU kernels pack a
// second copy for the backward pass.
double CopyBytes(double elements, double compute, Placement placement, bool trained) {
  return elements * compute * (trained && placement == Placement::kCpu ? 2 : 1);
}

// Bytes of what a forward pass of `m` reads: in a model that ties them, one table for the embedding
// and the same packed as the head.
double ForwardBytes(const ModelConfig& m, double compute) {
  const double table = static_cast<double>(m.vocab_size) * Hidden(m);
  return compute * (ParameterCount(m) + (m.tie_word_embeddings ? table : 0));
}

// Bytes that one layer keeps for the backward pass, per token.
double LayerActivations(const ModelConfig& m, double compute, Placement placement) {
  const double h = Hidden(m), q = Query(m), kv = KeyValue(m), inner = Inner(m);
  // The residual stream at both norms; inputs of the four products; queries, keys, values; gate,
  // up.
  double bytes = 2 * 4 * h + compute * (2 * h + q + inner) + compute * (q + 2 * kv) +
                 compute * 2 * inner + 4 * static_cast<double>(m.num_heads);
  // LibTorch keeps fp32 intermediate results of norms, RoPE and SwiGLU.
  if (placement == Placement::kGpu) bytes += 2 * 4 * h + 4 * (q + kv) + 2 * 4 * inner;
  return bytes;
}

// How many ranks divide a model; 0: each holds all of it.
uint32_t ShardRanks(const RunConfig& config) {
  switch (config.learner().sharding()) {
    case LearnerSettings::FULL:
      return config.resources().learner_ranks();
    case LearnerSettings::HYBRID:
      return config.learner().shard_ranks();
    default:
      return 0;
  }
}

// Whether the evaluations of stage `index` use a reward model: one of this run once it is trained.
bool EvaluatesWithRewardModel(const RunConfig& config, int index) {
  const std::string& name = config.eval().orm();
  if (name.empty() || config.eval().samples() == 0) return false;
  if (IsFolder(name)) return true;
  for (int i = 0; i <= index; ++i) {
    if (config.stage(i).name() == name) return true;
  }
  return false;
}

bool HasCritic(const StageInfo& info) {
  const auto* advantage = info.Part<PpoSettings::Advantage>();
  return info.Part<PpoSettings::Critic>() != nullptr && advantage != nullptr &&
         advantage->estimator() == PpoSettings::Advantage::GAE;
}

// The most that a rank holds of a sharded model beside its shards (common/model/sharded_units.h):
//
//   head         gathered and as kernels read it; then with its gradient, while the last layer is
//                gathered; then the gradient on its way to the other ranks
//   layers       one as kernels read it and the next as gathered; two gradients, one that is
//   computed
//                and one on its way
//   embedding    its gradient, that of the first layer on its way, and the first layer
//
// On its way, Gloo holds a gradient twice: also what arrives from the others. Frozen units under
// adapters have none. Activations are added in full: what they took stays with the process when the
// head takes its turn (KeepFreedMemory).
double UnitsInUse(const ModelConfig& m, double compute, Placement placement, bool trained) {
  const double layer = LayerCount(m), table = static_cast<double>(m.vocab_size) * Hidden(m);
  const double packed_layer = CopyBytes(layer, compute, placement, true);
  const double packed_table = CopyBytes(table, compute, placement, true);
  const double gradient = trained ? 4 : 0,
               on_way = gradient * (placement == Placement::kCpu ? 2 : 1);
  const double head =
      std::max({packed_table + compute * table, packed_table + compute * layer + gradient * table,
                compute * layer + on_way * table});
  const double layers = packed_layer + compute * layer + (gradient + on_way) * layer;
  const double embedding =
      packed_layer + std::max(gradient * table + on_way * layer, on_way * table);
  return std::max({head, layers, embedding});
}

// Versions that have buffers when stage `index` trains: of every version that the run makes until
// the end of the stage, which begins with making them (learner/publish/version_buffers.h); but no
// more than are used.
double VersionBuffersMade(const RunConfig& config, int index) {
  double made = 0;
  for (int i = 0; i <= index; ++i) {
    const StageInfo info(config.stage(i));
    if (info.traits().trains() == StageKind::POLICY) made += info.Rounds();
  }
  return std::min(kVersionBuffers, made);
}

// What is in host memory whatever trains: versions and the copy that a checkpoint is written from.
// Of the leader, which has most. `computes`: the memory of a rank that computes, free while it
// publishes.
void AddHostMemory(const RunConfig& config, int index, const ModelConfig& m, Placement placement,
                   RunFolder folder, double computes, MemoryEstimate* estimate) {
  const StageInfo info(config.stage(index));
  const double version = ComputeBytes(config) * ParameterCount(m);
  const double rank = config.stage(index).training().lora_rank();
  // An online stage publishes adapters as such, which are small. A version that is kept is whole.
  const double made = rank > 0 && info.traits().online() ? 1 : VersionBuffersMade(config, index);
  // The newest before it is packed: merged in fp32, or gathered, while the rank does not compute;
  // or as it has come from a GPU, which rounds it.
  double unpacked = 0;
  if (placement == Placement::kGpu) {
    unpacked = version;
  } else if (rank > 0) {
    unpacked = std::max(0.0, 4 * ParameterCount(m) - computes);
  } else if (ShardRanks(config) > 0) {
    unpacked = std::max(0.0, version - computes);
  }
  estimate->lines.push_back({"versions", (1 + made) * version + unpacked,
                             rank > 0 ? "version 0, and one that is merged to be written"
                                      : "version 0, two that are served, and one that is packed"});
  if (placement == Placement::kCpu && rank == 0 && ShardRanks(config) == 0) {
    // Beside that in "compute copies". Actors compute from what the learner's products read, so a
    // step packs into another copy, and into a third while they hold one that is published.
    estimate->lines.push_back({"versions as matrix products read them",
                               std::min(kVersionBuffers - 1, VersionBuffersMade(config, index)) *
                                   ForwardBytes(m, ComputeBytes(config)),
                               "one that actors compute from, and one that is packed"});
  }
  const double trained = rank > 0 ? AdapterCount(m, rank) : ParameterCount(m);
  const double shards = rank > 0 ? 1 : std::max<uint32_t>(1, ShardRanks(config));
  if (placement == Placement::kGpu) {
    estimate->lines.push_back(
        {"AdamW's moments", 8 * trained / shards, "as checkpoints are copied from them"});
  }
  double copy = 12 * trained;
  if (folder == RunFolder::kOfAllRanks) {
    copy /= std::max<uint32_t>(1, config.resources().learner_ranks());
  } else if (shards > 1) {
    copy += 4 * trained / shards;  // its own part of the array that it gathers
  }
  estimate->lines.push_back({"checkpoint", copy,
                             info.traits().online()
                                 ? "the copy that is written while the next step runs"
                                 : "the copy that is written while the next step runs, if training "
                                   "takes more than two minutes"});
}

MemoryEstimate RankMemory(const RunConfig& config, int index, const ModelConfig& m,
                          Placement placement, RunFolder folder) {
  const Stage& stage = config.stage(index);
  const StageInfo info(stage);
  const double compute = ComputeBytes(config), all = ParameterCount(m);
  const double rank = stage.training().lora_rank();
  const LearnerSettings& learner = config.learner();
  // A sequence that is longer than a micro-batch is one by itself.
  const double longest = std::min<double>(stage.training().max_tokens(), m.max_positions);
  const double tokens = std::max<double>(learner.micro_batch_tokens(), longest);
  const uint32_t shard_ranks = ShardRanks(config);
  const bool full = shard_ranks > 0;
  const double ranks = full ? shard_ranks : 1;
  const auto share = [&](std::string why) {
    return full ? absl::StrCat(why, ", divided by ", shard_ranks, " ranks") : why;
  };
  MemoryEstimate estimate;
  // Of what is trained, gradient and moments leave the device with the turn (learner/context).
  auto add_partly = [&](std::string what, double bytes, double kept, std::string why) {
    if (bytes > 0) {
      estimate.lines.push_back(
          {.what = std::move(what), .bytes = bytes, .why = std::move(why), .kept = kept});
    }
  };
  auto add = [&](std::string what, double bytes, std::string why) {
    add_partly(std::move(what), bytes, bytes, std::move(why));
  };
  if (rank == 0) {
    add_partly("weights, gradient, AdamW", kTrained * all / ranks, kParameter * all / ranks,
               share("fp32, 16 bytes a parameter"));
  } else {
    // The table is packed once more, as the head.
    const double table = static_cast<double>(m.vocab_size) * Hidden(m);
    add("frozen weights",
        full ? compute * all / ranks : CopyBytes(all, compute, placement, true) + compute * table,
        share("under the adapters, as matrix products read them"));
    const double adapters = AdapterCount(m, rank);
    const double copies = CopyBytes(adapters, compute, placement, true);
    add_partly("adapters, gradient, AdamW", kTrained * adapters + copies,
               kParameter * adapters + copies, absl::StrCat("fp32, lora_rank ", rank));
  }
  if (!full && rank == 0) {
    const double backward = placement == Placement::kCpu ? compute * all : 0;
    add("compute copies", ForwardBytes(m, compute) + backward,
        "as matrix products read the weights");
  }
  // With adapters the reference policy is the same weights without them.
  if (const auto* kl = info.Part<PpoSettings::Kl>(); kl != nullptr && kl->coef() > 0 && rank == 0) {
    // Of shards a rank keeps the layer that it gathered last.
    const double held = full ? all / ranks + LayerCount(m) : all;
    add("reference", CopyBytes(held, compute, placement, false), share("kl.coef above 0"));
  }
  double layers = static_cast<double>(m.num_layers);
  if (HasCritic(info)) {
    const double own = info.Part<PpoSettings::Critic>()->layers();
    const double head = 2 * Hidden(m) * Hidden(m) + 4 * Hidden(m) + 1;
    const double branch = own * LayerCount(m);
    const double trained = branch / ranks + head;
    const double copies =
        CopyBytes(full ? std::min(own, 1.0) * LayerCount(m) : branch, compute, placement, true);
    add_partly("critic", kTrained * trained + copies, kParameter * trained + copies,
               own > 0 ? share(absl::StrCat("critic.layers ", own, " and its head")) : "its head");
    layers += own;
  }
  // Where the leader scores alone it holds all of it.
  const double reward_model = CopyBytes(all, compute, placement, false);
  if (EvaluatesWithRewardModel(config, index)) {
    add("reward model", reward_model, "eval.orm, whole on the leader while it evaluates");
  } else if (!info.reward_models().empty()) {
    const bool online = info.Part<PpoSettings::Kl>() != nullptr;
    add("reward model", reward_model / (online ? ranks : 1), online ? share("orm") : "orm");
  }
  // Recomputed layers keep the residual stream that enters them.
  const bool recompute = learner.activation_checkpointing();
  const double of_layer = tokens * LayerActivations(m, compute, placement);
  const auto vocabulary = static_cast<double>(m.vocab_size);
  const double kept = (recompute ? tokens * 4 * Hidden(m) : of_layer) * layers;
  const double head =
      placement == Placement::kGpu
          ? 4 * kHeadCopies * std::min(tokens, kHeadRows) * std::min(vocabulary, kHeadColumns)
          : 4 * std::min(tokens, kHeadBlock) * vocabulary +
                std::min(tokens * vocabulary * compute, kHeadErrorBytes);
  // The backward pass works on the head and then on one layer at a time, computed again or not,
  // with its gradients.
  const double activations = kept + std::max(head, (recompute ? 2 : 1) * of_layer);
  add_partly("activations", activations, /*kept=*/0,
             absl::StrCat(longest > learner.micro_batch_tokens() ? "training.max_tokens "
                                                                 : "learner.micro_batch_tokens ",
                          tokens, recompute ? ", layers recomputed" : ""));
  double computes = activations;
  if (full) {
    const double units = UnitsInUse(m, compute, placement, rank == 0);
    add("units in use", units, "gathered layers and their gradients");
    computes += units;
  }
  if (placement == Placement::kCpu) {
    AddHostMemory(config, index, m, placement, folder, computes, &estimate);
    estimate.lines.push_back(Program(kLearnerProgram));
  }
  return estimate;
}

// Of the stage that trains and needs most.
StageMemory MostOf(const RunConfig& config, absl::FunctionRef<MemoryEstimate(int)> of_stage) {
  StageMemory most;
  for (int i = 0; i < config.stage_size(); ++i) {
    if (!StageInfo(config.stage(i)).trains()) continue;
    MemoryEstimate estimate = of_stage(i);
    if (estimate.total() > most.estimate.total()) {
      most = {.stage = config.stage(i).name(), .estimate = std::move(estimate)};
    }
  }
  return most;
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
  const double token = 2 * KeyValue(m) * static_cast<double>(m.num_layers) * ComputeBytes(config);
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

double ParameterCount(const ModelConfig& m) {
  double count = 0;
  for (const TensorEntry& tensor : m.Tensors()) count += Elements(tensor);
  return count;
}

double AdapterCount(const ModelConfig& m, double rank) {
  double sides = 0;
  for (const TensorEntry& tensor : m.Tensors()) {
    if (!absl::EndsWith(tensor.name(), "_proj.weight")) continue;
    sides += static_cast<double>(tensor.shape(0) + tensor.shape(1));
  }
  return rank * sides;
}

double TrainedCount(const RunConfig& config, const ModelConfig& shape) {
  double most = 0;
  for (const Stage& stage : config.stage()) {
    const double rank = stage.training().lora_rank();
    most = std::max(most, rank > 0 ? AdapterCount(shape, rank) : ParameterCount(shape));
  }
  return most;
}

double MemoryEstimate::total() const {
  double sum = 0;
  for (const MemoryLine& line : lines) sum += line.bytes;
  return sum;
}

double MemoryEstimate::kept() const {
  double sum = 0;
  for (const MemoryLine& line : lines) sum += line.kept;
  return sum;
}

MemoryEstimate ActorMemory(const RunConfig& config, const ModelConfig& m, Placement placement) {
  const double copy = CopyBytes(ParameterCount(m), ComputeBytes(config), placement, false);
  MemoryEstimate estimate;
  estimate.lines.push_back({"weights", 2 * copy, "the version in use and the next one"});
  AddEngine(config, m, placement, &estimate);
  if (placement == Placement::kCpu) {
    estimate.lines.push_back({"weights as fetched", 2 * copy,
                              "before they are packed, and those before, for what has changed"});
    estimate.lines.push_back(Program(kActorProgram));
  }
  return estimate;
}

MemoryEstimate ServerMemory(const RunConfig& config, const ModelConfig& m, Placement placement) {
  const double copy = CopyBytes(ParameterCount(m), ComputeBytes(config), placement, false);
  MemoryEstimate estimate;
  estimate.lines.push_back({"weights", copy, ""});
  AddEngine(config, m, placement, &estimate);
  if (placement == Placement::kCpu) {
    estimate.lines.push_back({"weights as read", copy, "before they are packed"});
    estimate.lines.push_back(Program(kActorProgram));
  }
  return estimate;
}

void ChooseSharding(const ModelConfig& model, Placement placement, RunFolder folder, double limit,
                    RunConfig* config) {
  LearnerSettings& learner = *config->mutable_learner();
  if (learner.sharding() != LearnerSettings::AUTO) return;
  struct Choice {
    LearnerSettings::Sharding sharding;
    bool recompute;
  };
  Choice second = {LearnerSettings::REPLICATED, true}, third = {LearnerSettings::FULL, false};
  if (learner.micro_batch_tokens() >= kTokensThatHideGathers) std::swap(second, third);
  const bool recompute = learner.activation_checkpointing();  // as the config says
  for (const Choice& choice : {Choice{LearnerSettings::REPLICATED, false}, second, third,
                               Choice{LearnerSettings::FULL, true}}) {
    if (choice.sharding == LearnerSettings::FULL && config->resources().learner_ranks() == 1) {
      continue;
    }
    learner.set_sharding(choice.sharding);
    learner.set_activation_checkpointing(recompute || choice.recompute);
    if (LearnerMemory(*config, model, placement, folder).estimate.total() <= limit) return;
  }
}

StageMemory LearnerMemory(const RunConfig& config, const ModelConfig& model, Placement placement,
                          RunFolder folder) {
  return MostOf(config,
                [&](int stage) { return RankMemory(config, stage, model, placement, folder); });
}

StageMemory LearnerHostMemory(const RunConfig& config, const ModelConfig& model, RunFolder folder) {
  return MostOf(config, [&](int stage) {
    MemoryEstimate estimate;
    AddHostMemory(config, stage, model, Placement::kGpu, folder, /*computes=*/0, &estimate);
    return estimate;
  });
}

}  // namespace reckon
