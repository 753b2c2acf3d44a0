#include "actor/actor.h"

#include <algorithm>
#include <optional>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
// Last.
#include "common/base/log.h"

namespace reckon {
namespace {

constexpr absl::Duration kPauseAfterRefusal = absl::Seconds(10);
constexpr int kMaxFailures = 3;

Uplink::Options UplinkOptions(const EngineOptions& engine) {
  Uplink::Options options;
  options.window = std::max<size_t>(256, 4 * engine.max_batch);
  return options;
}

}  // namespace

Actor::Actor(ActorOptions options, Coordinator::StubInterface* stub, PolicyMaker maker,
             const Rewarder* rewarder, const StopToken* stop)
    : options_(std::move(options)),
      rewarder_(rewarder),
      stop_(stop),
      models_(std::move(maker)),
      report_at_(absl::Now() + options_.report_every),
      leases_(stub, options_.name, [this] { Wake(); }),
      uplink_(stub, options_.name, UplinkOptions(options_.engine), [this] { Wake(); }),
      weights_(stub, [this] { Wake(); }) {}

void Actor::Wake() {
  absl::MutexLock lock(&mu_);
  news_ = true;
}

void Actor::WaitForNews(absl::Duration timeout) {
  absl::MutexLock lock(&mu_);
  mu_.AwaitWithTimeout(absl::Condition(&news_), timeout);
  news_ = false;
}

absl::Status Actor::Run() {
  StopToken ended;
  std::thread watcher([this, &ended] {
    while (!ended.stopped() && !stop_->WaitFor(absl::Milliseconds(500))) {
    }
    Wake();
  });
  absl::Status status;
  while (!stop_->stopped() && status.ok()) {
    TakeAcks();
    TakeNews();
    TakeWeights();
    AdmitQueued();
    if (engine_ == nullptr || engine_->idle()) ChangeVersion();
    SetWanted();
    if (engine_ != nullptr && !engine_->idle()) {
      status = StepEngine();
      Report();
    } else {
      const absl::Duration pause = pause_until_ - absl::Now();
      WaitForNews(pause > absl::ZeroDuration() ? pause : absl::InfiniteDuration());
    }
  }
  ended.Stop();
  watcher.join();
  Use(nullptr);
  LOG_IF(INFO, total_.finished_samples > 0)
      << "made " << total_.finished_samples << " rollouts, " << total_.sampled_tokens << " tokens";
  LOG(INFO) << "stopping: " << open_.size() << " leases open, " << uplink_.unacknowledged()
            << " samples not yet acknowledged";
  uplink_.Flush(options_.stop_within / 2);
  TakeAcks();
  leases_.ReturnAll(options_.stop_within / 2);
  return status;
}

void Actor::TakeNews() {
  LeaseClient::News news = leases_.Take();
  for (LeasedWork& work : news.leases) {
    const uint64_t id = work.lease.lease();
    // A coordinator that lost its memory may use a number again.
    if (open_.erase(id) > 0 && engine_ != nullptr) engine_->Drop(id);
    if (work.lease.samples().empty()) {
      leases_.Forget(id);
      continue;
    }
    open_[id].missing = work.lease.samples_size();
    queued_.push_back(std::move(work));
  }
  for (uint64_t id : news.lost) {
    if (open_.erase(id) == 0) continue;
    if (engine_ != nullptr) engine_->Drop(id);
    queued_.erase(std::remove_if(queued_.begin(), queued_.end(),
                                 [id](const LeasedWork& w) { return w.lease.lease() == id; }),
                  queued_.end());
    VLOG(1) << "lease " << id << " lost";
  }
}

void Actor::TakeAcks() {
  for (const Uplink::Ack& ack : uplink_.TakeAcks()) {
    auto lease = open_.find(ack.lease);
    if (lease == open_.end()) continue;
    if (ack.ack.outcome() == SubmitReply::Ack::REJECTED) {
      Fail(ack.lease,
           absl::InvalidArgumentError(absl::StrCat("rollout rejected: ", ack.ack.message())));
    } else if (--lease->second.missing == 0) {
      leases_.Forget(ack.lease);
      open_.erase(lease);
    }
  }
}

// Loads weights only when nothing is in flight and no work waits for a version that is loaded;
// until then the next version waits in memory.
void Actor::TakeWeights() {
  while (engine_ == nullptr || engine_->idle()) {
    if (weights_.stale()) {
      Use(nullptr);
      models_.Clear();
      weights_.ClearStale();
    }
    if (!queued_.empty() && models_.Find(queued_.front().lease.weight_version())) return;
    std::optional<WeightsClient::Fetched> fetched = weights_.Take();
    if (!fetched.has_value()) return;
    Build(*std::move(fetched));
    AdmitQueued();
  }
}

void Actor::Build(WeightsClient::Fetched fetched) {
  const absl::Time begin = absl::Now();
  absl::Status status = fetched.weights.status();
  if (status.ok()) {
    // An engine must not outlive its model, and adding one may drop another.
    const bool had_one = model_ != nullptr;
    const uint64_t before = had_one ? model_->version : 0;
    Use(nullptr);
    absl::StatusOr<const Model*> model = models_.Add(fetched.version, *fetched.weights);
    status = model.status();
    if (status.ok()) {
      Use(*model);
      LOG(INFO) << "weights: version " << fetched.version
                << " in use: " << fetched.weights->manifest.total_bytes() / 1000000
                << " MB fetched in " << absl::ToDoubleSeconds(fetched.took) << " s, loaded in "
                << absl::ToDoubleSeconds(absl::Now() - begin) << " s";
      pause_until_ = absl::InfinitePast();
      return;
    }
    LOG(ERROR) << "weights: version " << fetched.version << " refused: " << status;
    if (had_one) Use(models_.Find(before));
  }
  FailQueued(fetched.version,
             absl::Status(status.code(), absl::StrCat("weight version ", fetched.version, ": ",
                                                      status.message())));
  pause_until_ = absl::Now() + kPauseAfterRefusal;
}

void Actor::Use(const Model* model) {
  if (engine_ != nullptr) {
    const EngineStats& s = engine_->stats();
    total_.sampled_tokens += s.sampled_tokens;
    total_.prefilled_tokens += s.prefilled_tokens;
    total_.finished_samples += s.finished_samples;
    total_.decode_steps += s.decode_steps;
  }
  engine_ = nullptr;
  model_ = model;
  if (model == nullptr) return;
  engine_ = std::make_unique<Engine>(model->policy.get(), model->tokenizer.get(), options_.engine);
}

void Actor::AdmitQueued() {
  if (model_ == nullptr || weights_.stale()) return;
  for (auto it = queued_.begin(); it != queued_.end();) {
    if (it->lease.weight_version() != model_->version) {
      ++it;
      continue;
    }
    const LeasedWork work = std::move(*it);
    it = queued_.erase(it);
    const absl::Status admitted = engine_->Admit(work.lease, work.plan);
    if (admitted.ok()) {
      open_[work.lease.lease()].in_engine = true;
    } else {
      Fail(work.lease.lease(), admitted);
    }
  }
}

// Nothing is in flight: goes on with the version that waiting work asks for.
void Actor::ChangeVersion() {
  if (queued_.empty()) return;
  const uint64_t version = queued_.front().lease.weight_version();
  if (const Model* model = models_.Find(version)) {
    Use(model);
    LOG(INFO) << "weights: version " << version << " in use again";
    AdmitQueued();
  } else {
    weights_.Want(version);
  }
}

absl::Status Actor::StepEngine() {
  absl::StatusOr<std::vector<FinishedSample>> finished = engine_->Step();
  if (!finished.ok()) {
    LOG(ERROR) << "the engine failed, its leases are given back: " << finished.status();
    engine_->Clear();
    std::vector<uint64_t> failed;
    for (const auto& [id, lease] : open_) {
      if (lease.in_engine) failed.push_back(id);
    }
    for (uint64_t id : failed) Fail(id, finished.status());
    // One bad item is the item's fault; failing at every turn is this process's.
    if (++failures_ >= kMaxFailures) return finished.status();
    stop_->WaitFor(absl::Seconds(1));
    return absl::OkStatus();
  }
  failures_ = 0;
  if (!sampled_ && engine_->stats().sampled_tokens > 0) {
    sampled_ = true;
    LOG(INFO) << "first token sampled";
  }
  for (const FinishedSample& sample : *finished) Upload(sample);
  return absl::OkStatus();
}

void Actor::Upload(const FinishedSample& sample) {
  if (open_.count(sample.lease) == 0) return;  // failed or lost meanwhile
  Rollout rollout = sample.rollout;
  rollout.set_actor(options_.name);
  const absl::Status judged = AddRewards(
      *rewarder_, *sample.group->plan, sample.group->lease.item(), engine_->tokenizer(), &rollout);
  if (!judged.ok()) {
    Fail(sample.lease, judged);
    return;
  }
  while (!stop_->stopped()) {
    if (uplink_.Push(sample.lease, rollout, absl::Milliseconds(200))) return;
  }
}

void Actor::Fail(uint64_t lease, const absl::Status& why) {
  LOG(ERROR) << "lease " << lease << " failed: " << why;
  if (engine_ != nullptr) engine_->Drop(lease);
  open_.erase(lease);
  leases_.Return(lease, why);
}

void Actor::FailQueued(uint64_t version, const absl::Status& why) {
  std::deque<LeasedWork> rest;
  for (LeasedWork& work : queued_) {
    if (work.lease.weight_version() == version) {
      Fail(work.lease.lease(), why);
    } else {
      rest.push_back(std::move(work));
    }
  }
  queued_ = std::move(rest);
}

// Free slots, and a few samples in reserve so that a slot that comes free is taken at once. None
// while work of another version waits, or that would wait for ever.
void Actor::SetWanted() {
  int64_t wanted = 0;
  if (model_ != nullptr && queued_.empty() && !weights_.stale() && absl::Now() >= pause_until_) {
    const int64_t batch = options_.engine.max_batch;
    wanted = batch + batch / 8 - engine_->running() - engine_->waiting();
  }
  leases_.Want(wanted, model_ == nullptr ? 0 : model_->version);
}

void Actor::Report() {
  const absl::Time now = absl::Now();
  if (now < report_at_) return;
  const EngineStats& s = engine_->stats();
  const int64_t sampled = total_.sampled_tokens + s.sampled_tokens;
  const int64_t prefilled = total_.prefilled_tokens + s.prefilled_tokens;
  const int64_t finished = total_.finished_samples + s.finished_samples;
  const double seconds = absl::ToDoubleSeconds(now - report_at_ + options_.report_every);
  LOG(INFO) << "version " << model_->version << ": "
            << static_cast<int64_t>((sampled - reported_.sampled_tokens) / seconds)
            << " sampled and "
            << static_cast<int64_t>((prefilled - reported_.prefilled_tokens) / seconds)
            << " prompt tokens/s, " << finished - reported_.finished_samples
            << " samples finished, " << engine_->running() << " running, " << engine_->waiting()
            << " waiting";
  reported_.sampled_tokens = sampled;
  reported_.prefilled_tokens = prefilled;
  reported_.finished_samples = finished;
  report_at_ = now + options_.report_every;
}

}  // namespace reckon
