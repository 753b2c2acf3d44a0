#ifndef RECKON_LEARNER_PUBLISH_BROADCAST_MEETING_H_
#define RECKON_LEARNER_PUBLISH_BROADCAST_MEETING_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/net/rendezvous.h"
#include "grpcpp/grpcpp.h"
#include "proto/weight_broadcast.grpc.pb.h"

namespace reckon {

// Decides who gets a broadcast version, by the WeightBroadcast service, beside the learner's weight
// server:
//
//   Open(version) --> actors Join --> Gather: all that were there last time have joined, or the
//                                     window is over since the first did
//        Join is answered with the group and the rank <--'
//
// The group of the version before is kept, connected, when the same actors have joined and each is
// still connected in it; else they get a new one. An actor that has not joined in time is left out
// of the version, and is not waited for again before it has come in time; a new one, which comes
// too late, is waited for the next time. Ranks are in the order of addresses, which puts neighbours
// beside each other.
//
// Also holds the keys by which the members of the group connect. A call has no thread: it is
// answered by the event that decides it. Owned by the Broadcaster, whose thread calls Gather, Meet
// and Disband; thread-safe.
class BroadcastMeeting : public WeightBroadcast::CallbackService {
 public:
  struct Group {
    std::string name;
    std::vector<std::string> members;  // by rank, from 1
    bool kept = false;                 // it is connected
  };

  // `gpu`: only actors with a GPU may join, and groups are between GPUs.
  BroadcastMeeting(absl::Duration window, bool gpu) : window_(window), gpu_(gpu) {}
  // Ends what still waits. The server must outlive it or have been shut down.
  ~BroadcastMeeting() override { End(); }

  // Actors may join for this version, and for no other; nothing: for none.
  void Open(std::optional<uint64_t> version) ABSL_LOCKS_EXCLUDED(mu_);
  // Blocks. CANCELLED: stopped. NOT_FOUND: another version is open.
  absl::StatusOr<Group> Gather(uint64_t version, const std::stop_token& stop)
      ABSL_LOCKS_EXCLUDED(mu_);
  // Rank 0's own call for the keys of the group. Blocks for `patience` at most.
  absl::Status Meet(const RendezvousRequest& request, absl::Duration patience,
                    RendezvousReply* reply) ABSL_LOCKS_EXCLUDED(mu_);
  // The group is over: its members, if they connect, end that, and the next one is new.
  void Disband() ABSL_LOCKS_EXCLUDED(mu_);
  // Refuses all calls from now on.
  void End() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  // A call and how it ends.
  struct Answer {
    grpc::ServerUnaryReactor* reactor = nullptr;
    absl::Status status;
  };
  using Answers = std::vector<Answer>;
  struct Joined {
    grpc::CallbackServerContext* context;
    grpc::ServerUnaryReactor* reactor;
    std::string group;
    JoinBroadcastReply* reply;
  };
  struct Waiting {
    grpc::ServerUnaryReactor* reactor;
    const RendezvousRequest* request;
    RendezvousReply* reply;
  };

  grpc::ServerUnaryReactor* Join(grpc::CallbackServerContext* context,
                                 const JoinBroadcastRequest* request,
                                 JoinBroadcastReply* reply) override;
  grpc::ServerUnaryReactor* Meet(grpc::CallbackServerContext* context, const MeetRequest* request,
                                 RendezvousReply* reply) override;

  // Refuses those who wait to join. The answers are given without the lock.
  void RefuseJoins(const absl::Status& why, Answers* answers) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void ForgetGroup(Answers* answers) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Does a call, and those that waited for it. False: it waits.
  bool Do(const RendezvousRequest& request, RendezvousReply* reply, absl::Status* status,
          Answers* answers) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool AllJoined() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  static void Give(const Answers& answers);

  const absl::Duration window_;
  const bool gpu_;
  absl::Mutex mu_;
  bool ended_ ABSL_GUARDED_BY(mu_) = false;
  std::optional<uint64_t> open_ ABSL_GUARDED_BY(mu_);               // version
  std::map<std::string, Joined> joined_ ABSL_GUARDED_BY(mu_);       // by member, for that version
  absl::Time first_ ABSL_GUARDED_BY(mu_) = absl::InfiniteFuture();  // when the first of them came
  std::set<std::string> known_ ABSL_GUARDED_BY(mu_);                // members that are waited for
  std::set<std::string> late_ ABSL_GUARDED_BY(mu_);                 // members that were left out
  Group group_ ABSL_GUARDED_BY(mu_);                                // no name: none
  Rendezvous keys_ ABSL_GUARDED_BY(mu_);                            // of that group
  std::vector<Waiting> waiting_ ABSL_GUARDED_BY(mu_);               // for keys
  uint64_t events_ ABSL_GUARDED_BY(mu_) = 0;  // counts what a blocked call may wait for
};

}  // namespace reckon

#endif  // RECKON_LEARNER_PUBLISH_BROADCAST_MEETING_H_
