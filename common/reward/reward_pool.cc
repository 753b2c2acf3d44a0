#include "common/reward/reward_pool.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace reckon {
namespace {

constexpr size_t kLatest = 256;  // attempts
constexpr size_t kLeastLatest = 32;
constexpr size_t kAttempts = 2;  // of one completion

std::string Describe(const FailedAttempt& failed) {
  return absl::StrCat(RewardFailureName(failed.failure), failed.why.empty() ? "" : ": ",
                      failed.why);
}

}  // namespace

RewardPool::RewardPool(Options options) : options_(std::move(options)) {
  for (uint32_t i = 0; i < options_.spec.workers(); ++i) {
    threads_.emplace_back([this] { Work(*options_.make_worker()); });
  }
}

RewardPool::~RewardPool() {
  {
    absl::MutexLock lock(&mu_);
    stopping_ = true;
  }
  stop_.request_stop();
  for (std::thread& thread : threads_) thread.join();
}

absl::Status RewardPool::Add(ScoreRequest request, Done done) {
  absl::MutexLock lock(&mu_);
  if (queue_.size() >= options_.max_queued) {
    return absl::ResourceExhaustedError(
        absl::StrCat(queue_.size(), " completions wait for this reward already"));
  }
  queue_.push_back({std::move(request), std::move(done), {}});
  return absl::OkStatus();
}

void RewardPool::Work(RewardWorker& worker) {
  while (true) {
    Task task;
    {
      absl::MutexLock lock(&mu_);
      mu_.Await(absl::Condition(
          +[](RewardPool* pool) {
            pool->mu_.AssertHeld();
            return pool->stopping_ || !pool->queue_.empty();
          },
          this));
      if (stopping_) return;
      task = std::move(queue_.front());
      queue_.pop_front();
    }
    RewardOutcome outcome = worker.Score(task.request, stop_.get_token(),
                                         [this](const std::string& what) { SetWaitingFor(what); });
    if (stop_.stop_requested()) return;
    Note(outcome);
    Finish(std::move(task), std::move(outcome));
  }
}

void RewardPool::Finish(Task task, RewardOutcome outcome) {
  if (auto* value = std::get_if<RewardValue>(&outcome)) {
    task.done({std::move(*value), std::move(task.failures)});
    return;
  }
  const FailedAttempt& failed = std::get<FailedAttempt>(outcome);
  task.failures.push_back(failed.failure);
  if (failed.failure == RewardFailure::kRefused || task.failures.size() >= kAttempts) {
    task.done({absl::InternalError(Describe(failed)), std::move(task.failures)});
    return;
  }
  absl::MutexLock lock(&mu_);
  queue_.push_front(std::move(task));
}

void RewardPool::Note(const RewardOutcome& outcome) {
  const auto* failed = std::get_if<FailedAttempt>(&outcome);
  if (failed != nullptr) options_.on_failure(failed->failure);
  absl::MutexLock lock(&mu_);
  waiting_for_.clear();
  if (failed == nullptr) {
    latest_.push_back(std::nullopt);
  } else {
    latest_.push_back(failed->failure);
    last_failure_ = Describe(*failed);
  }
  if (latest_.size() > kLatest) latest_.pop_front();
}

std::string RewardPool::failing() const {
  absl::MutexLock lock(&mu_);
  const size_t succeeded = std::count(latest_.begin(), latest_.end(), std::nullopt);
  const size_t failed = latest_.size() - succeeded;
  const double share = options_.spec.max_failed_share();
  if (static_cast<double>(failed) <=
      share * static_cast<double>(std::max(latest_.size(), kLeastLatest))) {
    return "";
  }
  std::vector<std::string> counts;
  for (RewardFailure failure : kAllRewardFailures) {
    const auto count = std::count(latest_.begin(), latest_.end(), failure);
    if (count > 0) counts.push_back(absl::StrCat(RewardFailureName(failure), " ", count));
  }
  return absl::StrCat("reward '", options_.spec.name(), "': ", failed, " of the latest ",
                      latest_.size(), " attempts failed (", absl::StrJoin(counts, ", "),
                      "), above max_failed_share ", share, "; the last: ", last_failure_);
}

void RewardPool::Forgive() {
  absl::MutexLock lock(&mu_);
  latest_.clear();
}

std::string RewardPool::waiting_for() const {
  absl::MutexLock lock(&mu_);
  return waiting_for_;
}

void RewardPool::SetWaitingFor(const std::string& what) {
  absl::MutexLock lock(&mu_);
  waiting_for_ = what;
}

}  // namespace reckon
