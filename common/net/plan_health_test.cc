#include "common/net/plan_health.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Plan "p" with two groups a batch, and actors that call all the time.
class PlanHealthTest : public testing::Test {
 protected:
  PlanHealthTest() {
    PlanSpec spec;
    spec.set_name("p");
    spec.set_groups_per_batch(2);
    health_.emplace(spec, /*term=*/5);
    status_.add_plans()->set_name("other");
    status_.add_plans()->set_name("p");
    status_.set_newest_version(3);
    status_.set_term(5);
  }
  PlanStatus& plan() { return *status_.mutable_plans(1); }
  ActorReport& AddActor(const std::string& name, uint64_t idle_ms = 0) {
    ActorStatus* actor = status_.add_actors();
    actor->set_name(name);
    actor->set_idle_ms(idle_ms);
    return *actor->mutable_report();
  }
  static void Refuse(ActorReport& report, uint64_t version) {
    report.set_refused_version(version);
    report.set_refused_because("tensor w has shape [3]");
  }
  // A status every half second for `seconds`.
  void NoteFor(double seconds) {
    for (double t = 0; t <= seconds; t += 0.5) {
      health_->Note(status_, now_);
      now_ += absl::Milliseconds(500);
    }
  }
  void NoAnswerFor(double seconds) {
    for (double t = 0; t <= seconds; t += 0.5) {
      health_->Note(absl::UnavailableError("refused"), now_);
      now_ += absl::Milliseconds(500);
    }
  }

  absl::Time now_ = absl::UnixEpoch();
  GetStatusReply status_;
  std::optional<PlanHealth> health_;
};

TEST_F(PlanHealthTest, WithAnActorThatWorksNothingIsMissing) {
  AddActor("a");
  Refuse(AddActor("b"), 3);
  AddActor("c").set_waiting_for("weight version 4");
  NoteFor(30);
  EXPECT_TRUE(health_->failure().ok());
  EXPECT_THAT(health_->waiting_for(), IsEmpty());
}

TEST_F(PlanHealthTest, EveryLiveActorRefusesTheVersion) {
  Refuse(AddActor("a"), 3);
  Refuse(AddActor("b"), 3);
  AddActor("dead", /*idle_ms=*/60000);
  NoteFor(1);
  EXPECT_TRUE(health_->failure().ok()) << "another actor may be about to call";
  EXPECT_THAT(health_->waiting_for(), HasSubstr("a refuses weight version 3: tensor w"));
  NoteFor(2);
  EXPECT_EQ(health_->failure().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(health_->failure().message(),
            "a refuses weight version 3: tensor w has shape [3] (and 1 other actor)");
}

TEST_F(PlanHealthTest, ARefusedVersionThatThePlanDoesNotNeedIsNoFailure) {
  Refuse(AddActor("a"), 2);
  NoteFor(30);
  EXPECT_TRUE(health_->failure().ok());
  PlanSpec pinned;
  pinned.set_name("p");
  pinned.set_pinned_version(2);
  health_.emplace(pinned, /*term=*/0);
  NoteFor(3);
  EXPECT_FALSE(health_->failure().ok());
}

TEST_F(PlanHealthTest, AnActorThatComesInTimeEndsTheRefusal) {
  Refuse(AddActor("a"), 3);
  NoteFor(1);
  AddActor("b");
  NoteFor(1);
  status_.mutable_actors()->RemoveLast();
  NoteFor(1);
  EXPECT_TRUE(health_->failure().ok());
}

TEST_F(PlanHealthTest, AllGroupsOfABatchSetAside) {
  AddActor("a");
  plan().set_appended_groups(9);
  plan().set_set_aside_groups(1);
  plan().set_last_error("item is too long");
  NoteFor(0);
  EXPECT_TRUE(health_->failure().ok());
  plan().set_set_aside_groups(2);
  NoteFor(0);
  EXPECT_THAT(std::string(health_->failure().message()),
              testing::AllOf(HasSubstr("each of the 2 groups"), HasSubstr("item is too long")));
}

TEST_F(PlanHealthTest, OneCompleteGroupOrOneThatIsLeftIsEnoughToContinue) {
  AddActor("a");
  plan().set_appended_groups(9);
  plan().set_set_aside_groups(8);
  plan().set_complete_groups(1);
  NoteFor(0);
  EXPECT_TRUE(health_->failure().ok());
  plan().set_complete_groups(0);
  plan().set_appended_groups(1);
  plan().set_set_aside_groups(1);
  NoteFor(0);
  EXPECT_TRUE(health_->failure().ok()) << "more groups may be appended";
  plan().set_end_of_plan(true);
  NoteFor(0);
  EXPECT_FALSE(health_->failure().ok()) << "all groups of the plan";
}

TEST_F(PlanHealthTest, ANewerTermIsTheEndOfAnOlderLearner) {
  AddActor("a");
  NoteFor(1);
  EXPECT_TRUE(health_->failure().ok());
  status_.set_term(6);
  NoteFor(0);
  EXPECT_EQ(health_->failure().code(), absl::StatusCode::kAborted);
}

TEST_F(PlanHealthTest, SaysThatTheCoordinatorDoesNotAnswer) {
  AddActor("a");
  NoteFor(1);
  NoAnswerFor(0.5);
  EXPECT_THAT(health_->waiting_for(), IsEmpty()) << "one lost call";
  NoAnswerFor(4);
  EXPECT_EQ(health_->waiting_for(), "the coordinator does not answer");
  EXPECT_TRUE(health_->failure().ok());
  NoteFor(0);
  EXPECT_THAT(health_->waiting_for(), IsEmpty());
}

TEST_F(PlanHealthTest, SaysThatNoActorIsConnected) {
  NoteFor(1);
  EXPECT_THAT(health_->waiting_for(), IsEmpty()) << "actors are starting";
  NoteFor(3);
  EXPECT_EQ(health_->waiting_for(), "no actor is connected");
  AddActor("a", /*idle_ms=*/5000);
  NoteFor(0);
  EXPECT_EQ(health_->waiting_for(), "no actor is connected");
  plan().set_end_of_plan(true);
  plan().set_appended_groups(2);
  plan().set_complete_groups(2);
  NoteFor(0);
  EXPECT_THAT(health_->waiting_for(), IsEmpty()) << "the batches are in the store";
}

TEST_F(PlanHealthTest, SaysWhatEveryActorWaitsFor) {
  AddActor("a").set_waiting_for("weight version 3 from h:1: connection refused");
  Refuse(AddActor("b"), 3);
  NoteFor(60);
  EXPECT_EQ(health_->waiting_for(), "a: weight version 3 from h:1: connection refused");
  EXPECT_TRUE(health_->failure().ok()) << "a source may come back";
}

TEST_F(PlanHealthTest, SaysThatNoSampleIsFinished) {
  AddActor("a");
  status_.mutable_ledger()->set_outstanding(8);
  NoteFor(59);
  EXPECT_THAT(health_->waiting_for(), IsEmpty());
  NoteFor(2);
  EXPECT_EQ(health_->waiting_for(), "samples: actors hold 8 and have finished none for 1 min");
  plan().set_samples_accepted(1);
  NoteFor(1);
  EXPECT_THAT(health_->waiting_for(), IsEmpty());
}

}  // namespace
}  // namespace reckon
