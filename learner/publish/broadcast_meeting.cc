#include "learner/publish/broadcast_meeting.h"

#include <algorithm>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "common/net/channel.h"

namespace reckon {
namespace {

constexpr size_t kMostKnown = 1024;

std::string NewName() {
  std::random_device random;
  return absl::StrFormat("%08x%08x%08x", random(), random(), random());
}

absl::Status NotOpen(uint64_t version) {
  return absl::NotFoundError(absl::StrCat("version ", version, " is not broadcast now"));
}

}  // namespace

void BroadcastMeeting::Open(std::optional<uint64_t> version) {
  Answers answers;
  {
    absl::MutexLock lock(&mu_);
    if (open_.has_value()) RefuseJoins(NotOpen(*open_), &answers);
    open_ = version;
  }
  Give(answers);
}

absl::StatusOr<BroadcastMeeting::Group> BroadcastMeeting::Gather(uint64_t version,
                                                                 const std::stop_token& stop) {
  Answers answers;
  Group group;
  // Before the lock: its destructor waits for a callback that runs.
  const std::stop_callback wake(stop, [this] {
    absl::MutexLock lock(&mu_);
    ++events_;
  });
  {
    absl::MutexLock lock(&mu_);
    const auto over = [&] {
      mu_.AssertHeld();
      return ended_ || open_ != version || stop.stop_requested();
    };
    const auto begun = [&] {
      mu_.AssertHeld();
      return over() || !joined_.empty();
    };
    const auto decided = [&] {
      mu_.AssertHeld();
      return over() || AllJoined();
    };
    do {
      mu_.Await(absl::Condition(&begun));
      mu_.AwaitWithDeadline(absl::Condition(&decided), first_ + window_);
      if (stop.stop_requested() || ended_) return absl::CancelledError("stopped");
      if (over()) return NotOpen(version);
      std::erase_if(joined_, [&](const auto& joined) {
        if (!joined.second.context->IsCancelled()) return false;
        answers.push_back({joined.second.reactor, absl::CancelledError("the caller has gone")});
        return true;
      });
      if (joined_.empty()) first_ = absl::InfiniteFuture();
    } while (joined_.empty());

    bool kept = !group_.name.empty() && group_.members.size() == joined_.size();
    group.members.reserve(joined_.size());
    for (const std::string& member : known_) {
      if (!joined_.contains(member)) late_.insert(member);
    }
    known_.clear();
    for (const auto& [member, joined] : joined_) {
      kept = kept && joined.group == group_.name && group_.members[group.members.size()] == member;
      group.members.push_back(member);
      known_.insert(member);
      late_.erase(member);
    }
    // Many have left by now.
    if (late_.size() > kMostKnown) late_.clear();
    if (kept) {
      group_.kept = true;
    } else {
      ForgetGroup(&answers);
      group.name = NewName();
      group_ = group;
    }
    group = group_;
    uint32_t rank = 0;
    for (auto& [member, joined] : joined_) {
      joined.reply->set_group(group.name);
      joined.reply->set_rank(++rank);
      joined.reply->set_world(static_cast<uint32_t>(joined_.size()) + 1);
      joined.reply->set_gpu(gpu_);
      answers.push_back({joined.reactor, absl::OkStatus()});
    }
    joined_.clear();
    first_ = absl::InfiniteFuture();
    open_.reset();
  }
  Give(answers);
  return group;
}

absl::Status BroadcastMeeting::Meet(const RendezvousRequest& request, absl::Duration patience,
                                    RendezvousReply* reply) {
  const absl::Time deadline = absl::Now() + patience;
  Answers answers;
  absl::Status status;
  {
    absl::MutexLock lock(&mu_);
    const std::string group = group_.name;
    if (group.empty()) return absl::AbortedError("the group is over");
    while (!Do(request, reply, &status, &answers)) {
      const uint64_t seen = events_;
      const auto changed = [&] {
        mu_.AssertHeld();
        return events_ != seen;
      };
      const bool in_time = mu_.AwaitWithDeadline(absl::Condition(&changed), deadline);
      if (ended_ || group_.name != group) {
        status = absl::AbortedError("the group is over");
      } else if (!in_time) {
        status = absl::DeadlineExceededError("an actor that has joined does not connect");
      }
      if (!status.ok()) break;
    }
  }
  Give(answers);
  return status;
}

void BroadcastMeeting::Disband() {
  Answers answers;
  {
    absl::MutexLock lock(&mu_);
    ForgetGroup(&answers);
  }
  Give(answers);
}

void BroadcastMeeting::End() {
  Answers answers;
  {
    absl::MutexLock lock(&mu_);
    ended_ = true;
    ++events_;
    RefuseJoins(absl::UnavailableError("the learner stops"), &answers);
    ForgetGroup(&answers);
  }
  Give(answers);
}

grpc::ServerUnaryReactor* BroadcastMeeting::Join(grpc::CallbackServerContext* context,
                                                 const JoinBroadcastRequest* request,
                                                 JoinBroadcastReply* reply) {
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  Answers answers;
  {
    absl::MutexLock lock(&mu_);
    if (ended_ || open_ != request->version() || (gpu_ && !request->gpu())) {
      answers.push_back({reactor, NotOpen(request->version())});
      // Too late for this version: waited for the next time.
      if ((!gpu_ || request->gpu()) && known_.size() < kMostKnown &&
          !late_.contains(request->member())) {
        known_.insert(request->member());
      }
    } else {
      if (joined_.empty()) first_ = absl::Now();
      Joined& joined = joined_[request->member()];
      if (joined.reactor != nullptr) {
        answers.push_back({joined.reactor, absl::AbortedError("joined again")});
      }
      joined = {context, reactor, request->group(), reply};
    }
  }
  Give(answers);
  return reactor;
}

grpc::ServerUnaryReactor* BroadcastMeeting::Meet(grpc::CallbackServerContext* context,
                                                 const MeetRequest* request,
                                                 RendezvousReply* reply) {
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  Answers answers;
  {
    absl::MutexLock lock(&mu_);
    absl::Status status;
    if (group_.name.empty() || request->group() != group_.name) {
      answers.push_back({reactor, absl::AbortedError("the group is over")});
    } else if (Do(request->call(), reply, &status, &answers)) {
      answers.push_back({reactor, status});
    } else {
      waiting_.push_back({reactor, &request->call(), reply});
    }
  }
  Give(answers);
  return reactor;
}

bool BroadcastMeeting::Do(const RendezvousRequest& request, RendezvousReply* reply,
                          absl::Status* status, Answers* answers) {
  const auto one = [&](const RendezvousRequest& call, RendezvousReply* into, absl::Status* how) {
    mu_.AssertHeld();
    absl::StatusOr<std::optional<RendezvousReply>> done = keys_.Do(call, /*last=*/false);
    *how = done.status();
    if (!done.ok()) return true;
    if (!done->has_value()) return false;
    *into = **std::move(done);
    return true;
  };
  if (!one(request, reply, status)) return false;
  ++events_;
  std::erase_if(waiting_, [&](const Waiting& waiting) {
    absl::Status how;
    if (!one(*waiting.request, waiting.reply, &how)) return false;
    answers->push_back({waiting.reactor, how});
    return true;
  });
  return true;
}

bool BroadcastMeeting::AllJoined() const {
  return !known_.empty() && std::all_of(known_.begin(), known_.end(), [&](const auto& member) {
    mu_.AssertHeld();
    return joined_.contains(member);
  });
}

void BroadcastMeeting::RefuseJoins(const absl::Status& why, Answers* answers) {
  for (const auto& [member, joined] : joined_) answers->push_back({joined.reactor, why});
  joined_.clear();
  first_ = absl::InfiniteFuture();
}

void BroadcastMeeting::ForgetGroup(Answers* answers) {
  group_ = Group();
  keys_.Clear();
  for (const Waiting& waiting : waiting_) {
    answers->push_back({waiting.reactor, absl::AbortedError("the group is over")});
  }
  waiting_.clear();
  ++events_;
}

void BroadcastMeeting::Give(const Answers& answers) {
  for (const Answer& answer : answers) answer.reactor->Finish(ToGrpc(answer.status));
}

}  // namespace reckon
