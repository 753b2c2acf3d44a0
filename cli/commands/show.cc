#include "cli/commands/show.h"

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "cli/launcher/local_roles.h"
#include "cli/launcher/progress_display.h"
#include "cli/launcher/run_dir.h"
#include "cli/launcher/supervisor.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/config/config.h"
#include "common/model/files/model_folder.h"
#include "common/model/init/init_model.h"
#include "common/net/channel.h"
#include "common/net/plan_client.h"
#include "common/net/run_certificates.h"
#include "common/telemetry/progress.h"
#include "common/text/tokenizer.h"
#include "proto/coordinator.grpc.pb.h"

namespace reckon {
namespace {

// Reads a run through a coordinator, the only program that opens the store: that of the run while
// it is in progress, else one that is started for this object and stopped with it.
class RunReader {
 public:
  RunReader(std::string run_dir, RunConfig config, std::stop_token stop)
      : run_dir_(std::move(run_dir)),
        config_(std::move(config)),
        stop_(stop),
        supervisor_(Supervisor::Options()) {}
  ~RunReader() { supervisor_.StopAll(); }

  absl::Status Connect() {
    // Those of a run that is in progress are left as they are.
    if (!std::filesystem::exists(run_dir_ + "/certificates")) {
      RETURN_IF_ERROR(EnsureRunCertificates(run_dir_, config_.name()).status());
    }
    if (absl::StatusOr<std::string> address = ReadFile(run_dir_ + "/coordinator.addr", 256);
        address.ok()) {
      RETURN_IF_ERROR(UseAddress(std::string(absl::StripAsciiWhitespace(*address))));
      if (RefreshStatus().ok() && status_.run() == config_.name()) return absl::OkStatus();
    }
    config_.mutable_coordinator()->set_listen("127.0.0.1:0");
    LocalRoles roles(config_, {.run_dir = run_dir_, .logs = run_dir_ + "/logs"});
    ASSIGN_OR_RETURN(std::string address, roles.StartCoordinator(&supervisor_, stop_));
    RETURN_IF_ERROR(UseAddress(address));
    return RefreshStatus();
  }

  const GetStatusReply& status() const { return status_; }
  PlanClient& plans() { return *plans_; }

  // Batch `batch` of a plan; nothing when it is not cut or no longer stored.
  absl::StatusOr<std::optional<BatchHeader>> Header(const std::string& plan, uint64_t batch) {
    NextBatchRequest request;
    request.set_plan(plan);
    request.set_batch(batch);
    NextBatchReply reply;
    grpc::ClientContext context;
    SetDeadline(&context, absl::Seconds(30));
    const absl::Status status = FromGrpc(stub_->NextBatch(&context, request, &reply));
    if (absl::IsNotFound(status)) return std::nullopt;  // evicted: retention SELECTED
    RETURN_IF_ERROR(status);
    if (!reply.has_header()) return std::nullopt;
    return *std::move(reply.mutable_header());
  }

  // From the newest published weights, or else the folder of version 0.
  absl::StatusOr<std::unique_ptr<Tokenizer>> MakeTokenizer() {
    GetManifestReply reply;
    grpc::ClientContext context;
    SetDeadline(&context, absl::Seconds(30));
    WeightManifest& manifest = *reply.mutable_manifest();
    if (!stub_->GetManifest(&context, GetManifestRequest(), &reply).ok() ||
        manifest.config_json().empty()) {
      const std::string base = HasInit(config_) ? "" : config_.model().base();
      ASSIGN_OR_RETURN(ModelListing listing,
                       ReadModelListing(BaseModelFolder(config_, run_dir_), base));
      manifest = std::move(listing.manifest);
    }
    return Tokenizer::Create(manifest.tokenizer_json(), manifest.tokenizer_model());
  }

 private:
  absl::Status UseAddress(const std::string& address) {
    ASSIGN_OR_RETURN(
        const auto security,
        Security::Load(CertificatesOf(run_dir_ + "/certificates", Role::kUser), Role::kUser));
    ASSIGN_OR_RETURN(const auto channel, MakeChannel(address, security));
    stub_ = Coordinator::NewStub(channel);
    plans_ = std::make_unique<PlanClient>(
        stub_.get(), /*term=*/0, stop_, [](const absl::Status& outage) {
          if (!outage.ok()) std::cerr << "reckon: waiting for: the coordinator does not answer\n";
        });
    return absl::OkStatus();
  }

  absl::Status RefreshStatus() {
    grpc::ClientContext context;
    SetDeadline(&context, absl::Seconds(3));
    GetStatusRequest request;
    request.set_finished_plans(true);
    return FromGrpc(stub_->GetStatus(&context, request, &status_));
  }

  const std::string run_dir_;
  RunConfig config_;
  const std::stop_token stop_;
  Supervisor supervisor_;
  std::unique_ptr<Coordinator::Stub> stub_;
  std::unique_ptr<PlanClient> plans_;
  GetStatusReply status_;
};

void PrintPlans(const GetStatusReply& status) {
  std::cout << "run " << status.run() << ": weight version " << status.newest_version() << ", "
            << FormatCount(static_cast<double>(status.ledger().accepted()))
            << " samples accepted\n";
  std::cout << absl::StrFormat("  %-36s %8s %10s %12s\n", "plan", "groups", "samples", "tokens");
  for (const PlanStatus& plan : status.plans()) {
    std::cout << absl::StrFormat(
        "  %-36s %8d %10d %12d%s\n", plan.name(), plan.complete_groups(), plan.samples_accepted(),
        plan.sampled_tokens(),
        plan.closed() || plan.batches_applied() == plan.batches_cut() ? "" : "  running");
  }
}

std::string FinishName(FinishReason finish) {
  switch (finish) {
    case FINISH_STOP:
      return "ended by a stop token or string";
    case FINISH_LENGTH:
      return "cut at max_new_tokens";
    case FINISH_FORCED:
      return "scored";
    default:
      return "unfinished";
  }
}

void PrintRollout(const Tokenizer& tokenizer, const Rollout& rollout) {
  std::vector<uint32_t> prompt;
  size_t tokens = 0;
  uint64_t version = 0;
  for (const TokenSpan& span : rollout.spans()) {
    if (span.kind() == TokenSpan::PROMPT) {
      prompt.insert(prompt.end(), span.tokens().begin(), span.tokens().end());
    } else {
      tokens += span.tokens_size();
    }
    if (span.kind() == TokenSpan::SAMPLED) version = span.weight_version();
  }
  std::cout << "\n=== " << rollout.key().plan() << "  group " << rollout.key().group()
            << "  sample " << rollout.key().sample() << "  (" << rollout.actor()
            << ", weight version " << version << ")\n--- prompt\n"
            << tokenizer.Decode(prompt, /*skip_special=*/false) << "\n--- completion\n"
            << rollout.completion() << "\n--- reward " << rollout.reward() << "\n";
  for (const RewardValue& reward : rollout.rewards()) {
    std::cout << reward.name() << ": " << absl::AsciiStrToLower(Verdict_Name(reward.verdict()));
    if (!reward.extracted().empty())
      std::cout << ", found the answer '" << reward.extracted() << "'";
    std::cout << " (" << reward.value() << ")\n";
  }
  std::cout << tokens << " tokens, " << FinishName(rollout.finish()) << "\n";
}

bool IsCorrect(const Rollout& rollout) {
  return !rollout.rewards().empty() && rollout.rewards(0).verdict() == CORRECT;
}

// The plan asked for, or else the newest that has a batch (none: no plan has).
absl::StatusOr<PlanStatus> ChoosePlan(const ShowOptions& options, const GetStatusReply& status) {
  PlanStatus plan;
  std::string all;
  for (const PlanStatus& candidate : status.plans()) {
    absl::StrAppend(&all, all.empty() ? "" : ", ", candidate.name());
    const bool chosen =
        options.plan.empty() ? candidate.batches_cut() > 0 : candidate.name() == options.plan;
    if (chosen) plan = candidate;
  }
  if (!plan.name().empty() || options.plan.empty()) return plan;
  return absl::NotFoundError(
      absl::StrCat("--plan ", options.plan, ": the run has no such plan; it has ", all));
}

}  // namespace

absl::Status Show(const ShowOptions& options, std::stop_token stop) {
  std::string run_dir = AbsolutePath(options.run);
  std::string config_path = run_dir + "/config.textproto";
  if (!std::filesystem::exists(config_path) || !std::filesystem::exists(run_dir + "/store")) {
    return absl::NotFoundError(absl::StrCat(
        options.run,
        ": not a run directory, because it has no config.textproto and store; give one ",
        "that `reckon train` made, as runs/NAME"));
  }
  ASSIGN_OR_RETURN(RunConfig config, LoadConfig(config_path, {}));
  RunReader reader(run_dir, std::move(config), stop);
  RETURN_IF_ERROR(reader.Connect());
  if (options.plan.empty()) {
    PrintPlans(reader.status());
    const absl::StatusOr<Progress> progress = ReadProgress(run_dir);
    if (progress.ok() && !progress->waiting_for().empty()) {
      std::cout << "waiting for: " << progress->waiting_for() << "\n";
    }
  }

  ASSIGN_OR_RETURN(const PlanStatus plan, ChoosePlan(options, reader.status()));
  if (plan.name().empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(std::unique_ptr<Tokenizer> tokenizer, reader.MakeTokenizer());
  uint64_t shown = 0;
  for (uint64_t batch = 0; batch < plan.batches_cut() && shown < options.limit; ++batch) {
    if (stop.stop_requested()) break;
    ASSIGN_OR_RETURN(std::optional<BatchHeader> header, reader.Header(plan.name(), batch));
    if (!header) continue;
    std::vector<RolloutKey> keys;
    for (const RolloutHeader& rollout : header->rollouts()) keys.push_back(rollout.key());
    const absl::StatusOr<std::vector<Rollout>> rollouts = reader.plans().Fetch(keys);
    if (absl::IsNotFound(rollouts.status())) continue;  // evicted: coordinator.retention SELECTED
    RETURN_IF_ERROR(rollouts.status());
    for (const Rollout& rollout : *rollouts) {
      if (shown == options.limit) break;
      if (options.wrong && IsCorrect(rollout)) continue;
      if (options.correct && !IsCorrect(rollout)) continue;
      PrintRollout(*tokenizer, rollout);
      ++shown;
    }
  }
  return absl::OkStatus();
}

}  // namespace reckon
