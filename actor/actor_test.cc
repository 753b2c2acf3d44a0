#include "actor/actor.h"

#include <algorithm>
#include <atomic>
#include <optional>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/strings/match.h"
#include "absl/synchronization/mutex.h"
#include "common/model/transfer/server.h"
#include "common/testing/await.h"
#include "common/testing/temp_folder.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/fake_model_runner.h"
#include "tests/support/in_process_coordinator.h"
#include "tests/support/tiny_model.h"

namespace reckon {
namespace {

using ::testing::HasSubstr;

CoreOptions ActorTestOptions() {
  CoreOptions options;
  options.lease = absl::Milliseconds(1500);
  options.max_attempts = 1;  // a lease that failed is not leased again
  return options;
}

// Can score nothing.
class NoRewarder : public Rewarder {
 public:
  absl::StatusOr<RewardValue> Score(const RewardSpec&, const WorkItem&,
                                    const Rollout&) const override {
    return absl::InternalError("no reward");
  }
};

class ActorTest : public testing::Test {
 protected:
  ~ActorTest() override { Stop(); }

  // Publishes a version; the salt of its fake model is a function of its number. `served`: its
  // bytes can be fetched.
  void Publish(uint64_t version, bool served = true) {
    Weights weights = MakeTinyModel();
    weights.manifest.set_version(version);
    Publish(std::move(weights), served);
  }
  void Publish(Weights weights, bool served = true) {
    if (served) source_->Add(weights.manifest.version(), weights);
    weights.manifest.add_sources(source_->address());
    coordinator_.Publish(weights.manifest);
  }

  // Adds a plan at `version`, or at none; the prompts of its groups are {first_token + group, 11}.
  // Its groups get the next lease ids, from 1.
  void AddPlan(const std::string& name, int groups, int samples, std::optional<uint64_t> version,
               int max_new = 12, uint32_t first_token = 10) {
    PlanSpec plan;
    plan.set_name(name);
    plan.set_samples_per_group(samples);
    plan.set_groups_per_batch(16);
    plan.set_max_open_batches(2);
    if (version.has_value()) plan.set_pinned_version(*version);
    for (uint32_t id : stop_ids_) plan.add_stop_token_ids(id);
    plan.mutable_sampling()->set_temperature(1);
    plan.mutable_sampling()->set_top_p(1);
    plan.mutable_sampling()->set_max_new_tokens(max_new);
    RewardSpec* reward = plan.add_rewards();
    reward->set_name("answer");
    reward->set_kind(RewardSpec::EXACT_MATCH_STRICT);
    reward->set_weight(1);
    std::vector<WorkItem> items(groups);
    for (int group = 0; group < groups; ++group) {
      items[group].add_prompt_tokens(first_token + group);
      items[group].add_prompt_tokens(11);
    }
    coordinator_.AddPlan(plan, std::move(items));
  }

  void Start() {
    thread_ = std::thread([this] {
      ActorOptions options;
      options.name = "a";
      options.engine.max_batch = 4;
      options.weights = weights_;
      Actor actor(
          options, stub_.get(),
          [this](const Weights& weights) -> absl::StatusOr<std::unique_ptr<ModelRunner>> {
            if (weights.manifest.version() == refused_version_) {
              return absl::InvalidArgumentError("tensor w has shape [3]");
            }
            FakeModelRunner::Options fake;
            fake.salt = weights.manifest.version() + 1;
            fake.pass_time = pass_time_;
            fake.max_positions = max_positions_;
            fake.total_pages = std::max<int64_t>(1000, max_positions_);
            // Tokens from 200 on are drawn by later versions alone.
            if (weights.manifest.version() == 0) fake.vocab_size = first_vocab_;
            ++built_;
            auto runner = std::make_unique<FakeModelRunner>(fake, cache_);
            cache_ = runner->cache();
            if (weights.manifest.version() == overflowing_version_) {
              runner->FailNextPass(absl::DataLossError("the logits are not finite"));
            }
            return runner;
          },
          rewarder_.get(), stop_.get_token(), /*server=*/nullptr, Shared());
      status_ = actor.Run();
    });
  }
  // With three samples in flight; what version 0 draws never ends, what later ones draw ends soon.
  void StartInFlight() {
    weights_ = ActorSettings::IN_FLIGHT;
    first_vocab_ = 200;
    for (uint32_t id = 200; id < 259; ++id) stop_ids_.push_back(id);
    max_positions_ = 1 << 20;
    pass_time_ = absl::Milliseconds(5);
    Publish(0);
    Start();
    AddPlan("p", 1, 3, std::nullopt, /*max_new=*/100000);
    ASSERT_TRUE(Await([&] { return ActorMetrics::Process().running.Value() > 0; }));
  }
  // With `other_`, the device is shared with the test, which takes the learner's turns.
  std::optional<SharedDevice> Shared() {
    std::optional<SharedDevice> shared;
    if (other_ == nullptr) return shared;
    shared.emplace();
    shared->turn = OpenTurn();
    shared->take = [this](const std::string& left) {
      absl::MutexLock lock(&mu_);
      told_ = left;
    };
    shared->leave = [this] {
      // One reference is the test's own, so no runner is left.
      EXPECT_LE(cache_.use_count(), 1);
      cache_ = nullptr;
      ++left_;
    };
    return shared;
  }
  std::string told() {
    absl::MutexLock lock(&mu_);
    return told_;
  }
  std::unique_ptr<DeviceTurn> OpenTurn() {
    auto turn = DeviceTurn::Open(folder_.path() + "/turn");
    EXPECT_TRUE(turn.ok()) << turn.status();
    return *std::move(turn);
  }
  void Stop() {
    stop_.request_stop();
    if (thread_.joinable()) thread_.join();
  }
  bool AwaitReceived(size_t count) {
    return Await([&] { return received().size() >= count; });
  }
  std::map<FaultInjector::Key, Rollout> received() { return coordinator_.faults().received(); }
  ActorReport report() {
    const GetStatusReply status = coordinator_.status();
    return status.actors_size() == 0 ? ActorReport() : status.actors(0).report();
  }
  int calls(const std::string& verb) { return coordinator_.faults().calls(verb); }

  InProcessCoordinator coordinator_{ActorTestOptions()};
  std::unique_ptr<WeightServer> source_ =
      *WeightServer::Start("127.0.0.1:0", Security::PlainText());
  std::shared_ptr<Coordinator::StubInterface> stub_ = coordinator_.NewStub();
  std::unique_ptr<const Rewarder> rewarder_ = std::make_unique<Verifier>();
  std::stop_source stop_;
  std::atomic<int> built_ = 0;
  int64_t first_vocab_ = 259, max_positions_ = 256;
  std::vector<uint32_t> stop_ids_;
  ActorSettings::Weights weights_ = ActorSettings::DRAIN;
  std::shared_ptr<FakeModelRunner::Cache> cache_;  // of the runners of all versions
  const TempFolder folder_;
  std::unique_ptr<DeviceTurn> other_;
  std::atomic<int> left_ = 0;  // turns that the actor has given up
  absl::Mutex mu_;
  std::string told_ ABSL_GUARDED_BY(mu_);  // at the begin of the actor's last turn
  absl::Duration pass_time_;
  std::optional<uint64_t> refused_version_, overflowing_version_;
  absl::Status status_;
  std::thread thread_;
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
  for (const auto& [key, rollout] : received()) {
    ASSERT_EQ(rollout.spans_size(), 2);
    EXPECT_EQ(rollout.spans(1).weight_version(), 1u);
  }
  Stop();
  EXPECT_TRUE(status_.ok());
  for (const auto& [lease, error] : coordinator_.returned()) EXPECT_EQ(error, "");
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
  EXPECT_EQ(coordinator_.returned().begin()->second,
            "DATA_LOSS: weight version 0: the logits are not finite");
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

TEST_F(ActorTest, OnASharedDeviceItWorksInItsTurnsAndLeavesNothingThere) {
  other_ = OpenTurn();
  ASSERT_TRUE(other_->TryTake());
  Publish(0);
  Start();
  AddPlan("p", 2, 3, 0);
  // It has no batch yet, by which it could ask for work.
  ASSERT_TRUE(Await([&] { return other_->wanted(); }));
  EXPECT_EQ(built_, 0);
  ASSERT_TRUE(other_->Leave("what is there").ok());
  other_->Release();
  ASSERT_TRUE(AwaitReceived(6));
  ASSERT_TRUE(Await([&] { return other_->TryTake(); }));
  EXPECT_EQ(left_, 1);
  EXPECT_EQ(told(), "what is there");
  EXPECT_TRUE(ActorMetrics::Process().activity.ready()) << "it can serve, in its turn";

  // Now it leases, and waits for its turn: for the version that it had, and for one more.
  AddPlan("q", 1, 3, 0);
  ASSERT_TRUE(Await([&] { return other_->wanted(); }));
  Publish(1);
  AddPlan("r", 1, 3, 1);
  EXPECT_EQ(built_, 1);
  EXPECT_EQ(received().size(), 6u);
  other_->Release();
  ASSERT_TRUE(AwaitReceived(12));
  for (const auto& [key, rollout] : received()) {
    const auto& [plan, group, sample] = key;
    FakeModelRunner::Options fake;
    fake.salt = plan == "r" ? 2 : 1;
    const std::vector<uint32_t> prompt = {10 + static_cast<uint32_t>(group), 11};
    TokenDraw draw;
    draw.uniform = CounterRng(StreamKey(0, plan, group, sample)).Uniform(0);
    EXPECT_EQ(rollout.spans(1).tokens(0), FakeModelRunner(fake).Next(prompt, draw).token);
  }
  Stop();
  EXPECT_TRUE(status_.ok());
  EXPECT_TRUE(other_->TryTake());
  EXPECT_TRUE(coordinator_.returned().empty());
}

TEST_F(ActorTest, SamplesOfALearnerThatDiesAreDrawnAgain) {
  other_ = OpenTurn();
  pass_time_ = absl::Milliseconds(5);
  ASSERT_TRUE(other_->TryTake());
  Publish(0);
  Start();
  AddPlan("p", 1, 4, 0, /*max_new=*/200);
  ASSERT_TRUE(Await([&] { return other_->wanted(); }));
  ASSERT_TRUE(other_->Leave("memory of the learner").ok());
  other_->Release();
  const double before = ActorMetrics::Process().generated_tokens.Value();
  ASSERT_TRUE(Await([&] { return ActorMetrics::Process().generated_tokens.Value() > before + 8; }));
  other_.reset();  // as the kernel does for a process that dies
  ASSERT_TRUE(Await([&] { return coordinator_.returned().size() == 1; }));
  EXPECT_EQ(coordinator_.returned().begin()->second, "") << "no fault of the samples";
  ASSERT_TRUE(AwaitReceived(4));
  EXPECT_EQ(told(), "") << "the second turn finds nothing of that learner";
  EXPECT_EQ(left_, 1);
}

TEST_F(ActorTest, WhoWaitsForTheDeviceGetsItHoweverMuchWorkThereIs) {
  other_ = OpenTurn();
  pass_time_ = absl::Milliseconds(20);  // longer than it takes to lease more
  Publish(0);
  Start();
  // One token of ten ends a sample. So they end one by one, and each makes room for the next.
  for (uint32_t id = 0; id < 26; ++id) stop_ids_.push_back(id);
  AddPlan("p", 32, 32, 0, /*max_new=*/100);  // takes 50 seconds
  ASSERT_TRUE(AwaitReceived(1));
  ActorMetrics& metrics = ActorMetrics::Process();
  double tokens = 0;
  for (int turn = 1; turn <= 3; ++turn) {
    ASSERT_FALSE(other_->TryTake());
    const double finished = metrics.scored.Value();
    ASSERT_TRUE(Await([&] { return other_->TryTake(); }));
    // What was in the engine, and what it admitted at that moment.
    EXPECT_LE(metrics.scored.Value() - finished, 3 * 4);
    EXPECT_EQ(left_, turn);
    // Each turn of the actor brings its work forward, although the other wants the next at once.
    EXPECT_GT(metrics.generated_tokens.Value(), tokens);
    tokens = metrics.generated_tokens.Value();
    ASSERT_TRUE(Await([&] { return other_->wanted(); }));
    other_->Release();
    // Who was in line has it, or has had it.
    ASSERT_TRUE(Await([&] { return !other_->wanted(); }));
  }
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
