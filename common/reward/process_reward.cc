#include "common/reward/process_reward.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/stop.h"
#include "common/reward/reward_lines.h"

namespace reckon {
namespace {

// For the start of an interpreter and its imports.
constexpr absl::Duration kLongestStart = absl::Minutes(1);
constexpr absl::Duration kShortestStart = absl::Seconds(1);
constexpr absl::Duration kFirstPause = absl::Milliseconds(100);
constexpr absl::Duration kLongestPause = absl::Seconds(5);

RewardFailure FailureOf(const absl::Status& status) {
  return absl::IsDeadlineExceeded(status)    ? RewardFailure::kTimeout
         : absl::IsResourceExhausted(status) ? RewardFailure::kBadReply
                                             : RewardFailure::kCrash;
}

}  // namespace

ProcessReward::ProcessReward(std::vector<std::string> argv, const RewardSpec& spec)
    : argv_(std::move(argv)), spec_(spec), starts_within_(kLongestStart) {}

RewardOutcome ProcessReward::Score(const ScoreRequest& request, const std::stop_token& stop,
                                   absl::FunctionRef<void(const std::string&)> /*waits*/) {
  if (process_ == nullptr && failures_ > 0) {
    const absl::Duration pause = kFirstPause * (1 << std::min(failures_ - 1, 10));
    WaitForStop(stop, std::min(pause, kLongestPause));
  }
  RewardOutcome outcome = Attempt(request, stop);
  const auto* failed = std::get_if<FailedAttempt>(&outcome);
  // A process that replies, if only that it refuses, is well.
  if (failed == nullptr || failed->failure == RewardFailure::kRefused ||
      failed->failure == RewardFailure::kNoNumber) {
    failures_ = 0;
  } else {
    process_ = nullptr;
    ++failures_;
  }
  return outcome;
}

RewardOutcome ProcessReward::Attempt(const ScoreRequest& request, const std::stop_token& stop) {
  if (process_ == nullptr) {
    absl::StatusOr<std::unique_ptr<LineProcess>> started =
        LineProcess::Start(argv_, uint64_t{spec_.memory_mib()} << 20);
    if (!started.ok()) {
      return FailedAttempt{RewardFailure::kNotStarted, std::string(started.status().message())};
    }
    process_ = *std::move(started);
    replied_ = false;
  }
  const absl::Duration timeout = absl::Milliseconds(spec_.timeout_ms());
  const absl::Duration limit = replied_ ? timeout : timeout + starts_within_;
  const absl::Time begin = absl::Now();
  const std::stop_callback kill(stop, [this] { process_->Kill(); });
  const absl::StatusOr<std::string> line = process_->Exchange(RequestLine(request), begin + limit);
  if (!line.ok()) {
    const RewardFailure failure = FailureOf(line.status());
    return FailedAttempt{failure,
                         failure == RewardFailure::kTimeout
                             ? absl::StrCat("no reply within ", absl::FormatDuration(limit))
                             : std::string(line.status().message())};
  }
  if (!std::exchange(replied_, true)) {
    starts_within_ = std::clamp(3 * (absl::Now() - begin), kShortestStart, kLongestStart);
  }
  return ReadReplyLine(request, *line);
}

}  // namespace reckon
