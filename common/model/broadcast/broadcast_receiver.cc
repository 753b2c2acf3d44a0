#include "common/model/broadcast/broadcast_receiver.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/host_port.h"
#include "common/base/status_macros.h"
#include "common/model/broadcast/chunk_checker.h"
#include "common/net/channel.h"
#include "common/net/retry.h"
// Last.
#include "common/base/log.h"

namespace reckon {
namespace {

// The learner may still send the version before, and then waits two seconds for others.
constexpr absl::Duration kJoin = absl::Seconds(10);
// Calls without an answer, in a row, after which a learner is not asked in its term: it cannot be
// reached from here but through other actors.
constexpr int kUnanswered = 2;

}  // namespace

void BroadcastReceiver::Receive(const WeightManifest& manifest, char* buffer,
                                const std::stop_token& stop,
                                const std::function<void(uint64_t)>& good) {
  const absl::Status status = Get(manifest, buffer, stop, good);
  if (status.ok()) return;
  // The others notice by its connections.
  group_.reset();
  group_name_.clear();
  if (absl::IsUnimplemented(status) || absl::IsNotFound(status) || stop.stop_requested()) return;
  LOG(WARNING) << "weight version " << manifest.version() << ", broadcast: " << status
               << "; what is missing is fetched";
}

absl::Status BroadcastReceiver::Get(const WeightManifest& manifest, char* buffer,
                                    const std::stop_token& stop,
                                    const std::function<void(uint64_t)>& good) {
  RETURN_IF_ERROR(Find(manifest));
  JoinBroadcastRequest request;
  request.set_version(manifest.version());
  request.set_member(options_.member);
  request.set_group(group_name_);
  request.set_gpu(options_.gpu);
  JoinBroadcastReply place;
  const absl::Status joined = CallOnce(stop, kJoin, [&](grpc::ClientContext* context) {
    return stub_->Join(context, request, &place);
  });
  unanswered_ = IsTransient(joined) ? unanswered_ + 1 : 0;
  if (absl::IsUnimplemented(joined) || unanswered_ == kUnanswered) broadcasts_ = false;
  RETURN_IF_ERROR(joined);
  RETURN_IF_ERROR(Connect(place, stop));
  ChunkChecker checker(manifest, buffer, good);
  const absl::Status passed =
      group_->Pass(absl::MakeSpan(buffer, manifest.total_bytes()),
                   absl::Now() + BroadcastLimit(manifest.total_bytes(), options_.silence), stop,
                   [&](uint64_t bytes) { checker.Have(bytes); });
  const uint64_t bad = checker.Finish();
  RETURN_IF_ERROR(passed);
  if (bad == 0) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat(bad, " chunks do not match their digests"));
}

absl::Status BroadcastReceiver::Find(const WeightManifest& manifest) {
  const std::string learner = absl::StrCat(manifest.sources(0), " ", manifest.term());
  if (learner != learner_) {
    ASSIGN_OR_RETURN(const auto channel,
                     MakeChannel(manifest.sources(0), options_.security, Service::kWeightSource));
    learner_ = learner;
    stub_ = WeightBroadcast::NewStub(channel);
    broadcasts_ = true;
    unanswered_ = 0;
  }
  return broadcasts_ ? absl::OkStatus() : absl::UnimplementedError("no broadcasts");
}

absl::Status BroadcastReceiver::Connect(const JoinBroadcastReply& reply,
                                        const std::stop_token& stop) {
  if (group_ != nullptr && reply.group() == group_name_) return absl::OkStatus();
  group_.reset();
  group_name_.clear();
  BroadcastPlace place;
  place.rank = static_cast<int>(reply.rank());
  place.world = static_cast<int>(reply.world());
  if (place.rank < 1 || place.rank >= place.world) {
    return absl::InternalError("the learner gave no place");
  }
  ASSIGN_OR_RETURN(const HostPort own, ParseHostPort(options_.member));
  place.host = own.host;
  place.gpu = reply.gpu();
  place.silence = options_.silence;
  place.meet = [stub = stub_, group = reply.group(), stop](
                   const RendezvousRequest& call, absl::Duration patience, RendezvousReply* found) {
    MeetRequest request;
    request.set_group(group);
    *request.mutable_call() = call;
    return CallOnce(stop, patience, [&](grpc::ClientContext* context) {
      return stub->Meet(context, request, found);
    });
  };
  ASSIGN_OR_RETURN(group_, MakeBroadcastGroup(place));
  group_name_ = reply.group();
  return absl::OkStatus();
}

}  // namespace reckon
