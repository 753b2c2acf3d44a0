#include "cli/report/run_reader.h"

#include <unistd.h>

#include <iostream>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "cli/launcher/local_roles.h"
#include "cli/launcher/run_dir.h"
#include "common/base/files.h"
#include "common/base/paths.h"
#include "common/base/status_macros.h"
#include "common/config/config.h"
#include "common/model/files/model_folder.h"
#include "common/model/init/init_model.h"
#include "common/net/channel.h"
#include "common/net/run_certificates.h"

namespace reckon {

absl::StatusOr<std::unique_ptr<RunReader>> RunReader::Open(const std::string& run,
                                                           std::stop_token stop) {
  const std::string run_dir = AbsolutePath(run), path = run_dir + "/config.textproto";
  ASSIGN_OR_RETURN(const bool has_config, PathExists(path));
  ASSIGN_OR_RETURN(const bool has_store, PathExists(run_dir + "/store"));
  if (!has_config || !has_store) {
    return absl::NotFoundError(absl::StrCat(
        run, ": not a run directory, because it has no config.textproto and store; give one ",
        "that `reckon train` made, as runs/NAME"));
  }
  ASSIGN_OR_RETURN(RunConfig config, LoadConfig(path, {}));
  auto reader = absl::WrapUnique(new RunReader(run_dir, std::move(config), stop));
  RETURN_IF_ERROR(reader->Connect());
  return reader;
}

RunReader::RunReader(std::string run_dir, RunConfig config, std::stop_token stop)
    : run_dir_(std::move(run_dir)),
      config_(std::move(config)),
      stop_(stop),
      supervisor_(Supervisor::Options()) {}

RunReader::~RunReader() {
  supervisor_.StopAll();
  if (lock_ >= 0) ::close(lock_);
}

absl::Status RunReader::Connect() {
  // Those of a run that is in progress are left as they are.
  ASSIGN_OR_RETURN(const bool certified, PathExists(run_dir_ + "/certificates"));
  if (!certified) {
    RETURN_IF_ERROR(EnsureRunCertificates(run_dir_, config_.name()).status());
  }
  if (absl::StatusOr<std::string> address = ReadFile(run_dir_ + "/coordinator.addr", 256);
      address.ok()) {
    RETURN_IF_ERROR(UseAddress(std::string(absl::StripAsciiWhitespace(*address))));
    if (RefreshStatus().ok() && status_.run() == config_.name()) return absl::OkStatus();
  }
  absl::StatusOr<int> lock = LockRun(run_dir_);
  // A file system without locks has none for the run either.
  if (absl::IsFailedPrecondition(lock.status())) {
    return absl::FailedPreconditionError(
        absl::StrCat(run_dir_, ": the run is in progress and its coordinator does not answer; ",
                     "try again when it does"));
  }
  if (lock.ok()) lock_ = *lock;
  config_.mutable_coordinator()->set_listen("127.0.0.1:0");
  LocalRoles roles(config_, {.run_dir = run_dir_, .logs = run_dir_ + "/logs"});
  ASSIGN_OR_RETURN(std::string address, roles.StartCoordinator(&supervisor_, stop_));
  RETURN_IF_ERROR(UseAddress(address));
  return RefreshStatus();
}

absl::StatusOr<std::optional<BatchHeader>> RunReader::Header(const std::string& plan,
                                                             uint64_t batch) {
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

absl::StatusOr<std::vector<Rollout>> RunReader::Fetch(const std::vector<RolloutKey>& keys) {
  absl::StatusOr<std::vector<Rollout>> rollouts = plans_->Fetch(keys);
  if (absl::IsNotFound(rollouts.status())) return std::vector<Rollout>();
  return rollouts;
}

absl::Status RunReader::ForEachBatch(const PlanStatus& plan,
                                     const std::function<bool(const std::vector<Rollout>&)>& each) {
  for (uint64_t batch = 0; batch < plan.batches_cut(); ++batch) {
    if (stop_.stop_requested()) return absl::CancelledError("stopped");
    ASSIGN_OR_RETURN(std::optional<BatchHeader> header, Header(plan.name(), batch));
    if (!header) continue;
    std::vector<RolloutKey> keys;
    for (const RolloutHeader& rollout : header->rollouts()) keys.push_back(rollout.key());
    ASSIGN_OR_RETURN(const std::vector<Rollout> rollouts, Fetch(keys));
    if (!each(rollouts)) break;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Tokenizer>> RunReader::MakeTokenizer() {
  GetManifestReply reply;
  grpc::ClientContext context;
  SetDeadline(&context, absl::Seconds(30));
  WeightManifest& manifest = *reply.mutable_manifest();
  if (!stub_->GetManifest(&context, GetManifestRequest(), &reply).ok() ||
      manifest.texts().config_json().empty()) {
    const std::string base = HasInit(config_) ? "" : config_.model().base();
    ASSIGN_OR_RETURN(ModelListing listing,
                     ReadModelListing(BaseModelFolder(config_, run_dir_), base));
    manifest = std::move(listing.manifest);
  }
  return Tokenizer::Create(manifest.texts().tokenizer_json(), manifest.texts().tokenizer_model());
}

absl::Status RunReader::UseAddress(const std::string& address) {
  ASSIGN_OR_RETURN(
      const auto security,
      Security::Load(CertificatesOf(run_dir_ + "/certificates", Role::kUser), Role::kUser));
  ASSIGN_OR_RETURN(const auto channel, MakeChannel(address, security));
  stub_ = Coordinator::NewStub(channel);
  plans_ =
      std::make_unique<PlanClient>(stub_.get(), /*term=*/0, stop_, [](const absl::Status& outage) {
        if (!outage.ok()) std::cerr << "reckon: waiting for: the coordinator does not answer\n";
      });
  return absl::OkStatus();
}

absl::Status RunReader::RefreshStatus() {
  grpc::ClientContext context;
  SetDeadline(&context, absl::Seconds(3));
  GetStatusRequest request;
  request.set_finished_plans(true);
  return FromGrpc(stub_->GetStatus(&context, request, &status_));
}

}  // namespace reckon
