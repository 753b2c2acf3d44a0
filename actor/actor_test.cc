#include "actor/actor.h"

#include <atomic>
#include <thread>

#include "absl/cleanup/cleanup.h"
#include "absl/time/clock.h"
#include "actor/fake_coordinator.h"
#include "actor/policy/fake_policy.h"
#include "common/net/channel.h"
#include "common/testing/tiny_model.h"
#include "common/weights/transfer.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

using ::testing::HasSubstr;

class ActorTest : public testing::Test {
 protected:
  ~ActorTest() override { Stop(); }

  // A version whose fake policy is a function of its number.
  void Publish(uint64_t version) {
    Weights weights = MakeTinyModel();
    weights.manifest.set_version(version);
    source_->Add(version, weights);
    weights.manifest.add_sources(source_->address());
    coordinator_.Publish(weights.manifest);
  }

  void Give(uint64_t id, uint64_t group, int samples, uint64_t version, int max_new = 12) {
    Lease lease;
    lease.set_lease(id);
    lease.set_plan("p");
    lease.set_expires_in_ms(200);
    lease.set_weight_version(version);
    lease.mutable_item()->set_group(group);
    lease.mutable_item()->add_prompt_tokens(10 + group);
    lease.mutable_item()->add_prompt_tokens(11);
    for (int i = 0; i < samples; ++i) lease.add_samples(i);
    PlanSpec plan;
    plan.set_name("p");
    plan.mutable_sampling()->set_temperature(1);
    plan.mutable_sampling()->set_top_p(1);
    plan.mutable_sampling()->set_max_new_tokens(max_new);
    RewardSpec* reward = plan.add_rewards();
    reward->set_name("answer");
    reward->set_kind(RewardSpec::EXACT_MATCH_STRICT);
    reward->set_weight(1);
    coordinator_.AddLease(lease, plan);
  }

  void Start() {
    thread_ = std::thread([this] {
      ActorOptions options;
      options.name = "a";
      options.engine.max_batch = 4;
      const Verifier verifier;
      Actor actor(
          options, stub_.get(),
          [this](const Weights& weights) -> absl::StatusOr<std::unique_ptr<Policy>> {
            FakePolicy::Options fake;
            fake.salt = weights.manifest.version() + 1;
            fake.step_time = step_time_;
            ++built_;
            return std::make_unique<FakePolicy>(fake);
          },
          &verifier, &stop_);
      status_ = actor.Run();
    });
  }
  void Stop() {
    stop_.Stop();
    if (thread_.joinable()) thread_.join();
  }
  bool AwaitReceived(size_t count) {
    return coordinator_.Await([&] { return coordinator_.received().size() >= count; });
  }

  FakeCoordinator coordinator_;
  std::unique_ptr<WeightServer> source_ = *WeightServer::Start("127.0.0.1:0");
  std::unique_ptr<Coordinator::Stub> stub_ =
      Coordinator::NewStub(MakeChannel(coordinator_.address()));
  StopToken stop_;
  std::atomic<int> built_ = 0;
  absl::Duration step_time_;
  absl::Status status_;
  std::thread thread_;
};

TEST_F(ActorTest, TurnsLeasesIntoScoredRollouts) {
  Publish(0);
  Start();
  for (uint64_t group = 0; group < 6; ++group) Give(100 + group, group, 3, 0);
  ASSERT_TRUE(AwaitReceived(18));
  for (const auto& [key, rollout] : coordinator_.received()) {
    EXPECT_EQ(rollout.actor(), "a");
    ASSERT_EQ(rollout.rewards_size(), 1);
    EXPECT_EQ(rollout.rewards(0).name(), "answer");
    EXPECT_EQ(rollout.spans(1).weight_version(), 0u);
  }
  Stop();
  EXPECT_TRUE(status_.ok());
  EXPECT_TRUE(coordinator_.returned().empty());
}

TEST_F(ActorTest, EachLeaseIsSampledWithTheVersionItNames) {
  Publish(0);
  Start();
  Give(1, 0, 3, 0);
  ASSERT_TRUE(AwaitReceived(3));
  Publish(1);
  Give(2, 1, 3, 1);
  Give(3, 2, 3, 0);
  Give(4, 3, 3, 1);
  ASSERT_TRUE(AwaitReceived(12));
  for (const auto& [key, rollout] : coordinator_.received()) {
    const uint64_t group = std::get<1>(key);
    const uint64_t version = group == 1 || group == 3 ? 1 : 0;
    EXPECT_EQ(rollout.spans(1).weight_version(), version);
    FakePolicy::Options fake;
    fake.salt = version + 1;
    const std::vector<uint32_t> prompt = {10 + static_cast<uint32_t>(group), 11};
    Draw draw;
    draw.uniform = CounterRng(StreamKey(0, "p", group, std::get<2>(key))).Uniform(0);
    EXPECT_EQ(rollout.spans(1).tokens(0), FakePolicy(fake).Next(prompt, draw).token);
  }
  EXPECT_EQ(built_, 2);  // both versions stay loaded
}

TEST_F(ActorTest, FailsWhatItCannotDoAndGoesOn) {
  Publish(0);
  Start();
  Give(1, 600, 1, 0);  // its token is outside the vocabulary
  Give(2, 1, 1, 0);
  coordinator_.RejectGroup(2);
  Give(3, 2, 1, 0);
  ASSERT_TRUE(AwaitReceived(1));
  ASSERT_TRUE(coordinator_.Await([&] { return coordinator_.returned().size() == 2; }));
  EXPECT_THAT(coordinator_.returned()[1], HasSubstr("token id 610"));
  EXPECT_THAT(coordinator_.returned()[3], HasSubstr("not liked"));
}

TEST_F(ActorTest, AVersionThatCannotBeHadFailsItsLeases) {
  Publish(0);
  Start();
  Give(1, 0, 1, 9);
  ASSERT_TRUE(coordinator_.Await([&] { return coordinator_.returned().size() == 1; }));
  EXPECT_THAT(coordinator_.returned()[1], HasSubstr("weight version 9"));
}

TEST_F(ActorTest, GivesUnfinishedWorkBackWhenStopped) {
  Publish(0);
  Start();
  Give(1, 0, 2, 0);
  ASSERT_TRUE(AwaitReceived(2));
  coordinator_.HoldAcks(true);  // this lease can never end
  Give(2, 1, 2, 0);
  ASSERT_TRUE(AwaitReceived(4));
  Stop();
  const std::map<uint64_t, std::string> returned = coordinator_.returned();
  ASSERT_EQ(returned.size(), 1u);
  EXPECT_EQ(returned.at(2), "");
}

TEST_F(ActorTest, WaitsForACoordinatorAndOutlivesItsRestart) {
  coordinator_.StopServer();
  Start();
  absl::SleepFor(absl::Milliseconds(100));
  Publish(0);
  Give(1, 0, 3, 0);
  coordinator_.StartServer();
  ASSERT_TRUE(AwaitReceived(3));
  coordinator_.StopServer();
  absl::SleepFor(absl::Milliseconds(100));
  Give(2, 1, 3, 0);
  coordinator_.StartServer();
  ASSERT_TRUE(AwaitReceived(6));
  EXPECT_EQ(built_, 1);
}

TEST_F(ActorTest, ALostLeaseIsDropped) {
  step_time_ = absl::Milliseconds(4);  // the first lease takes a second, the second 50 ms
  Publish(0);
  Start();
  Give(1, 0, 4, 0, /*max_new=*/250);
  coordinator_.Lose(1);
  Give(2, 1, 1, 0);
  ASSERT_TRUE(coordinator_.Await([&] { return coordinator_.received().count({"p", 1, 0}) > 0; }));
  EXPECT_EQ(coordinator_.received().size(), 1u);
  Stop();
  EXPECT_EQ(coordinator_.returned().count(1), 0u);
}

}  // namespace
}  // namespace reckon
