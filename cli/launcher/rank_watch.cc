#include "cli/launcher/rank_watch.h"

#include <utility>

#include "absl/strings/str_format.h"
#include "common/base/stop.h"
#include "common/net/retry.h"

namespace reckon {
namespace {

constexpr absl::Duration kPollEvery = absl::Seconds(1);
constexpr absl::Duration kDeadline = absl::Seconds(2);
// Beyond the coordinator's timeout: the other ranks, which hear of it, end in this time.
constexpr absl::Duration kOthersEnd = absl::Seconds(5);

}  // namespace

RankWatch::RankWatch(std::shared_ptr<Coordinator::StubInterface> stub, absl::Duration rank_timeout)
    : stub_(std::move(stub)),
      limit_(rank_timeout + kOthersEnd),
      thread_([this](const std::stop_token& stop) { Run(stop); }) {}

void RankWatch::NewGroup() {
  {
    absl::MutexLock lock(&mu_);
    old_term_.reset();
  }
  Ask(std::stop_token());
}

std::string RankWatch::Trouble() {
  absl::MutexLock lock(&mu_);
  return trouble_;
}

void RankWatch::Run(const std::stop_token& stop) {
  while (!WaitForStop(stop, kPollEvery)) Ask(stop);
}

void RankWatch::Ask(const std::stop_token& stop) {
  GetStatusReply status;
  const absl::Status asked = CallOnce(stop, kDeadline, [&](grpc::ClientContext* context) {
    return stub_->GetStatus(context, {}, &status);
  });
  absl::MutexLock lock(&mu_);
  trouble_.clear();
  if (!asked.ok()) return;
  if (!old_term_.has_value()) old_term_ = status.term();
  if (status.term() == *old_term_) return;
  for (const RankStatus& rank : status.ranks()) {
    const absl::Duration silent = absl::Milliseconds(rank.silent_ms());
    if (silent < limit_) continue;
    trouble_ = absl::StrFormat("rank %d on %s has not been heard of for %.1f s", rank.rank(),
                               rank.host(), absl::ToDoubleSeconds(silent));
    return;
  }
}

}  // namespace reckon
