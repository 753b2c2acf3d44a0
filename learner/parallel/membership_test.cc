#include "learner/parallel/membership.h"

#include <memory>
#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"
#include "common/testing/await.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "learner/parallel/c10d_work.h"
#include "tests/support/in_process_coordinator.h"

namespace reckon {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::StartsWith;

CoreOptions Impatient() {
  CoreOptions options;
  options.rank_timeout = absl::Seconds(2);
  return options;
}

class MembershipTest : public ::testing::Test {
 protected:
  std::unique_ptr<Membership> Begin(int rank, int world, const std::string& nonce = "n") {
    MembershipOptions options;
    options.learner = "test";
    options.rank = rank;
    options.world = world;
    options.nonce = nonce;
    options.join_timeout = join_timeout;
    auto member = Membership::Begin(coordinator.NewStub(), options, stop.get_token(),
                                    [this](const std::string& what) {
                                      absl::MutexLock lock(&mu);
                                      waits.push_back(what);
                                    });
    begun = member.status();
    return member.ok() ? *std::move(member) : nullptr;
  }
  // A heartbeat of a rank that is no Membership: it is silent afterwards.
  void BeatOnce(uint64_t term, uint32_t rank) {
    HeartbeatRequest request;
    request.set_term(term);
    request.set_rank(rank);
    request.set_host("elsewhere");
    HeartbeatReply reply;
    grpc::ClientContext context;
    ASSERT_TRUE(coordinator.NewStub()->Heartbeat(&context, request, &reply).ok());
  }
  static bool Stops(const Membership& member) {
    return Await([&] { return member.stop().stop_requested(); });
  }

  InProcessCoordinator coordinator{Impatient()};
  std::stop_source stop;
  absl::Duration join_timeout = absl::Minutes(5);
  absl::Status begun;
  absl::Mutex mu;
  std::vector<std::string> waits;
};

TEST_F(MembershipTest, ARankThatIsMissedEndsTheOthersWithItsName) {
  auto member = Begin(0, 2);
  ASSERT_NE(member, nullptr) << begun;
  BeatOnce(member->term(), 1);
  ASSERT_TRUE(Stops(*member));
  const absl::Status why = member->End(absl::CancelledError("stopped"));
  EXPECT_EQ(why.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(why.message()), StartsWith("rank 1 on elsewhere has not been heard of"));
}

TEST_F(MembershipTest, AFailureIsTheCauseThatTheOthersTell) {
  auto fails = Begin(0, 2), breaks = Begin(1, 2);
  const absl::Status failure = absl::ResourceExhaustedError("training step: out of memory");
  EXPECT_EQ(fails->End(failure), failure);
  ASSERT_TRUE(Stops(*breaks));
  const absl::Status broken = CatchCollectiveErrors(
      "all-reduce", []() -> absl::Status { throw std::runtime_error("closed by peer"); });
  ASSERT_TRUE(IsCollectiveError(broken));
  const absl::Status why = breaks->End(broken);
  EXPECT_EQ(why.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(why.message()),
              AllOf(StartsWith("rank 0 on "), HasSubstr(" failed: training step: out of memory")));
}

TEST_F(MembershipTest, ABrokenCollectiveWaitsForTheRankToBeMissed) {
  auto member = Begin(0, 2);
  BeatOnce(member->term(), 1);
  const absl::Status broken = CatchCollectiveErrors(
      "all-reduce", []() -> absl::Status { throw std::runtime_error("closed by peer"); });
  EXPECT_THAT(std::string(member->End(broken).message()), StartsWith("rank 1 on elsewhere"));
}

TEST_F(MembershipTest, ARankThatLeavesIsNotMissedAndIsNamedByThoseThatBreak) {
  auto leaves = Begin(0, 2), breaks = Begin(1, 2);
  EXPECT_TRUE(leaves->End(absl::OkStatus()).ok());
  const absl::Status broken = CatchCollectiveErrors(
      "broadcast", []() -> absl::Status { throw std::runtime_error("closed by peer"); });
  const absl::Status why = breaks->End(broken);
  EXPECT_EQ(why.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(
      std::string(why.message()),
      AllOf(StartsWith("rank 1 on "), HasSubstr("failed: broadcast: closed by peer; rank 0 on"),
            HasSubstr("had left")));
}

TEST_F(MembershipTest, AnotherGroupIsNotTheEndOfTheSameOne) {
  auto old = Begin(0, 1, "old");
  auto next = Begin(0, 1, "next");
  ASSERT_TRUE(Stops(*old));
  EXPECT_EQ(old->End(absl::CancelledError("stopped")).code(), absl::StatusCode::kAborted);
  EXPECT_TRUE(next->Check().ok());
  EXPECT_FALSE(next->stop().stop_requested());
}

TEST_F(MembershipTest, ARestartOfTheCoordinatorEndsNothingAndALossDuringItIsNoticed) {
  auto member = Begin(0, 2);
  BeatOnce(member->term(), 1);
  coordinator.Stop();
  EXPECT_TRUE(member->Check().ok()) << "a coordinator that is away ends nothing";
  coordinator.Start();
  EXPECT_EQ(member->stop().stop_requested(), false);
  ASSERT_TRUE(Stops(*member));
  EXPECT_THAT(std::string(member->End(absl::CancelledError("stopped")).message()),
              StartsWith("rank 1 on elsewhere has not been heard of"));
}

TEST_F(MembershipTest, RanksMeetWhenAllAreThere) {
  std::vector<std::thread> ranks;
  for (int rank = 0; rank < 3; ++rank) {
    ranks.emplace_back([&, rank] {
      MembershipOptions options;
      options.learner = "test";
      options.rank = rank;
      options.world = 3;
      options.nonce = "n";
      auto member =
          Membership::Begin(coordinator.NewStub(), options, {}, [](const std::string&) {});
      ASSERT_TRUE(member.ok()) << member.status();
      EXPECT_TRUE((*member)->Meet().ok());
      EXPECT_TRUE((*member)->End(absl::OkStatus()).ok());
    });
  }
  for (std::thread& rank : ranks) rank.join();
}

TEST_F(MembershipTest, ARankThatNeverCallsIsNamedAndNotWaitedForForever) {
  join_timeout = absl::Milliseconds(10);
  auto member = Begin(1, 3);
  const absl::Status met = member->Meet();
  EXPECT_EQ(met.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(met.message()),
              HasSubstr("for ranks 0, 2 of 3, which have never called: is it started"));
  absl::MutexLock lock(&mu);
  EXPECT_THAT(waits, Contains("ranks 0, 2 of 3, which have never called"));
}

TEST_F(MembershipTest, AProcessThatIsStartedAgainWithinATermEndsIt) {
  auto first = Begin(0, 2);
  EXPECT_EQ(Begin(0, 2), nullptr);
  EXPECT_EQ(begun.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(begun.message()), HasSubstr("started again within a term"));
  ASSERT_TRUE(Stops(*first));
}

TEST_F(MembershipTest, AStopOfTheProgramEndsWaitsAndLeavesAsPlanned) {
  auto member = Begin(0, 2);
  std::thread stopper([&] {
    EXPECT_TRUE(Await([&] { return coordinator.faults().calls("Rendezvous") > 1; }));
    stop.request_stop();
  });
  EXPECT_TRUE(absl::IsCancelled(member->Meet()));
  stopper.join();
  EXPECT_TRUE(absl::IsCancelled(member->End(absl::CancelledError("stopped"))));
  EXPECT_EQ(coordinator.status().ranks_size(), 0);
}

}  // namespace
}  // namespace reckon
