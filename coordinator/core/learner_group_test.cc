#include "coordinator/core/learner_group.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/core_harness.h"
#include "tests/support/memory_store.h"

namespace reckon {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class LearnerGroupTest : public ::testing::Test {
 protected:
  LearnerGroupTest() { EXPECT_TRUE(Begin("first", 2).ok()); }

  absl::StatusOr<BeginTermReply> Begin(const std::string& nonce, uint32_t world) {
    BeginTermRequest request;
    request.set_learner("l");
    request.set_world_size(world);
    request.set_nonce(nonce);
    auto reply = core->BeginTerm(request);
    if (reply.ok()) term = reply->term();
    return reply;
  }
  HeartbeatRequest Beat(uint32_t rank) {
    HeartbeatRequest request;
    request.set_term(term);
    request.set_rank(rank);
    request.set_host("node-" + std::to_string(rank));
    return request;
  }
  absl::Status Call(const HeartbeatRequest& request) {
    return core->Heartbeat(request, core.now()).status();
  }
  // As the committer does: many ticks.
  void Pass(double seconds) {
    for (int i = 0; i < static_cast<int>(10 * seconds); ++i) core.Advance(absl::Milliseconds(100));
  }
  // Why the term is over; empty: it is not.
  std::string TermEnd() {
    RendezvousRequest request;
    request.set_term(term);
    request.set_op(RendezvousRequest::CHECK);
    request.add_keys("k");
    const auto reply = core->UseRendezvous(request, /*last=*/true);
    if (reply.ok()) return "";
    EXPECT_EQ(reply.status().code(), absl::StatusCode::kAborted);
    return std::string(reply.status().message());
  }

  uint64_t term = 0;
  MemoryStore store;
  CoreHarness core{&store};
};

TEST_F(LearnerGroupTest, ASilentRankEndsTheTermAndIsNamed) {
  ASSERT_TRUE(Call(Beat(0)).ok());
  EXPECT_EQ(core->Heartbeat(Beat(1), core.now())->timeout_ms(), 15000u);
  for (int i = 0; i < 4; ++i) {
    Pass(3);
    ASSERT_TRUE(Call(Beat(0)).ok());
  }
  EXPECT_EQ(TermEnd(), "");
  core->TakeChanged();
  Pass(4);
  EXPECT_THAT(TermEnd(), StartsWith("rank 1 on node-1 has not been heard of for 15."));
  EXPECT_TRUE(core->TakeChanged() & kKeysChanged) << "those who wait for keys are not told";
  EXPECT_EQ(Call(Beat(0)).message(), TermEnd());
  EXPECT_EQ(Begin("first", 2)->term(), 1u)
      << "what is asked again is not that another term has begun";
  EXPECT_EQ(core->PublishWeights(PublishRequest(0, term)).code(), absl::StatusCode::kAborted);
  const std::string end = TermEnd();
  core.Commit();
  core.Restart();
  EXPECT_EQ(TermEnd(), end) << "a term that has ended lives again";
  ASSERT_TRUE(Begin("second", 2).ok());
  EXPECT_EQ(TermEnd(), "");
  Pass(60);
  EXPECT_EQ(TermEnd(), "") << "ranks of the term before are missed";
}

TEST_F(LearnerGroupTest, OnlyRanksThatHaveCalledAreMissedAndNoneThatHasLeft) {
  ASSERT_TRUE(Call(Beat(0)).ok());
  HeartbeatRequest leaving = Beat(0);
  leaving.set_leaving(true);
  ASSERT_TRUE(Call(leaving).ok());
  core.Commit();
  Pass(60);
  EXPECT_EQ(TermEnd(), "");
  core.Restart();
  Pass(60);
  EXPECT_EQ(TermEnd(), "");
  EXPECT_EQ(core->Status(core.now()).ranks_size(), 0);
}

TEST_F(LearnerGroupTest, TheFirstCauseIsTheOneThatAllRanksAreTold) {
  ASSERT_TRUE(Call(Beat(0)).ok());
  HeartbeatRequest failure = Beat(1);
  failure.set_failure("out of memory\nat 0x00");
  ASSERT_TRUE(Call(failure).ok());
  EXPECT_EQ(TermEnd(), "rank 1 on node-1 failed: out of memory?at 0x00");
  failure = Beat(0);
  failure.set_failure("connection closed by peer");
  EXPECT_EQ(Call(failure).message(), TermEnd());
  EXPECT_EQ(TermEnd(), "rank 1 on node-1 failed: out of memory?at 0x00");
}

TEST_F(LearnerGroupTest, AFailureNamesARankThatHadLeft) {
  HeartbeatRequest leaving = Beat(1);
  leaving.set_leaving(true);
  ASSERT_TRUE(Call(leaving).ok());
  HeartbeatRequest failure = Beat(0);
  failure.set_failure("connection closed by peer");
  ASSERT_TRUE(Call(failure).ok());
  EXPECT_EQ(TermEnd(),
            "rank 0 on node-0 failed: connection closed by peer; rank 1 on node-1 had left");
}

TEST_F(LearnerGroupTest, ARankThatLeavesBecauseItFailsIsNamedOnce) {
  HeartbeatRequest failure = Beat(0);
  failure.set_leaving(true);
  failure.set_failure("out of memory");
  ASSERT_TRUE(Call(failure).ok());
  EXPECT_EQ(TermEnd(), "rank 0 on node-0 failed: out of memory");
}

TEST_F(LearnerGroupTest, AfterARestartTheRanksHaveTimeToCallAgain) {
  ASSERT_TRUE(Call(Beat(0)).ok());
  ASSERT_TRUE(Call(Beat(1)).ok());
  core.Commit();
  core.Restart();
  Pass(14);
  EXPECT_EQ(TermEnd(), "");
  ASSERT_TRUE(Call(Beat(0)).ok());
  Pass(6);
  EXPECT_EQ(TermEnd(), "");
  Pass(2);
  EXPECT_THAT(TermEnd(), StartsWith("rank 1 on node-1 has not been heard of for 15."));
}

TEST_F(LearnerGroupTest, TimeInWhichTheCoordinatorSleptCountsForNoRank) {
  ASSERT_TRUE(Call(Beat(0)).ok());
  Pass(5);
  core.Advance(absl::Hours(9));
  EXPECT_EQ(TermEnd(), "");
  Pass(9);
  EXPECT_EQ(TermEnd(), "");
  EXPECT_EQ(core->Status(core.now()).ranks(0).host(), "node-0");
  EXPECT_NEAR(core->Status(core.now()).ranks(0).silent_ms(), 14000, 200);
  Pass(2);
  EXPECT_THAT(TermEnd(), HasSubstr("rank 0 on node-0"));
}

TEST_F(LearnerGroupTest, RefusesWhatNoRankOfTheTermWouldSend) {
  EXPECT_EQ(Call(Beat(2)).message(), "rank is 2, but the term has 2 ranks");
  HeartbeatRequest other = Beat(0);
  other.set_term(term + 1);
  EXPECT_EQ(Call(other).code(), absl::StatusCode::kAborted);
  other = Beat(0);
  other.set_host("");
  EXPECT_EQ(Call(other).code(), absl::StatusCode::kInvalidArgument);
  other = Beat(0);
  other.set_failure(std::string(5000, 'x'));
  EXPECT_EQ(Call(other).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(core->Status(core.now()).ranks_size(), 0);
  EXPECT_THAT(std::string(Begin("first", 4).status().message()),
              HasSubstr("has 2 ranks, and another that it has 4"));
}

}  // namespace
}  // namespace reckon
