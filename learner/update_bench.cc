// reckon-update-bench: times optimizer steps on a model folder, without actors. Prints one JSON
// object. With --world ranks of a group, which meet at a coordinator; or without a coordinator one
// rank of such a group, whose others are not there.

#include <ATen/Parallel.h>
#include <sys/resource.h>

#include <cstdlib>
#include <iostream>
#include <optional>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "common/base/program_flags.h"
#include "common/base/rng.h"
#include "common/base/status_macros.h"
#include "common/base/thread_pool.h"
#include "common/model/backend.h"
#include "common/model/device_memory.h"
#include "common/model/files/model_folder.h"
#include "common/model/product_speed.h"
#include "common/model/transformer.h"
#include "common/net/channel.h"
#include "common/net/security.h"
#include "learner/parallel/gloo_parallel.h"
#include "learner/parallel/membership.h"
#include "learner/parallel/rank_groups.h"
#include "learner/parallel/single.h"
#include "learner/parallel/traced_parallel.h"
#include "learner/update/policy_update.h"
// Last.
#include "common/base/log.h"

ABSL_FLAG(std::string, model, "", "model folder in Hugging Face layout");
ABSL_FLAG(int, sequences, 8, "sequences of an optimizer step");
ABSL_FLAG(int, tokens, 200, "tokens of a sequence, prompt included");
ABSL_FLAG(int, prompt_tokens, 0, "tokens of a sequence that are not learned");
ABSL_FLAG(int, samples, 1, "sequences that have the same prompt, as the samples of a group");
ABSL_FLAG(int, steps, 3, "timed optimizer steps, after one to warm up");
ABSL_FLAG(int, micro_batch_tokens, 2048, "tokens of one forward and backward pass");
ABSL_FLAG(int, lora_rank, 0, "rank of adapters that are trained; 0: the weights are");
ABSL_FLAG(int, threads, 0, "compute threads; 0: one per core");
ABSL_FLAG(std::string, compute, "bf16", "arithmetic of matrix products: bf16 or fp32");
ABSL_FLAG(std::string, device, "AUTO", "AUTO, CPU or CUDA, as model.device of a config");
ABSL_FLAG(bool, row_invariant, false, "as model.row_invariant of a config");
ABSL_FLAG(bool, sharded, false, "the ranks divide the model, as with learner.sharding: FULL");
ABSL_FLAG(int, shard_ranks, 0, "so many ranks divide a model, as with learner.sharding: HYBRID");
ABSL_FLAG(bool, recompute, false, "layers are recomputed, as with activation_checkpointing");
ABSL_FLAG(int, world, 1, "number of ranks");
ABSL_FLAG(int, rank, 0, "this rank, from 0");
ABSL_FLAG(
    std::string, coordinator, "",
    "where several ranks meet, host:port; empty: this rank alone, as if the others were there");
ABSL_FLAG(std::string, nonce, "", "equal on all ranks that meet");
ABSL_FLAG(std::string, trace, "", "file for a trace of collectives and what lies between them");

namespace reckon {
namespace {

double CpuSeconds(const rusage& usage) {
  auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// The ranks, and what keeps them together.
struct Group {
  std::unique_ptr<Membership> membership;
  RankGroups groups;
  std::optional<ReplicaSums> sums;  // of HYBRID
};

absl::StatusOr<Group> ConnectGroup() {
  const int world = absl::GetFlag(FLAGS_world), rank = absl::GetFlag(FLAGS_rank);
  Group out;
  MakeGroup make = [](const std::string&, int, int size) { return MakeAloneOf(size); };
  if (world > 1 && !absl::GetFlag(FLAGS_coordinator).empty()) {
    ASSIGN_OR_RETURN(const std::shared_ptr<grpc::Channel> channel,
                     MakeChannel(absl::GetFlag(FLAGS_coordinator), Security::PlainText()));
    std::shared_ptr<Coordinator::StubInterface> stub = Coordinator::NewStub(channel);
    MembershipOptions options = {.learner = absl::StrCat("rank ", rank),
                                 .rank = rank,
                                 .world = world,
                                 .nonce = absl::GetFlag(FLAGS_nonce)};
    ASSIGN_OR_RETURN(out.membership,
                     Membership::Begin(stub, options, {}, [](const std::string&) {}));
    RETURN_IF_ERROR(out.membership->Meet());
    make = [stub, term = out.membership->term()](const std::string& name, int place, int size) {
      const GlooOptions gloo = {.rank = place, .world = size, .term = term, .group = name};
      return MakeGloo(gloo, stub, {});
    };
  }
  if (world == 1) {
    out.groups.all = MakeSingle();
  } else {
    ASSIGN_OR_RETURN(out.groups.all, make("all", rank, world));
  }
  if (const int shard_ranks = absl::GetFlag(FLAGS_shard_ranks); shard_ranks > 0) {
    RETURN_IF_ERROR(AddHybridGroups(shard_ranks, make, &out.groups));
  }
  if (const std::string trace = absl::GetFlag(FLAGS_trace); !trace.empty()) {
    out.groups = MakeTraced(std::move(out.groups), trace);
  }
  if (out.groups.replicas != nullptr) out.sums.emplace(out.groups.replicas.get());
  return out;
}

absl::Status Run() {
  ASSIGN_OR_RETURN(Group group, ConnectGroup());
  Parallel& parallel = *group.groups.all;
  ASSIGN_OR_RETURN(Weights weights, ReadModelFolder(absl::GetFlag(FLAGS_model)));
  ASSIGN_OR_RETURN(ModelConfig config, ModelConfig::Parse(weights.manifest.texts().config_json()));
  const bool fp32 = absl::GetFlag(FLAGS_compute) == "fp32";
  ASSIGN_OR_RETURN(const Backend backend,
                   ChooseBackend(absl::GetFlag(FLAGS_device), absl::GetFlag(FLAGS_row_invariant)));
  ModelMemory memory = {.recompute = absl::GetFlag(FLAGS_recompute)};
  if (absl::GetFlag(FLAGS_sharded)) memory.shard_group = &parallel;
  if (group.sums.has_value()) {
    memory.shard_group = group.groups.shards.get();
    memory.replicas = &*group.sums;
  }
  auto model =
      std::make_unique<Transformer>(config, fp32 ? Dtype::kFp32 : Dtype::kBf16, backend, memory);
  if (const int rank = absl::GetFlag(FLAGS_lora_rank); rank > 0) {
    RETURN_IF_ERROR(
        model->LoadUnderAdapters(weights.manifest, weights.bytes->bytes(), rank, rank, 1));
  } else {
    RETURN_IF_ERROR(model->Load(weights.manifest, weights.bytes->bytes(), /*trainable=*/true));
  }
  weights.bytes = nullptr;
  auto update = PolicyUpdate::Create(model.get(), &parallel, TrainingSettings(),
                                     absl::GetFlag(FLAGS_micro_batch_tokens));

  const CounterRng rng(1);
  std::vector<TrainingSequence> sequences(absl::GetFlag(FLAGS_sequences));
  std::vector<const TrainingSequence*> batch;
  const int prompt = absl::GetFlag(FLAGS_prompt_tokens);
  for (size_t s = 0; s < sequences.size(); ++s) {
    for (int i = 0; i < absl::GetFlag(FLAGS_tokens); ++i) {
      const size_t lane =
          i < prompt ? s / absl::GetFlag(FLAGS_samples) * absl::GetFlag(FLAGS_samples) : s;
      sequences[s].tokens.push_back(rng.Below(config.num_tokens(), i, lane));
      sequences[s].loss.push_back(i >= prompt && i > 0);
    }
    batch.push_back(&sequences[s]);
  }
  double seconds = 0, optimizer = 0, tokens = 0, loss_tokens = 0;
  const double product =
      ProductSpeed(model->compute(), 1536, config.hidden_size, 2 * config.intermediate_size);
  rusage before = {};
  for (int step = 0; step <= absl::GetFlag(FLAGS_steps); ++step) {
    ASSIGN_OR_RETURN(UpdateResult result, update->Step(batch, 1e-5));
    if (step == 0) {
      getrusage(RUSAGE_SELF, &before);
      continue;
    }
    loss_tokens += static_cast<double>(result.loss_tokens);
    tokens += static_cast<double>(result.tokens);
    seconds += static_cast<double>(result.tokens) / result.tokens_per_s;
    optimizer += result.optimizer_s;
  }
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  // What the loss needs of each weight; a head that computes its logits twice does not count more.
  // Frozen weights have no gradient of their own.
  const double each = absl::GetFlag(FLAGS_lora_rank) > 0 ? 4 : 6;
  const double operations = each * (tokens * static_cast<double>(LayerProducts(config)) +
                                    loss_tokens * static_cast<double>(HeadProducts(config)));
  std::cout << "{\"trained_tokens_per_s\": " << tokens / seconds << ", \"seconds\": " << seconds
            << ", \"optimizer_seconds\": " << optimizer
            << ", \"cpu_seconds\": " << CpuSeconds(usage) - CpuSeconds(before)
            << ", \"product_gflop_per_s\": " << product * 1e-9
            << ", \"product_share\": " << operations / seconds / product
            << ", \"peak_rss_mib\": " << usage.ru_maxrss / 1024
            << ", \"threads\": " << ComputeThreads() << ", \"compute\": \""
            << absl::GetFlag(FLAGS_compute) << "\"}\n";
  update.reset();
  model.reset();
  group.groups = {};  // writes the trace
  return group.membership == nullptr ? absl::OkStatus() : group.membership->End(absl::OkStatus());
}

}  // namespace
}  // namespace reckon

int main(int argc, char** argv) {
  reckon::PrepareHostMemory();
  reckon::ParseProgramFlags(argc, argv,
                            "reckon-update-bench --model=FOLDER [--sequences=N --tokens=T ...]");
  reckon::InitLogging(argv[0]);
  reckon::SetComputeThreads(absl::GetFlag(FLAGS_threads));
  at::set_num_threads(1);
  const absl::Status status = reckon::Run();
  if (!status.ok()) std::cerr << "reckon-update-bench: " << status << "\n";
  std::cout.flush();
  // Gloo's threads may wait for ranks that have ended, so static destructors must not run.
  std::_Exit(status.ok() ? 0 : 1);
}
