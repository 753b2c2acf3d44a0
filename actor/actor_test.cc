#include "actor/actor.h"

#include <optional>
#include <thread>

#include "absl/strings/match.h"
#include "gmock/gmock.h"
#include "tests/support/actor_harness.h"

namespace reckon {
namespace {

using ::testing::HasSubstr;

// Can score nothing.
class NoRewarder : public Rewarder {
 public:
  absl::StatusOr<RewardValue> Score(const RewardSpec&, const WorkItem&,
                                    const Rollout&) const override {
    return absl::InternalError("no reward");
  }
};

TEST_F(ActorTest, TurnsLeasesIntoScoredRollouts) {
  Publish(0);
  Start();
  AddPlan("p", 6, 3, 0);
  ASSERT_TRUE(AwaitReceived(18));
  for (const auto& [key, rollout] : received()) {
    EXPECT_EQ(rollout.actor(), "a");
    ASSERT_EQ(rollout.rewards_size(), 1);
    EXPECT_EQ(rollout.rewards(0).name(), "answer");
    EXPECT_EQ(rollout.spans(1).weight_version(), 0u);
  }
  Stop();
  EXPECT_TRUE(status_.ok());
  EXPECT_TRUE(coordinator_.returned().empty());
}

TEST_F(ActorTest, CountsWhatItDoesAndSaysWhenItCanServe) {
  ActorMetrics& metrics = ActorMetrics::Process();
  const double tokens = metrics.generated_tokens.Value(), scored = metrics.scored.Value();
  const double bytes = metrics.received_bytes.Value();
  Start();
  EXPECT_TRUE(Await([&] { return metrics.activity.started(); }));
  EXPECT_FALSE(metrics.activity.ready());
  Publish(5);
  EXPECT_TRUE(Await([&] { return metrics.activity.ready(); }));
  EXPECT_EQ(metrics.version.Value(), 5);
  EXPECT_GT(metrics.received_bytes.Value(), bytes);
  AddPlan("p", 2, 3, 5);
  ASSERT_TRUE(AwaitReceived(6));
  Stop();
  EXPECT_FALSE(metrics.activity.ready());
  double sampled = 0;
  for (const auto& [key, rollout] : received()) sampled += rollout.spans(1).tokens_size();
  EXPECT_EQ(metrics.generated_tokens.Value() - tokens, sampled);
  EXPECT_EQ(metrics.scored.Value() - scored, 6);
  EXPECT_EQ(metrics.running.Value(), 0);
}

TEST_F(ActorTest, CountsRolloutsThatItCannotScore) {
  ActorMetrics& metrics = ActorMetrics::Process();
  const double errors = metrics.reward_errors.Value(), failed = metrics.failed_leases.Value();
  rewarder_ = std::make_unique<NoRewarder>();
  Publish(0);
  Start();
  AddPlan("p", 1, 1, 0);
  ASSERT_TRUE(Await([&] { return coordinator_.returned().size() == 1; }));
  Stop();
  EXPECT_EQ(metrics.reward_errors.Value() - errors, 1);
  EXPECT_EQ(metrics.failed_leases.Value() - failed, 1);
}

TEST_F(ActorTest, SamplesInFlightContinueWithANewerVersion) {
  StartInFlight();
  Publish(1);
  ASSERT_TRUE(AwaitReceived(3));
  for (const auto& [key, rollout] : received()) {
    EXPECT_EQ(rollout.finish(), FINISH_STOP);
    ASSERT_EQ(rollout.spans_size(), 3);
    EXPECT_EQ(rollout.spans(1).weight_version(), 0u);
    EXPECT_EQ(rollout.spans(2).weight_version(), 1u);
  }
  Stop();
  EXPECT_TRUE(status_.ok());
  EXPECT_TRUE(coordinator_.returned().empty());
  EXPECT_EQ(coordinator_.status().ledger().rejected(), 0u);
}

// As from a learner whose predecessor published versions of another model.
TEST_F(ActorTest, SamplesInFlightDoNotContinueWithAModelOfAnotherShape) {
  StartInFlight();
  Weights other = MakeTinyModel();
  other.manifest.set_version(1);
  SetConfigField("max_position_embeddings", 1024, &other);
  Publish(std::move(other));
  ASSERT_TRUE(AwaitReceived(3));
  ExpectDrawnWith(1);
  Stop();
  EXPECT_TRUE(status_.ok());
  ExpectReturnedWithoutFailure();
}

TEST_F(ActorTest, SamplesInFlightPassAVersionThatDoesNotLoad) {
  refused_version_ = 1;
  StartInFlight();
  Publish(1);
  ASSERT_TRUE(Await([&] { return !report().refused_because().empty(); }));
  EXPECT_EQ(report().refused_version(), 1u);
  Publish(2);
  ASSERT_TRUE(AwaitReceived(3));
  for (const auto& [key, rollout] : received()) {
    ASSERT_EQ(rollout.spans_size(), 3);
    EXPECT_EQ(rollout.spans(1).weight_version(), 0u);
    EXPECT_EQ(rollout.spans(2).weight_version(), 2u);
  }
  EXPECT_TRUE(coordinator_.returned().empty());
}

// A pass of version 0 that was started fails, while the actor has fetched version 1.
TEST_F(ActorTest, APassThatFailsAsTheVersionChangesIsTheOlderOnes) {
  decodes_ahead_ = 1;
  std::atomic<bool> fails = false;
  on_first_pass_ = [&] {
    if (!fails.exchange(false)) return absl::OkStatus();
    const int asked = calls("GetManifest");
    Publish(1);
    EXPECT_TRUE(Await([&] { return calls("GetManifest") > asked; })) << "it asks for the next";
    return absl::DataLossError("the logits are not finite");
  };
  StartInFlight();
  fails = true;
  ASSERT_TRUE(AwaitReceived(3));
  EXPECT_EQ(report().refused_version(), 0u);
  EXPECT_EQ(report().refused_because(), "the logits are not finite");
  Publish(2);
  ASSERT_TRUE(Await([&] { return built_ == 3; }));
  AddPlan("q", 1, 3, std::nullopt);
  ASSERT_TRUE(AwaitReceived(6));
  for (const auto& [key, rollout] : received()) {
    const uint64_t version = std::get<0>(key) == "p" ? 1 : 2;
    ASSERT_EQ(rollout.spans_size(), 2);
    EXPECT_EQ(rollout.spans(1).weight_version(), version);
    FakeModelRunner::Options fake;
    fake.salt = version + 1;
    TokenDraw draw;
    draw.uniform = CounterRng(StreamKey(0, std::get<0>(key), 0, std::get<2>(key))).Uniform(0);
    EXPECT_EQ(rollout.spans(1).tokens(0), FakeModelRunner(fake).Next({10, 11}, draw).token);
  }
  ExpectReturnedWithoutFailure();
  EXPECT_EQ(coordinator_.status().ledger().rejected(), 0u);
}

TEST_F(ActorTest, AVersionThatCannotContinueWhatIsInFlightIsRefused) {
  old_tokens_ = ActorSettings::RECOMPUTE;
  overflowing_version_ = 1;
  StartInFlight();
  Publish(1);
  ASSERT_TRUE(Await([&] { return !report().refused_because().empty(); }));
  EXPECT_EQ(report().refused_version(), 1u);
  Publish(2);
  ASSERT_TRUE(AwaitReceived(3));
  ExpectDrawnWith(2);
  ExpectReturnedWithoutFailure();
}

class ActorVersionsTest : public ActorTest,
                          public testing::WithParamInterface<ActorSettings::Weights> {};

TEST_P(ActorVersionsTest, EachLeaseIsSampledWithTheVersionItNames) {
  weights_ = GetParam();
  Publish(0);
  Start();
  AddPlan("first of 0", 1, 3, 0);
  ASSERT_TRUE(AwaitReceived(3));
  Publish(1);
  AddPlan("first of 1", 1, 3, 1);
  AddPlan("second of 0", 1, 3, 0);
  AddPlan("second of 1", 1, 3, 1);
  ASSERT_TRUE(AwaitReceived(12));
  for (const auto& [key, rollout] : received()) {
    const auto& [plan, group, sample] = key;
    const uint64_t version = plan.back() == '1' ? 1 : 0;
    EXPECT_EQ(rollout.spans(1).weight_version(), version);
    FakeModelRunner::Options fake;
    fake.salt = version + 1;
    const std::vector<uint32_t> prompt = {10, 11};
    TokenDraw draw;
    draw.uniform = CounterRng(StreamKey(0, plan, group, sample)).Uniform(0);
    EXPECT_EQ(rollout.spans(1).tokens(0), FakeModelRunner(fake).Next(prompt, draw).token);
  }
  EXPECT_EQ(built_, 2);  // both versions stay loaded
}

INSTANTIATE_TEST_SUITE_P(Weights, ActorVersionsTest,
                         testing::Values(ActorSettings::DRAIN, ActorSettings::IN_FLIGHT));

TEST_F(ActorTest, FailsWhatItCannotDoAndContinues) {
  Publish(0);
  Start();
  AddPlan("bad", 1, 1, 0, 12, /*first_token=*/610);  // outside the vocabulary
  AddPlan("good", 1, 1, 0);
  coordinator_.faults().RejectPlan("rejected");
  AddPlan("rejected", 1, 1, 0);
  ASSERT_TRUE(AwaitReceived(1));
  ASSERT_TRUE(Await([&] { return coordinator_.returned().size() == 2; }));
  EXPECT_THAT(coordinator_.returned()[1], HasSubstr("token id 610"));
  EXPECT_THAT(coordinator_.returned()[3], HasSubstr("not liked"));
}

TEST_F(ActorTest, AVersionThatCannotBeFetchedFailsItsLeases) {
  Publish(0);
  Start();
  ASSERT_TRUE(Await([&] { return built_ == 1; }));
  Publish(9, /*served=*/false);
  AddPlan("p", 1, 1, 9);
  ASSERT_TRUE(Await([&] { return coordinator_.returned().size() == 1; }));
  EXPECT_THAT(coordinator_.returned()[1], HasSubstr("weight version 9"));
}

TEST_F(ActorTest, ASourceThatDoesNotAnswerIsNoFailureOfTheSample) {
  Publish(0);
  Start();
  ASSERT_TRUE(Await([&] { return built_ == 1; }));
  Weights weights = MakeTinyModel();
  weights.manifest.set_version(9);
  weights.manifest.add_sources("127.0.0.1:1");
  coordinator_.Publish(weights.manifest);
  AddPlan("p", 1, 1, 9);
  ASSERT_TRUE(Await([&] { return coordinator_.returned().count(1) == 1; }));
  EXPECT_EQ(coordinator_.returned()[1], "");
  EXPECT_EQ(coordinator_.status().plans(0).set_aside_groups(), 0u);
}

TEST_F(ActorTest, ReportsAVersionThatDoesNotLoadAndTakesTheNext) {
  refused_version_ = 0;
  Publish(0);
  Start();
  AddPlan("p", 1, 1, 0);
  ASSERT_TRUE(Await([&] { return !report().refused_because().empty(); }));
  EXPECT_EQ(report().refused_version(), 0u);
  EXPECT_EQ(report().refused_because(), "tensor w has shape [3]");
  Publish(1);
  AddPlan("q", 1, 1, 1);
  ASSERT_TRUE(AwaitReceived(1));
  AddPlan("r", 1, 1, 1);
  ASSERT_TRUE(AwaitReceived(2));
  EXPECT_EQ(report().refused_version(), 0u) << "it would not load now, either";
  EXPECT_TRUE(coordinator_.returned().empty()) << "the refused version was leased";
}

TEST_F(ActorTest, RefusesAVersionWhoseNumbersAreNotFinite) {
  overflowing_version_ = 0;
  Publish(0);
  Start();
  AddPlan("p", 2, 1, 0);
  ASSERT_TRUE(Await([&] { return !report().refused_because().empty(); }));
  EXPECT_EQ(report().refused_version(), 0u);
  EXPECT_EQ(report().refused_because(), "the logits are not finite");
  ASSERT_TRUE(Await([&] { return !coordinator_.returned().empty(); }));
  EXPECT_EQ(coordinator_.returned().begin()->second, "") << "no fault of the samples";
  Publish(1);
  AddPlan("q", 1, 1, 1);
  EXPECT_TRUE(AwaitReceived(1)) << "the next version serves";
}

TEST_F(ActorTest, ReportsASourceThatDoesNotAnswer) {
  Publish(0, /*served=*/false);
  source_.reset();
  Start();
  EXPECT_TRUE(Await([&] {
    const GetStatusReply status = coordinator_.status();
    return status.actors_size() == 1 &&
           absl::StrContains(status.actors(0).report().waiting_for(), "connection refused");
  }));
  EXPECT_EQ(coordinator_.status().actors(0).report().refused_because(), "");
}

TEST_F(ActorTest, ReturnsUnfinishedWorkWhenStopped) {
  pass_time_ = absl::Milliseconds(20);  // the second lease would take five seconds
  Publish(0);
  Start();
  AddPlan("p", 1, 2, 0);
  ASSERT_TRUE(AwaitReceived(2));
  AddPlan("q", 1, 2, 0, /*max_new=*/250);
  ASSERT_TRUE(Await([&] { return coordinator_.status().ledger().outstanding() == 2; }));
  Stop();
  const std::map<uint64_t, std::string> returned = coordinator_.returned();
  ASSERT_EQ(returned.size(), 1u);
  EXPECT_EQ(returned.at(2), "");
  EXPECT_EQ(coordinator_.status().ledger().returned(), 2u);
}

TEST_F(ActorTest, WaitsForACoordinatorAndSurvivesItsRestart) {
  Publish(0);
  coordinator_.Stop();
  Start();
  ASSERT_TRUE(Await([&] { return calls("GetManifest") >= 2; }));
  coordinator_.Start();
  AddPlan("p", 1, 3, 0);
  ASSERT_TRUE(AwaitReceived(3));
  coordinator_.Stop();
  const int asked = calls("Lease");
  ASSERT_TRUE(Await([&] { return calls("Lease") >= asked + 2; }));
  coordinator_.Start();
  AddPlan("q", 1, 3, 0);
  ASSERT_TRUE(AwaitReceived(6));
  EXPECT_EQ(built_, 1);
}

TEST_F(ActorTest, ARevokedLeaseIsDropped) {
  pass_time_ = absl::Milliseconds(8);  // the first lease takes two seconds, the second 100 ms
  Publish(0);
  Start();
  AddPlan("p", 1, 4, 0, /*max_new=*/250);
  ASSERT_TRUE(Await([&] { return coordinator_.status().ledger().outstanding() == 4; }));
  coordinator_.ClosePlan("p");  // the next renewal tells that the lease has ended
  AddPlan("q", 1, 1, 0);
  ASSERT_TRUE(Await([&] { return received().count({"q", 0, 0}) > 0; }));
  EXPECT_EQ(received().size(), 1u);
  Stop();
  EXPECT_EQ(coordinator_.returned().count(1), 0u);
}

}  // namespace
}  // namespace reckon
