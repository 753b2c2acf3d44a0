#include "actor/actor.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/stop.h"
#include "common/net/retry.h"
// Last.
#include "common/base/log.h"

namespace reckon {
namespace {

// Between two looks at the weights client while there is no version to work with.
constexpr absl::Duration kLookEvery = absl::Seconds(1);
// One failed pass may be the fault of an item; several in a row are the fault of this process.
constexpr int kMaxFailures = 3;
// Between two failed passes, for memory that others hold to become free.
constexpr absl::Duration kPauseAfterFailure = absl::Seconds(1);
// Rollouts sent and not acknowledged, at least: small batches finish many samples per fsync.
constexpr size_t kMinWindow = 256;
// Samples in the engine and waiting for their rewards, as a multiple of the batch. Slow rewards
// bound the work that is leased, and never a pass of the engine.
constexpr int64_t kScoredBatches = 4;
// And as a multiple of the batch: when all samples of a batch finish in one pass, three more
// batches fit before the engine has to wait for the coordinator.
constexpr size_t kWindowBatches = 4;
// A batch at most whose size the runner chooses.
constexpr int64_t kMostBatch = 1024;

Uplink::Options UplinkOptions(const EngineOptions& engine) {
  const int64_t batch = engine.max_batch > 0 ? engine.max_batch : kMostBatch;
  return {.window = std::max<size_t>(kMinWindow, kWindowBatches * batch)};
}

absl::Status OfVersion(uint64_t version, const absl::Status& status) {
  return absl::Status(status.code(),
                      absl::StrCat("weight version ", version, ": ", status.message()));
}

}  // namespace

Actor::Actor(ActorOptions options, Coordinator::StubInterface* stub, ModelRunnerMaker maker,
             const Rewarder* rewarder, std::stop_token stop, std::unique_ptr<WeightServer> server,
             std::optional<SharedDevice> shared)
    : options_(std::move(options)),
      stop_(std::move(stop)),
      models_(std::move(maker)),
      shared_(std::move(shared)),
      throughput_(&metrics_, options_.report_every),
      scorer_({.rewarder = rewarder,
               .commands = options_.reward_commands,
               .security = options_.security,
               .notify = [this] { Wake(); },
               .on_failure = [this](RewardFailure failure) { metrics_.CountFailure(failure); }}),
      leases_(stub, options_.name, [this] { Wake(); }),
      uplink_(stub, options_.name, UplinkOptions(options_.engine), [this] { Wake(); }),
      weights_(stub, options_.security, [this] { Wake(); }, std::move(server), options_.fetch) {}

void Actor::Wake() {
  absl::MutexLock lock(&mu_);
  event_ = true;
}

void Actor::WaitForEvent(absl::Duration timeout) {
  absl::MutexLock lock(&mu_);
  mu_.AwaitWithTimeout(absl::Condition(&event_), timeout);
  event_ = false;
}

absl::Status Actor::Run() {
  const std::stop_callback wake(stop_, [this] { Wake(); });
  absl::Status status;
  metrics_.activity.SetStarted();
  while (!stop_.stop_requested() && status.ok()) {
    HandleAcks();
    HandleLeaseUpdates();
    DropInvalidated();
    if (HasDevice()) {
      LoadFetchedWeights();
      LoadInFlight();
      ChooseVersion();
      AdmitQueued();
    }
    SendScored();
    CheckRewards();
    UpdateDemand();
    if (!EngineIsIdle()) {
      metrics_.activity.Enter(ActorMetrics::kGenerate);
      status = RunPass();
      if (engine_ == nullptr) continue;
      throughput_.CountPass(*engine_, model_->version);
    } else {
      WaitIdle();
    }
  }
  left_.reset();
  UseModel(nullptr);
  if (shared_.has_value()) LeaveDevice();
  const EngineStats& made = throughput_.kept();
  LOG_IF(INFO, made.finished_samples > 0)
      << "made " << made.finished_samples << " rollouts, " << made.sampled_tokens << " tokens";
  LOG(INFO) << "stopping: " << open_.size() << " leases open, " << scorer_.pending()
            << " samples not yet scored, " << uplink_.unacknowledged()
            << " samples not yet acknowledged";
  // In this order: what is finished is sent first, then leases that its acknowledgements complete
  // are closed, and only the rest is returned, so that other actors may have it at once instead of
  // after it expires.
  uplink_.Flush(options_.stop_within / 2);
  HandleAcks();
  leases_.ReturnAll(options_.stop_within / 2);
  return status;
}

void Actor::WaitIdle() {
  const absl::Duration pause = troubles_.pause();
  const bool has_version = model_ != nullptr || left_.has_value();
  const bool turns = shared_.has_value() && (shared_->turn->held() || shared_->turn->in_line());
  // While a version is missing, a source that has stopped sending must be noticed.
  const bool waits = !has_version || !queued_.empty() || !troubles_.failing().empty();
  absl::Duration most = waits || scorer_.pending() > 0 ? kLookEvery : absl::InfiniteDuration();
  if (pause > absl::ZeroDuration()) most = std::min(most, pause);
  if (turns) most = std::min(most, DeviceTurn::kPoll);
  metrics_.activity.Enter(scorer_.pending() > 0                   ? ActorMetrics::kWaitRewards
                          : turns && shared_->turn->in_line()     ? ActorMetrics::kWaitTurn
                          : waits || pause > absl::ZeroDuration() ? ActorMetrics::kWaitWeights
                                                                  : ActorMetrics::kWaitLease);
  WaitForEvent(most);
}

void Actor::HandleAcks() {
  metrics_.unacknowledged.Set(static_cast<double>(uplink_.unacknowledged()));
  for (const Uplink::Ack& ack : uplink_.TakeAcks()) {
    if (!open_.Has(ack.lease)) continue;
    // Duplicates and late rollouts count like accepted ones: the coordinator wants nothing more of
    // the sample.
    if (ack.ack.outcome() == SubmitReply::Ack::REJECTED) {
      FailLease(ack.lease,
                absl::InvalidArgumentError(absl::StrCat("rollout rejected: ", ack.ack.message())));
    } else if (open_.Acknowledge(ack.lease)) {
      leases_.Complete(ack.lease);
    }
  }
}

void Actor::HandleLeaseUpdates() {
  LeaseClient::Updates updates = leases_.TakeUpdates();
  for (GrantedLease& granted : updates.granted) {
    const uint64_t id = granted.lease.id();
    // A coordinator that has lost its store may grant an id again.
    if (open_.Close(id) && engine_ != nullptr) engine_->Drop(id);
    if (granted.lease.samples().empty()) {
      leases_.Complete(id);
      continue;
    }
    open_.Open(id, granted.lease.samples_size());
    queued_.push_back(std::move(granted));
  }
  for (uint64_t id : updates.revoked) {
    if (!open_.Close(id)) continue;
    if (engine_ != nullptr) engine_->Drop(id);
    std::erase_if(queued_, [id](const GrantedLease& queued) { return queued.lease.id() == id; });
    VLOG(1) << "lease " << id << " revoked";
  }
}

void Actor::DropInvalidated() {
  if (!EngineIsIdle() || !weights_.invalidated()) return;
  UseModel(nullptr);
  models_.Clear();
  troubles_.ForgetRefusal();
  weights_.ClearInvalidated();
}

bool Actor::HasDevice() {
  if (!shared_.has_value()) return true;
  DeviceTurn& turn = *shared_->turn;
  if (turn.held()) {
    if (!EngineIsIdle() || !turn.wanted()) return true;
    LeaveDevice();
  }
  if (!WantsDevice()) {
    turn.Release();  // a place in line
    return false;
  }
  if (!turn.TryTake()) return false;
  admitted_in_turn_ = false;
  const std::string left = turn.left();
  reads_learners_memory_ = !left.empty();
  shared_->take(left);
  return true;
}

// For work whose version is here, so that the turn begins with it; and once for the first version,
// which says how large a batch may be.
bool Actor::WantsDevice() {
  if (weights_.has_fetched()) return !queued_.empty() || !left_.has_value();
  if (!queued_.empty()) weights_.Request(queued_.front().lease.weight_version());
  return false;
}

void Actor::LeaveDevice() {
  UseModel(nullptr);
  models_.Clear();
  shared_->leave();
  shared_->turn->Release();
}

// Until the engine is idle, the next version waits in the weights client. Stops when a version is
// loaded for which work is queued: loading more might unload that one.
void Actor::LoadFetchedWeights() {
  while (EngineIsIdle()) {
    DropInvalidated();
    if (model_ != nullptr && HasQueuedFor(*model_)) return;
    if (!queued_.empty() && models_.Find(queued_.front().lease.weight_version())) return;
    std::optional<WeightsClient::Fetched> fetched = weights_.TakeFetched();
    if (!fetched.has_value()) return;
    Load(*std::move(fetched));
  }
}

// The present model stays loaded until the engine has the newer one: of the two that ModelSet keeps
// it was used last.
void Actor::LoadInFlight() {
  if (options_.weights != ActorSettings::IN_FLIGHT || EngineIsIdle() || weights_.invalidated() ||
      !engine_->MayChangeVersion()) {
    return;
  }
  std::optional<WeightsClient::Fetched> fetched = weights_.TakeNewerThan(model_->version);
  if (!fetched.has_value()) return;
  if (models_.HasAnotherShape(*fetched->weights)) {
    LOG(WARNING) << "weights: version " << fetched->version
                 << " is of another model, returning the leases of the samples in flight";
    ReturnAdmitted();
    Load(*std::move(fetched));
    return;
  }
  // While the version in use is the one that has failed, if a pass has.
  if (const absl::Status finished = engine_->FinishStarted(); !finished.ok()) {
    FailPass(finished);
    Load(*std::move(fetched));
    return;
  }
  const ActivityScope scope(&metrics_.activity, ActorMetrics::kLoadWeights);
  const absl::Time begin = absl::Now();
  const absl::StatusOr<const LoadedModel*> model = models_.Add(fetched->version, *fetched->weights);
  if (!model.ok()) {
    Refuse(fetched->version, model.status());
    LOG(ERROR) << "weights: cannot load version " << fetched->version << ": " << model.status();
    return;
  }
  model_ = *model;
  troubles_.EndPause(model_->version);
  const absl::Status changed = engine_->ChangeRunner(
      model_->runner.get(), model_->version, options_.old_tokens == ActorSettings::RECOMPUTE);
  metrics_.version.Set(static_cast<double>(model_->version));
  metrics_.load_seconds.Observe(absl::ToDoubleSeconds(absl::Now() - begin));
  if (!changed.ok()) return FailPass(changed);
  LOG(INFO) << "weights: version " << model_->version << " in use, " << engine_->running()
            << " samples continue with it";
}

void Actor::Load(WeightsClient::Fetched fetched) {
  const ActivityScope scope(&metrics_.activity, ActorMetrics::kLoadWeights);
  const absl::Time begin = absl::Now();
  absl::Status status = fetched.weights.status();
  if (status.ok()) {
    // The engine goes first: it must not outlive its model, and Add may unload that one.
    const bool had_model = model_ != nullptr;
    const uint64_t former = had_model ? model_->version : 0;
    UseModel(nullptr);
    absl::StatusOr<const LoadedModel*> model = models_.Add(fetched.version, *fetched.weights);
    status = model.status();
    if (status.ok()) {
      UseModel(*model);
      LOG(INFO) << "weights: version " << fetched.version
                << " in use: " << fetched.weights->manifest.total_bytes() / 1000000
                << " MB fetched in " << absl::ToDoubleSeconds(fetched.took) << " s, loaded in "
                << absl::ToDoubleSeconds(absl::Now() - begin) << " s";
      metrics_.load_seconds.Observe(absl::ToDoubleSeconds(absl::Now() - begin));
      troubles_.EndPause(fetched.version);
      return;
    }
    Refuse(fetched.version, status);
    LOG(ERROR) << "weights: cannot load version " << fetched.version << ": " << status;
    if (had_model) UseModel(models_.Find(former));
  }
  // Returned instead of kept: another actor may be able to load the version, and the group must not
  // wait for this one. A source that does not answer is no fault of the attempt.
  const bool may_heal = IsTransient(status);
  std::erase_if(queued_, [&](const GrantedLease& queued) {
    if (queued.lease.weight_version() != fetched.version) return false;
    if (may_heal) {
      ReturnLease(queued.lease.id());
    } else {
      FailLease(queued.lease.id(), OfVersion(fetched.version, status));
    }
    return true;
  });
  troubles_.Pause(may_heal);
}

void Actor::Refuse(uint64_t version, const absl::Status& why) {
  metrics_.CountWeightError(/*refused=*/true);
  troubles_.Refuse(version, why);
}

void Actor::UseModel(const LoadedModel* model) {
  // Before the engine is destroyed, whose counts would be lost.
  throughput_.Keep(engine_.get());
  engine_ = nullptr;
  model_ = model;
  metrics_.activity.SetReady(model != nullptr || left_.has_value());
  if (model == nullptr) return;
  metrics_.version.Set(static_cast<double>(model->version));
  engine_ = std::make_unique<Engine>(model->runner.get(), model->tokenizer.get(), options_.engine,
                                     model->version);
  if (shared_.has_value()) left_ = {model->version, engine_->max_batch()};
}

void Actor::ChooseVersion() {
  if (!EngineIsIdle() || queued_.empty()) return;
  if (model_ != nullptr && HasQueuedFor(*model_)) return;
  const uint64_t version = queued_.front().lease.weight_version();
  if (const LoadedModel* model = models_.Find(version)) {
    UseModel(model);
    LOG(INFO) << "weights: version " << version << " in use again";
  } else {
    weights_.Request(version);
  }
}

void Actor::AdmitQueued() {
  if (model_ == nullptr || weights_.invalidated()) return;
  // Who waits for the device must not wait for ever.
  if (shared_.has_value() && admitted_in_turn_ && shared_->turn->wanted()) return;
  std::deque<GrantedLease> others;
  for (GrantedLease& queued : std::exchange(queued_, {})) {
    if (!Serves(*model_, queued)) {
      others.push_back(std::move(queued));
      continue;
    }
    const uint64_t id = queued.lease.id();
    const absl::Status admitted = engine_->Admit(queued.lease, std::move(queued.plan));
    if (admitted.ok()) {
      open_.Admit(id);
      admitted_in_turn_ = true;
    } else {
      FailLease(id, admitted);
      Wake();  // the engine may be idle still, with work for another version in the queue
    }
  }
  queued_ = std::move(others);
}

// Asks for the free slots of the engine and an eighth more, so that the slot of a finished sample
// is taken at once. No demand while leases of another version are queued: new work for the version
// in use would postpone them for ever.
void Actor::UpdateDemand() {
  int64_t demand = 0;
  const bool has_version = model_ != nullptr || left_.has_value();
  if (has_version && queued_.empty() && !weights_.invalidated() &&
      troubles_.pause() == absl::ZeroDuration() && troubles_.failing().empty()) {
    const int64_t batch = engine_ != nullptr ? engine_->max_batch() : left_->batch;
    const int64_t held = engine_ != nullptr ? engine_->running() + engine_->waiting() : 0;
    demand = std::min(batch + batch / 8, kScoredBatches * batch - scorer_.pending()) - held;
  }
  leases_.SetReport(troubles_.Report(scorer_.waiting_for(), weights_.trouble()));
  leases_.SetDemand(demand, model_ != nullptr   ? model_->version
                            : left_.has_value() ? left_->version
                                                : 0);
}

absl::Status Actor::RunPass() {
  absl::StatusOr<std::vector<FinishedSample>> finished = engine_->RunPass();
  if (!finished.ok()) {
    FailPass(finished.status());
    if (failures_ >= kMaxFailures) return finished.status();
    if (failures_ > 0) WaitForStop(stop_, kPauseAfterFailure);
    return absl::OkStatus();
  }
  failures_ = 0;
  if (!WeightsWereThere()) {
    LOG(WARNING) << "the learner has ended whose weights these samples are drawn with, returning "
                    "their leases";
    ReturnAdmitted();
    LeaveDevice();
    return absl::OkStatus();
  }
  if (sampled_ != model_->version && engine_->stats().sampled_tokens > 0) {
    sampled_ = model_->version;
    LOG(INFO) << "first token sampled with version " << model_->version;
  }
  for (FinishedSample& sample : *finished) ScoreFinished(std::move(sample));
  SendScored();
  return absl::OkStatus();
}

void Actor::FailPass(const absl::Status& why) {
  LOG(ERROR) << "a pass of version " << model_->version << " failed, returning its leases: " << why;
  // What was in flight is lost with the state of the cache. Queued leases have not used the engine
  // and stay.
  engine_->Clear();
  metrics_.pass_errors.Increment();
  if (absl::IsDataLoss(why)) {
    Refuse(model_->version, why);
    ReturnAdmitted();
  } else {
    ++failures_;
    FailAdmitted(why);
  }
}

void Actor::ScoreFinished(FinishedSample sample) {
  if (!open_.Has(sample.lease)) return;  // failed since: another sample of it was refused
  sample.rollout.set_actor(options_.name);
  metrics_.CountSample(sample);
  metrics_.scored.Increment();
  ScoringJob job;
  job.lease = sample.lease;
  job.plan = sample.group->plan;
  job.item = std::shared_ptr<const WorkItem>(sample.group, &sample.group->lease.item());
  job.rollout = std::move(sample.rollout);
  FillTexts(engine_->tokenizer(), &job);
  scorer_.Add(std::move(job));
}

void Actor::SendScored() {
  for (ScoringJob& job : scorer_.TakeScored()) {
    if (!open_.Has(job.lease)) continue;  // revoked or failed since
    if (!job.status.ok()) {
      metrics_.reward_errors.Increment();
      FailLease(job.lease, job.status);
      continue;
    }
    // Blocks while the window is full, and with it the engine: rollouts that the coordinator cannot
    // take must not pile up here. Leases are renewed by another thread meanwhile.
    const ActivityScope scope(&metrics_.activity, ActorMetrics::kWaitCoordinator);
    uplink_.Push(job.lease, job.rollout, stop_);
  }
}

void Actor::CheckRewards() {
  if (troubles_.Forgive()) scorer_.Forgive();
  if (!troubles_.failing().empty()) return;
  std::string failing = scorer_.failing();
  if (failing.empty()) return;
  troubles_.SetFailing(std::move(failing));
  // Of no use here, and no fault of the samples: another actor may have them.
  queued_.clear();
  if (engine_ != nullptr) engine_->Clear();
  for (uint64_t id : open_.all()) ReturnLease(id);
}

void Actor::FailLease(uint64_t lease, const absl::Status& why) {
  LOG(ERROR) << "lease " << lease << " failed: " << why;
  metrics_.failed_leases.Increment();
  if (engine_ != nullptr) engine_->Drop(lease);
  open_.Close(lease);
  leases_.Return(lease, why);
}

void Actor::ReturnLease(uint64_t lease) {
  open_.Close(lease);
  leases_.Return(lease, absl::OkStatus());
}

void Actor::FailAdmitted(const absl::Status& why) {
  for (uint64_t id : open_.admitted()) FailLease(id, why);
}

void Actor::ReturnAdmitted() {
  for (uint64_t id : open_.admitted()) ReturnLease(id);
}

bool Actor::WeightsWereThere() {
  return !shared_.has_value() || !reads_learners_memory_ || shared_->turn->leaver_lives();
}

bool Actor::Serves(const LoadedModel& model, const GrantedLease& queued) const {
  const uint64_t version = queued.lease.weight_version();
  if (version == model.version) return true;
  return options_.weights == ActorSettings::IN_FLIGHT && version < model.version &&
         !queued.plan->has_pinned_version() && !queued.plan->score_forced();
}

bool Actor::HasQueuedFor(const LoadedModel& model) const {
  return std::any_of(queued_.begin(), queued_.end(),
                     [&](const GrantedLease& queued) { return Serves(model, queued); });
}

}  // namespace reckon
