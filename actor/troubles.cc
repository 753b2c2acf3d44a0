#include "actor/troubles.h"

#include <algorithm>
#include <utility>

#include "absl/time/clock.h"
// Last.
#include "common/base/log.h"

namespace reckon {
namespace {

// A version that did not load will not load a second later either: without a pause the actor would
// lease and fail every group of the plan, which sets a group aside after three failed attempts.
constexpr absl::Duration kPauseAfterRefusal = absl::Seconds(10);
// A source that did not answer may answer soon.
constexpr absl::Duration kPauseAfterNoAnswer = absl::Seconds(2);
// Rewards that failed may be well again after what the user has changed, or on a machine that had
// no memory.
constexpr absl::Duration kPauseAfterFailing = absl::Minutes(1);

}  // namespace

void Troubles::Refuse(uint64_t version, const absl::Status& why) {
  refusal_ = {version, std::string(why.message())};
  Pause(/*may_heal=*/false);
}

void Troubles::Pause(bool may_heal) {
  pause_until_ = absl::Now() + (may_heal ? kPauseAfterNoAnswer : kPauseAfterRefusal);
}

void Troubles::EndPause(uint64_t version) {
  pause_until_ = absl::InfinitePast();
  if (refusal_.has_value() && refusal_->version == version) refusal_.reset();
}

absl::Duration Troubles::pause() const {
  return std::max(pause_until_ - absl::Now(), absl::ZeroDuration());
}

void Troubles::SetFailing(std::string why) {
  failing_ = std::move(why);
  LOG(ERROR) << failing_ << "; taking no work for " << kPauseAfterFailing;
  forgive_at_ = absl::Now() + kPauseAfterFailing;
}

bool Troubles::Forgive() {
  if (absl::Now() < forgive_at_) return false;
  forgive_at_ = absl::InfiniteFuture();
  failing_.clear();
  return true;
}

ActorReport Troubles::Report(const std::string& waiting_for,
                             const std::optional<WeightsClient::Trouble>& trouble) const {
  ActorReport report;
  report.set_failing_because(failing_);
  report.set_waiting_for(waiting_for);
  if (refusal_.has_value()) {
    report.set_refused_version(refusal_->version);
    report.set_refused_because(refusal_->why);
  }
  if (!trouble.has_value()) return report;
  const std::string why(trouble->why.message());
  if (trouble->refused) {
    report.set_refused_version(trouble->version);
    report.set_refused_because(why);
  } else {
    report.set_waiting_for(why);
  }
  return report;
}

}  // namespace reckon
