#ifndef RECKON_TESTS_SUPPORT_ACTOR_HARNESS_H_
#define RECKON_TESTS_SUPPORT_ACTOR_HARNESS_H_

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "actor/actor.h"
#include "common/model/transfer/server.h"
#include "common/testing/await.h"
#include "common/testing/temp_folder.h"
#include "gtest/gtest.h"
#include "tests/support/fake_model_runner.h"
#include "tests/support/in_process_coordinator.h"
#include "tests/support/tiny_model.h"

namespace reckon {

// An actor on a thread of its own, whose models are fake, beside a coordinator and a source of
// weights in this process.
class ActorTest : public testing::Test {
 protected:
  ~ActorTest() override { Stop(); }

  static CoreOptions Options() {
    CoreOptions options;
    options.lease = absl::Milliseconds(1500);
    options.max_attempts = 1;  // a lease that failed is not leased again
    return options;
  }

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
    // Made here: tests may end the other process's turn at any time.
    thread_ = std::thread([this, shared = Shared()]() mutable {
      ActorOptions options;
      options.name = "a";
      options.engine.max_batch = 4;
      options.weights = weights_;
      options.old_tokens = old_tokens_;
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
            if (weights.manifest.version() == 0) {
              fake.vocab_size = first_vocab_;
              fake.on_pass = on_first_pass_;
            }
            if (weights.manifest.version() == overflowing_version_) {
              fake.on_pass = [] { return absl::DataLossError("the logits are not finite"); };
            }
            fake.decodes_ahead = decodes_ahead_;
            ++built_;
            auto runner = std::make_unique<FakeModelRunner>(fake, cache_);
            cache_ = runner->cache();
            return runner;
          },
          rewarder_.get(), stop_.get_token(), /*server=*/nullptr, std::move(shared));
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
  // That every sample began again, and was drawn with this version alone.
  void ExpectDrawnWith(uint64_t version) {
    for (const auto& [key, rollout] : received()) {
      ASSERT_EQ(rollout.spans_size(), 2);
      EXPECT_EQ(rollout.spans(1).weight_version(), version);
    }
  }
  // That the leases which were returned count no failed attempt.
  void ExpectReturnedWithoutFailure() {
    for (const auto& [lease, error] : coordinator_.returned()) EXPECT_EQ(error, "");
  }
  int calls(const std::string& verb) { return coordinator_.faults().calls(verb); }

  InProcessCoordinator coordinator_{Options()};
  std::unique_ptr<WeightServer> source_ =
      *WeightServer::Start("127.0.0.1:0", Security::PlainText());
  std::shared_ptr<Coordinator::StubInterface> stub_ = coordinator_.NewStub();
  std::unique_ptr<const Rewarder> rewarder_ = std::make_unique<Verifier>();
  std::stop_source stop_;
  std::atomic<int> built_ = 0;
  int64_t first_vocab_ = 259, max_positions_ = 256;
  std::vector<uint32_t> stop_ids_;
  int64_t decodes_ahead_ = 0;
  std::function<absl::Status()> on_first_pass_;  // FakeModelRunner's on_pass, of version 0
  ActorSettings::Weights weights_ = ActorSettings::DRAIN;
  ActorSettings::OldTokens old_tokens_ = ActorSettings::KEEP;
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

}  // namespace reckon

#endif  // RECKON_TESTS_SUPPORT_ACTOR_HARNESS_H_
