// An actor that shares its device with a learner, by turns.
#include "actor/actor.h"
#include "tests/support/actor_harness.h"

namespace reckon {
namespace {

class ActorTurnsTest : public ActorTest {};

TEST_F(ActorTurnsTest, OnASharedDeviceItWorksInItsTurnsAndLeavesNothingThere) {
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

TEST_F(ActorTurnsTest, SamplesOfALearnerThatDiesAreDrawnAgain) {
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

TEST_F(ActorTurnsTest, WhoWaitsForTheDeviceGetsItHoweverMuchWorkThereIs) {
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

}  // namespace
}  // namespace reckon
