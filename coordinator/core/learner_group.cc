#include "coordinator/core/learner_group.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/printable.h"
#include "common/base/status_macros.h"
#include "coordinator/store/store_keys.h"
#include "proto/storage.pb.h"

namespace reckon {
namespace {

// Ticks follow each other within milliseconds. A longer gap is time in which nobody was heard.
constexpr absl::Duration kLongestTick = absl::Seconds(1);
// What a rank needs, at the longest, to find a coordinator that was restarted: the end of its
// attempt and of the channel's back-off (common/net/retry.h, channel.h).
constexpr absl::Duration kReturn = absl::Seconds(6);
constexpr size_t kShownFailure = 600;  // characters

std::string Name(uint32_t rank, const std::string& host) {
  return absl::StrCat("rank ", rank, " on ", host);
}

}  // namespace

absl::Status LearnerGroup::Restore() {
  bool sound = true;
  StoredRank stored;
  RETURN_IF_ERROR(store_->Scan("l", "", [&](absl::string_view key, absl::string_view value) {
    sound = stored.ParseFromArray(value.data(), static_cast<int>(value.size()));
    if (!sound) return false;
    Rank& rank = ranks_[static_cast<uint32_t>(store_keys::LastNumber(key))];
    rank.host = stored.host();
    rank.left = stored.left();
    return true;
  }));
  return sound ? absl::OkStatus() : absl::DataLossError("the store's rank is damaged");
}

void LearnerGroup::Clear(Writes& writes) {
  for (const auto& [number, rank] : ranks_) writes.Delete(store_keys::Rank(number));
  ranks_.clear();
}

void LearnerGroup::Note(const HeartbeatRequest& request, absl::Time now, Writes& writes) {
  const auto [found, added] = ranks_.try_emplace(request.rank());
  Rank& rank = found->second;
  rank.heard = now;
  if (!added && rank.host == request.host() && rank.left == request.leaving()) return;
  rank.host = request.host();
  rank.left = request.leaving();
  StoredRank stored;
  stored.set_host(rank.host);
  stored.set_left(rank.left);
  writes.Put(store_keys::Rank(request.rank()), stored.SerializeAsString());
}

std::string LearnerGroup::Tick(absl::Time now) {
  const absl::Duration gap = now - last_tick_;
  last_tick_ = now;
  const absl::Duration asleep = gap > kLongestTick ? gap : absl::ZeroDuration();
  std::string missed;
  absl::Duration longest = timeout_;
  for (auto& [number, rank] : ranks_) {
    if (rank.heard == absl::InfiniteFuture()) rank.heard = now + kReturn;  // recovered
    rank.heard += asleep;
    const absl::Duration silence = now - rank.heard;
    if (rank.left || silence < longest) continue;
    longest = silence;
    missed = absl::StrFormat("%s has not been heard of for %.1f s", Name(number, rank.host),
                             absl::ToDoubleSeconds(silence));
  }
  return missed;
}

std::string LearnerGroup::Failed(const HeartbeatRequest& request) const {
  std::string out = absl::StrCat(Name(request.rank(), request.host()),
                                 " failed: ", Printable(request.failure(), kShownFailure));
  // What fails may be a call that one of these had to join.
  for (const auto& [number, rank] : ranks_) {
    if (!rank.left || number == request.rank()) continue;
    absl::StrAppend(&out, "; ", Name(number, rank.host), " had left");
    break;
  }
  return out;
}

void LearnerGroup::List(absl::Time now, GetStatusReply* reply) const {
  for (const auto& [number, rank] : ranks_) {
    if (rank.left) continue;
    RankStatus* status = reply->add_ranks();
    status->set_rank(number);
    status->set_host(rank.host);
    const absl::Duration silence = std::max(absl::ZeroDuration(), now - rank.heard);
    status->set_silent_ms(absl::ToInt64Milliseconds(silence));
  }
}

}  // namespace reckon
