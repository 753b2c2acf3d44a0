#include "cli/launcher/local_session.h"

#include <cstdlib>
#include <filesystem>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "cli/launcher/local_roles.h"
#include "cli/launcher/run_dir.h"
#include "cli/launcher/supervisor.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/config/config.h"
#include "common/model/config.h"
#include "common/model/files/manifest.h"
#include "common/net/channel.h"
#include "common/net/run_certificates.h"
#include "common/task/dataset/dataset.h"
#include "common/task/prompt/askable.h"
#include "common/task/prompt/overlong.h"

namespace reckon {
namespace {

// A batch is one call for its rollouts, so it should not be small. Many may be open, because all
// samples are of the same version and none becomes stale.
constexpr uint32_t kGroupsPerBatch = 16;
constexpr uint32_t kOpenBatches = 64;

// LoadDataset names config keys in errors; here the file was given by a flag.
absl::Status AsFlag(const absl::Status& status, absl::string_view flag) {
  return absl::Status(status.code(), absl::StrCat(flag, ": ", status.message()));
}

DataSettings::Answers AnswersOf(const ProblemOptions& options) {
  if (options.answers == "text") return DataSettings::TEXT;
  return options.answers == "boxed" ? DataSettings::BOXED : DataSettings::NUMBERS;
}

DataSettings::Bad::Records BadRecordsOf(const ProblemOptions& options) {
  return options.bad_records == "leave-out" ? DataSettings::Bad::LEAVE_OUT
                                            : DataSettings::Bad::REFUSE;
}

absl::StatusOr<Dataset> Load(const ProblemOptions& options, const std::string& path,
                             absl::string_view flag, Split split, uint32_t at_most) {
  DataSettings data;
  data.set_train(AbsolutePath(path));
  data.set_eval(AbsolutePath(path));
  data.set_question_key(options.question_key);
  data.set_answer_key(options.answer_key);
  if (!options.body_key.empty()) data.set_body_key(options.body_key);
  data.set_answers(AnswersOf(options));
  data.set_bad_records(BadRecordsOf(options));
  const AnswerUse use = options.command.empty() ? AnswerUse::kCompared : AnswerUse::kOwnRewards;
  absl::StatusOr<Dataset> read = LoadDataset(data, split, use);
  if (!read.ok()) return AsFlag(read.status(), flag);
  if (at_most > 0 && read->problems.size() > at_most) read->problems.resize(at_most);
  return read;
}

}  // namespace

absl::StatusOr<std::unique_ptr<LocalSession>> LocalSession::Start(const ProblemOptions& options,
                                                                  const ContextNeed& need,
                                                                  std::stop_token stop) {
  std::unique_ptr<LocalSession> session(new LocalSession);
  session->stop_ = stop;
  session->forward_stop_.emplace(stop, RequestStop{session->ending_});
  absl::StatusOr<Weights> weights =
      ReadModelFolder(AbsolutePath(options.model), AbsolutePath(options.base));
  if (!weights.ok()) return AsFlag(weights.status(), "--model");
  session->weights_ = *std::move(weights);
  RETURN_IF_ERROR(session->LoadProblemsAndText(options));
  RETURN_IF_ERROR(session->ApplyOverlongRule(options, need));
  RETURN_IF_ERROR(session->StartRoles(options));
  return session;
}

absl::Status LocalSession::LoadProblemsAndText(const ProblemOptions& options) {
  DataSettings settings;
  DataSettings::Format format;
  std::string name = options.format == "few-shot" ? "few_shot" : options.format;
  if (!DataSettings::Format_Parse(absl::AsciiStrToUpper(name), &format)) {
    return absl::InvalidArgumentError("--format: must be plain, chat or few-shot");
  }
  if (format != DataSettings::CHAT && !options.chat_template_kwargs.empty()) {
    return absl::InvalidArgumentError("--chat-template-kwargs is for --format chat");
  }
  std::vector<Problem> examples;
  bool from_data = false;
  if (format == DataSettings::FEW_SHOT) {
    from_data = options.examples.empty() && options.data != "builtin";
    std::string source = !options.examples.empty() ? options.examples : options.data;
    ASSIGN_OR_RETURN(Dataset read,
                     Load(options, source, options.examples.empty() ? "--data" : "--examples",
                          Split::kTrain, options.few_shot));
    examples = std::move(read.problems);
  }
  // Examples that are taken from the data are not evaluated.
  size_t skip = from_data ? examples.size() : 0;
  uint32_t at_most = options.limit == 0 ? 0 : options.limit + static_cast<uint32_t>(skip);
  ASSIGN_OR_RETURN(Dataset read, Load(options, options.data, "--data", Split::kEval, at_most));
  problems_ = std::move(read.problems);
  notes_ = weights_.notes;
  for (std::string& note : read.notes) notes_.push_back(std::move(note));
  problems_.erase(problems_.begin(), problems_.begin() + std::min(skip, problems_.size()));
  if (problems_.empty())
    return absl::InvalidArgumentError(
        "--data: no problems are left after the few-shot examples; raise --limit or give more "
        "problems");

  settings.set_format(format);
  settings.set_answers(AnswersOf(options));
  settings.set_system_prompt(options.system_prompt);
  settings.set_chat_template_kwargs(options.chat_template_kwargs);
  ASSIGN_OR_RETURN(text_, LoadModelText(weights_.texts(), settings));
  ASSIGN_OR_RETURN(formatter_, MakeFormatter(text_, format, std::move(examples)));
  BadRecords left_out;
  RETURN_IF_ERROR(KeepAskable(*formatter_, BadRecordsOf(options), "--data", &problems_, &left_out));
  for (std::string& line : left_out.Lines()) notes_.push_back("left out:" + line);
  return absl::OkStatus();
}

absl::Status LocalSession::ApplyOverlongRule(const ProblemOptions& options,
                                             const ContextNeed& need) {
  ASSIGN_OR_RETURN(const ModelConfig shape,
                   ModelConfig::Parse(weights_.manifest.texts().config_json()));
  const OverlongProblems overlong =
      FindOverlong(problems_, shape.max_positions, [&](const Problem& problem) {
        const int64_t needed = need.tokens(*formatter_, problem);
        return PromptTokens(*formatter_, problem, shape.max_positions - needed) + needed;
      });
  const absl::Status refused =
      RefuseOverlong("--data", problems_, overlong,
                     absl::StrCat("the model's ", shape.max_positions, " positions"),
                     absl::StrCat("prompt and ", need.what),
                     "shorten it, or count such problems as wrong with --overlong count-wrong");
  if (options.overlong == "refuse") return refused;
  if (overlong.indices.size() == problems_.size()) return refused;
  for (size_t i : overlong.indices) overlong_.push_back(problems_[i]);
  RemoveProblems(overlong.indices, &problems_);
  return absl::OkStatus();
}

absl::Status LocalSession::StartRoles(const ProblemOptions& options) {
  RunConfig config;
  config.set_name("local");
  config.mutable_model()->set_compute(options.fp32 ? ModelSettings::FP32 : ModelSettings::BF16);
  config.mutable_resources()->mutable_actor()->set_cpus(options.threads);
  config.mutable_actor()->set_max_batch(options.max_batch);
  config.mutable_actor()->set_kv_cache_mib(options.kv_cache_mib);
  if (!options.command.empty()) {  // an actor starts only commands that it was started with
    config.mutable_eval()->mutable_reward()->set_kind(RewardSpec::PROCESS);
    config.mutable_eval()->mutable_reward()->set_command(options.command);
  }
  ASSIGN_OR_RETURN(folder_, MakeTemporaryFolder());
  RETURN_IF_ERROR(MakeFolders(folder_ + "/logs"));
  RETURN_IF_ERROR(EnsureRunCertificates(folder_, config.name()).status());
  thread_ = std::jthread([this, config] { Supervise(config); });
  started_.WaitForNotification();
  if (ended_.HasBeenNotified()) return status_;
  return Explain(Publish());
}

void LocalSession::Supervise(const RunConfig& config) {
  Supervisor supervisor{Supervisor::Options()};
  LocalRoles roles(config, {.run_dir = folder_, .logs = folder_ + "/logs"});
  absl::StatusOr<std::string> address = roles.StartCoordinator(&supervisor, stop_);
  absl::Status status = address.status();
  if (status.ok()) status = roles.StartActors(&supervisor, *address);
  if (status.ok()) {
    address_ = *address;
    started_.Notify();
    status = supervisor.Run(ending_.get_token(), [] {});
  }
  supervisor.StopAll();
  status_ = status;
  ended_.Notify();
  if (!started_.HasBeenNotified()) started_.Notify();
  ending_.request_stop();  // ends calls in progress
}

absl::Status LocalSession::Publish() {
  // This process is what a learner is to a run.
  ASSIGN_OR_RETURN(
      const auto security,
      Security::Load(CertificatesOf(folder_ + "/certificates", Role::kLearner), Role::kLearner));
  ASSIGN_OR_RETURN(server_, WeightServer::Start("127.0.0.1:0", security));
  ASSIGN_OR_RETURN(const auto channel, MakeChannel(address_, security));
  stub_ = Coordinator::NewStub(channel);
  BeginTermRequest begin;
  begin.set_learner("local");
  begin.set_world_size(1);
  begin.set_nonce(MakeNonce());
  BeginTermReply term;
  {
    grpc::ClientContext context;
    SetDeadline(&context, absl::Seconds(10));
    RETURN_IF_ERROR(FromGrpc(stub_->BeginTerm(&context, begin, &term)));
  }
  PublishWeightsRequest publish;
  *publish.mutable_manifest() = weights_.manifest;
  publish.mutable_manifest()->set_version(0);
  publish.mutable_manifest()->set_texts_sha256(TextsDigest(weights_.texts()));
  publish.mutable_manifest()->set_term(term.term());
  publish.mutable_manifest()->add_sources(server_->address());
  server_->Add(0, weights_);
  MarkReply reply;
  grpc::ClientContext context;
  SetDeadline(&context, absl::Seconds(30));
  RETURN_IF_ERROR(FromGrpc(stub_->PublishWeights(&context, publish, &reply)));
  plans_ = std::make_unique<PlanClient>(stub_.get(), term.term(), ending_.get_token());
  return absl::OkStatus();
}

absl::Status LocalSession::Explain(absl::Status status) {
  if (status.ok()) return status;
  if (stop_.stop_requested()) return absl::CancelledError("stopped");
  if (ended_.HasBeenNotified() && !status_.ok()) return status_;
  return status;
}

PlanSpec LocalSession::MakeSpec(const std::string& name) const {
  PlanSpec spec;
  spec.set_name(name);
  spec.set_samples_per_group(1);
  spec.set_groups_per_batch(kGroupsPerBatch);
  spec.set_max_open_batches(kOpenBatches);
  spec.set_pinned_version(0);
  for (uint32_t id : formatter_->StopTokenIds()) spec.add_stop_token_ids(id);
  for (const std::string& text : formatter_->StopStrings()) {
    spec.add_stop_strings(text);
  }
  return spec;
}

absl::Status LocalSession::Run(const PlanSpec& spec,
                               const std::function<void(const Problem&, WorkItem*)>& prepare,
                               const std::function<absl::Status(const Batch&)>& each,
                               const std::function<void(const PlanView&)>& show) {
  size_t next = 0;
  auto item = [&]() -> std::optional<WorkItem> {
    if (next == problems_.size()) return std::nullopt;
    const Problem& problem = problems_[next];
    WorkItem item;
    item.set_group(next++);
    for (uint32_t id : formatter_->Prompt(problem)) item.add_prompt_tokens(id);
    item.mutable_reference()->set_answer(problem.answer);
    item.mutable_reference()->set_solution(problem.solution);
    item.mutable_reference()->set_columns(problem.columns);
    item.set_source(problem.source);
    prepare(problem, &item);
    return item;
  };
  PlanWatch watch(stub_.get(), spec, /*term=*/0, show);
  return Explain(
      RunPlanToEnd(plans_.get(), spec, /*version=*/0, item, each, [&] { return watch.Check(); }));
}

LocalSession::~LocalSession() {
  ending_.request_stop();
  if (thread_.joinable()) thread_.join();
  bool failed = !status_.ok() && !absl::IsCancelled(status_);
  std::error_code ignored;
  if (!folder_.empty() && !failed) std::filesystem::remove_all(folder_, ignored);
}

}  // namespace reckon
