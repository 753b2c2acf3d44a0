#include "learner/publish/broadcaster.h"

#include <cstring>
#include <functional>
#include <future>
#include <memory>
#include <vector>

#include "common/base/rng.h"
#include "common/model/broadcast/broadcast_receiver.h"
#include "common/model/files/manifest.h"
#include "common/model/transfer/fetch.h"
#include "common/net/channel.h"
#include "common/testing/await.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

constexpr uint64_t kChunks = 5;
constexpr uint64_t kBytes = kChunks * kChunkBytes;

// Random bytes.
Weights MakeVersion(uint64_t version, uint64_t seed, uint64_t chunks = kChunks) {
  Weights weights;
  TensorEntry* tensor = weights.manifest.add_tensors();
  tensor->set_name("w");
  tensor->set_dtype("F32");
  tensor->add_shape(static_cast<int64_t>(chunks * kChunkBytes / 4));
  EXPECT_TRUE(LayOut(&weights.manifest).ok());
  weights.manifest.set_version(version);
  weights.bytes = *WeightBytes::OfSize(weights.manifest.total_bytes());
  auto* words = reinterpret_cast<uint32_t*>(weights.bytes->data());
  const CounterRng rng(seed);
  for (int64_t i = 0; i < tensor->shape(0); ++i) words[i] = static_cast<uint32_t>(rng.Bits(i));
  Digest(weights.bytes->bytes(), &weights.manifest, DigestKind::kXxh3);
  return weights;
}

// An actor's end, on a thread of its own.
class Member {
 public:
  explicit Member(absl::Duration silence)
      : server_(*WeightServer::Start("127.0.0.1:0", Security::PlainText())),
        receiver_(
            {.member = server_->address(), .security = Security::PlainText(), .silence = silence}) {
  }

  // Fetches a version. `on_chunk` is called for each chunk that a broadcast has brought.
  std::future<absl::StatusOr<Weights>> Fetch(const WeightManifest& manifest,
                                             std::function<void()> on_chunk = nullptr) {
    return std::async(std::launch::async, [=, this] {
      FetchOptions options;
      options.relay = server_.get();
      options.receive = [&](const WeightManifest& version, char* buffer,
                            const std::stop_token& stop,
                            const std::function<void(uint64_t)>& good) {
        receiver_.Receive(version, buffer, stop, [&](uint64_t chunk) {
          ++broadcast_;
          good(chunk);
          if (on_chunk != nullptr) on_chunk();
        });
      };
      return FetchWeights(manifest, Security::PlainText(), stop_.get_token(), options);
    });
  }
  void Stop() { stop_.request_stop(); }
  uint64_t broadcast() const { return broadcast_; }  // chunks that came by one
  const std::string& address() const { return server_->address(); }

 private:
  const std::unique_ptr<WeightServer> server_;
  BroadcastReceiver receiver_;
  std::stop_source stop_;
  std::atomic<uint64_t> broadcast_ = 0;
};

class BroadcasterTest : public testing::Test {
 protected:
  ~BroadcasterTest() override {
    if (broadcaster_ != nullptr) broadcaster_->meeting()->End();
  }
  // With the silence of the product only where it has to pass.
  void Start(absl::Duration window, absl::Duration silence = kPatience,
             const std::string& host = "127.0.0.1") {
    silence_ = silence;
    broadcaster_ = std::make_unique<Broadcaster>(
        BroadcasterOptions{.host = host, .window = window, .silence = silence});
    server_ =
        *WeightServer::Start("127.0.0.1:0", Security::PlainText(), "", broadcaster_->meeting());
  }
  // As the publisher does. `sent` goes through the broadcast in the place of `weights`.
  WeightManifest Publish(const Weights& weights, const Weights* sent = nullptr) {
    broadcaster_->Begin(weights.manifest.version(), sent == nullptr ? weights : *sent);
    server_->Add(weights.manifest.version(), weights);
    WeightManifest manifest = weights.manifest;
    manifest.add_sources(server_->address());
    return manifest;
  }
  // Members that have asked for a version that is not broadcast, and are waited for.
  std::vector<std::unique_ptr<Member>> MakeMembers(size_t number) {
    std::vector<std::unique_ptr<Member>> members;
    const Weights first = MakeVersion(0, 1, /*chunks=*/1);
    const WeightManifest manifest = Publish(first);
    for (size_t i = 0; i < number; ++i) {
      members.push_back(std::make_unique<Member>(silence_));
      EXPECT_TRUE(members.back()->Fetch(manifest).get().ok());
      EXPECT_EQ(members.back()->broadcast(), 0u) << "a small version";
    }
    fetched_ = server_->bytes_sent();
    return members;
  }
  // What was fetched since the last call.
  uint64_t Fetched() {
    const uint64_t before = std::exchange(fetched_, server_->bytes_sent());
    return fetched_ - before;
  }
  static void ExpectAll(const std::vector<std::unique_ptr<Member>>& members,
                        const WeightManifest& manifest, const Weights& weights) {
    std::vector<std::future<absl::StatusOr<Weights>>> fetches;
    for (const auto& member : members) fetches.push_back(member->Fetch(manifest));
    for (auto& fetch : fetches) ExpectEqual(fetch.get(), weights);
  }
  static void ExpectEqual(const absl::StatusOr<Weights>& fetched, const Weights& weights) {
    ASSERT_TRUE(fetched.ok()) << fetched.status();
    EXPECT_TRUE(fetched->bytes->bytes() == weights.bytes->bytes());
  }

  absl::Duration silence_;
  std::unique_ptr<Broadcaster> broadcaster_;
  std::unique_ptr<WeightServer> server_;
  uint64_t fetched_ = 0;
};

TEST_F(BroadcasterTest, EveryMemberGetsEveryByteAndTheLearnerSendsOneCopy) {
  Start(absl::InfiniteDuration());
  const auto members = MakeMembers(3);
  // Connected for the first, and still for the second.
  for (const uint64_t version : {1, 2}) {
    const Weights weights = MakeVersion(version, 10 + version);
    ExpectAll(members, Publish(weights), weights);
    EXPECT_EQ(Fetched(), 0u);
    for (const auto& member : members) EXPECT_EQ(member->broadcast(), version * kChunks);
    EXPECT_TRUE(Await([&] { return broadcaster_->bytes_sent() == version * kBytes; }));
  }
}

TEST_F(BroadcasterTest, WhoDoesNotComeIsNotWaitedForWhoComesLaterIsIn) {
  Start(absl::Milliseconds(100));
  auto members = MakeMembers(2);
  const std::unique_ptr<Member> away = std::move(members.back());
  members.pop_back();
  Weights weights = MakeVersion(1, 11);
  ExpectAll(members, Publish(weights), weights);
  EXPECT_EQ(Fetched(), 0u);
  // Two: both come, and may be in one group, or the later one fetches.
  members.push_back(std::make_unique<Member>(silence_));
  weights = MakeVersion(2, 12);
  ExpectAll(members, Publish(weights), weights);
}

TEST_F(BroadcasterTest, AMemberThatComesIsConnectedWithTheNextVersion) {
  Start(absl::InfiniteDuration());
  auto members = MakeMembers(1);
  Weights weights = MakeVersion(1, 11);
  WeightManifest manifest = Publish(weights);
  ExpectAll(members, manifest, weights);
  members.push_back(std::make_unique<Member>(silence_));
  ExpectEqual(members.back()->Fetch(manifest).get(), weights);
  EXPECT_EQ(Fetched(), kBytes) << "the version has been broadcast before it came";
  weights = MakeVersion(2, 12);
  ExpectAll(members, Publish(weights), weights);
  EXPECT_EQ(Fetched(), 0u);
  EXPECT_EQ(members.back()->broadcast(), kChunks);
}

TEST_F(BroadcasterTest, AMemberThatStopsAmidABroadcastCostsTheOthersNothing) {
  Start(absl::Seconds(1));
  auto members = MakeMembers(4);
  Weights weights = MakeVersion(1, 11, /*chunks=*/20);
  WeightManifest manifest = Publish(weights);
  std::vector<std::future<absl::StatusOr<Weights>>> fetches;
  for (size_t i = 0; i < members.size(); ++i) {
    Member* const member = members[i].get();
    fetches.push_back(member->Fetch(
        manifest, i == 1 ? std::function<void()>([member] { member->Stop(); }) : nullptr));
  }
  for (size_t i = 0; i < members.size(); ++i) {
    const absl::StatusOr<Weights> fetched = fetches[i].get();
    if (i != 1) ExpectEqual(fetched, weights);
  }
  members.erase(members.begin() + 1);
  Fetched();
  weights = MakeVersion(2, 12);
  ExpectAll(members, Publish(weights), weights);
}

// It has joined and connected, and then neither receives nor sends, as a process that is stopped.
TEST_F(BroadcasterTest, AMemberThatHangsCostsTheOthersItsSilenceOnce) {
  Start(absl::Seconds(3), 3 * kBroadcastSilence);
  auto members = MakeMembers(2);
  const auto channel = *MakeChannel(server_->address(), Security::PlainText());
  const auto stub = WeightBroadcast::NewStub(channel);
  JoinBroadcastRequest request;
  request.set_member(
      "127.0.0.1:1");  // the first of the addresses: rank 1, from which all others get
  JoinBroadcastReply reply;
  std::unique_ptr<BroadcastGroup> hangs;
  const auto join = [&](uint64_t version) {
    request.set_version(version);
    grpc::ClientContext context;
    SetDeadline(&context, kPatience);
    return FromGrpc(stub->Join(&context, request, &reply));
  };
  EXPECT_TRUE(absl::IsNotFound(join(1000)));  // waited for from now on
  Weights weights = MakeVersion(1, 11, /*chunks=*/20);
  const WeightManifest manifest = Publish(weights);
  auto hang = std::async(std::launch::async, [&] {
    ASSERT_TRUE(join(1).ok());
    BroadcastPlace place;
    place.rank = static_cast<int>(reply.rank());
    place.world = static_cast<int>(reply.world());
    place.host = "127.0.0.1";
    place.silence = silence_;
    place.meet = [&](const RendezvousRequest& call, absl::Duration patience,
                     RendezvousReply* found) {
      MeetRequest meet;
      meet.set_group(reply.group());
      *meet.mutable_call() = call;
      grpc::ClientContext context;
      SetDeadline(&context, patience);
      return FromGrpc(stub->Meet(&context, meet, found));
    };
    auto made = MakeBroadcastGroup(place);
    if (made.ok()) hangs = *std::move(made);
  });
  ExpectAll(members, manifest, weights);
  hang.wait();
  EXPECT_EQ(reply.rank(), 1u);
  EXPECT_NE(hangs, nullptr);
  // It is not in the next group.
  Fetched();
  weights = MakeVersion(2, 12);
  ExpectAll(members, Publish(weights), weights);
  EXPECT_EQ(Fetched(), 0u);
}

TEST_F(BroadcasterTest, WhatDoesNotMatchItsDigestIsFetched) {
  Start(absl::InfiniteDuration());
  const auto members = MakeMembers(2);
  const Weights weights = MakeVersion(1, 11);
  const Weights damaged = {weights.manifest, *WeightBytes::OfSize(kBytes)};
  std::memcpy(damaged.bytes->data(), weights.bytes->bytes().data(), kBytes);
  damaged.bytes->data()[2 * kChunkBytes + 5] ^= 1;
  ExpectAll(members, Publish(weights, &damaged), weights);
  for (const auto& member : members) EXPECT_EQ(member->broadcast(), kChunks - 1);
  EXPECT_EQ(Fetched(), 2 * kChunkBytes);
}

TEST_F(BroadcasterTest, AShortDifferenceIsFetchedAndNotBroadcast) {
  Start(absl::InfiniteDuration());
  const auto members = MakeMembers(1);
  const Weights first = MakeVersion(1, 11);
  ExpectAll(members, Publish(first), first);
  EXPECT_EQ(members[0]->broadcast(), kChunks);
  Weights second = {first.manifest, *WeightBytes::OfSize(kBytes)};
  second.manifest.set_version(2);
  std::memcpy(second.bytes->data(), first.bytes->bytes().data(), kBytes);
  for (uint64_t i = 0; i < kBytes; i += 5000) second.bytes->data()[i] ^= 1;
  Digest(second.bytes->bytes(), &second.manifest, DigestKind::kXxh3);
  ExpectAll(members, Publish(second), second);
  EXPECT_EQ(members[0]->broadcast(), kChunks);
  // As long as the version itself in one part.
  Weights third = MakeVersion(3, 13);
  std::memcpy(third.bytes->data(), second.bytes->bytes().data(), kBytes / 2);
  Digest(third.bytes->bytes(), &third.manifest, DigestKind::kXxh3);
  ExpectAll(members, Publish(third), third);
  EXPECT_EQ(members[0]->broadcast(), 2 * kChunks);
}

// As when a firewall is between them: after two failures, versions are left out without a trial.
TEST_F(BroadcasterTest, ActorsThatCannotBeReachedAreTriedMoreAndMoreSeldom) {
  Start(absl::InfiniteDuration(), kBroadcastSilence, "203.0.113.7");
  const auto members = MakeMembers(1);
  for (uint64_t version = 1; version <= 4; ++version) {
    const Weights weights = MakeVersion(version, 10 + version);
    const WeightManifest manifest = Publish(weights);
    ExpectAll(members, manifest, weights);
    EXPECT_EQ(Fetched(), kBytes);
    EXPECT_EQ(broadcaster_->tried(), std::vector<uint64_t>({1, 2, 2, 3})[version - 1]);
  }
  EXPECT_EQ(members[0]->broadcast(), 0u);
}

}  // namespace
}  // namespace reckon
