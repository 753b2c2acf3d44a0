// Random heartbeats, failures, sleeps, commits and restarts of learner terms are compared with a
// simple model: a term ends when a rank is missed or fails, for no other reason, and does not live
// again.
#include <gtest/gtest.h>

#include <map>
#include <random>

#include "tests/support/core_harness.h"
#include "tests/support/memory_store.h"

namespace reckon {
namespace {

constexpr uint32_t kWorld = 4;
constexpr absl::Duration kTimeout = absl::Seconds(15);

class GroupModel {
 public:
  explicit GroupModel(uint64_t seed) : random_(seed) {
    Begin();
    core_.Commit();
    committed_ = state_;
  }

  void Run(int events) {
    for (int i = 0; i < events && !::testing::Test::HasFailure(); ++i) {
      Step();
      Check();
    }
    EXPECT_GT(missed_, 0);
    EXPECT_GT(failed_, 0);
    EXPECT_GT(restarts_, 0);
    EXPECT_GT(state_.term, 10u);
  }

 private:
  struct Rank {
    bool left = false;
    absl::Time heard;
  };
  struct State {
    uint64_t term = 0;
    bool ended = false;
    std::map<uint32_t, Rank> ranks;
  };

  uint64_t Below(uint64_t n) { return random_() % n; }

  void Begin() {
    BeginTermRequest request;
    request.set_learner("l");
    request.set_world_size(kWorld);
    request.set_nonce("nonce " + std::to_string(++nonces_));
    const auto reply = core_->BeginTerm(request);
    ASSERT_TRUE(reply.ok()) << reply.status();
    ASSERT_EQ(reply->term(), state_.term + 1);
    state_ = State{.term = reply->term()};
  }

  absl::Status Call(uint32_t rank, bool leaving, const std::string& failure) {
    HeartbeatRequest request;
    request.set_term(state_.term);
    request.set_rank(rank);
    request.set_host("h");
    request.set_leaving(leaving);
    request.set_failure(failure);
    return core_->Heartbeat(request, core_.now()).status();
  }

  void Beat(uint32_t rank, bool leaving = false, const std::string& failure = "") {
    const absl::Status status = Call(rank, leaving, failure);
    ASSERT_EQ(status.ok(), !state_.ended) << status;
    if (state_.ended) return;
    state_.ranks[rank] = Rank{.left = leaving, .heard = core_.now()};
    if (!failure.empty()) {
      state_.ended = true;
      ++failed_;
    }
  }

  void Tick(absl::Duration by) {
    core_.Advance(by);
    for (auto& [number, rank] : state_.ranks) {
      if (rank.heard == absl::InfiniteFuture()) rank.heard = core_.now() + absl::Seconds(6);
      if (by > absl::Seconds(1)) rank.heard += ticked_ ? by : absl::ZeroDuration();
      if (state_.ended || rank.left || core_.now() - rank.heard < kTimeout) continue;
      state_.ended = true;
      ++missed_;
    }
    ticked_ = true;
  }

  void Step() {
    switch (Below(20)) {
      case 0:
        return Beat(Below(kWorld), /*leaving=*/Below(3) == 0);
      case 1:
        if (Below(8) == 0) Beat(Below(kWorld), false, "failure");
        return;
      case 2:
        return Tick(absl::Seconds(2 + Below(100)));
      case 3:
        core_.Commit();
        committed_ = state_;
        return;
      case 4:
        if (Below(4) == 0) Restart();
        return;
      case 5:
        if (state_.ended) Begin();
        return;
      case 6:  // some ranks are silent for long
        for (int i = 0; i < 20; ++i) Tick(absl::Milliseconds(500));
        return Beat(Below(kWorld));
      default:
        Tick(absl::Milliseconds(Below(1000)));
        for (uint32_t rank = 0; rank < kWorld; ++rank) {
          if (state_.ranks.count(rank) && !state_.ranks[rank].left) Beat(rank);
        }
        return;
    }
  }

  void Restart() {
    core_.Restart();
    ++restarts_;
    state_ = committed_;
    for (auto& [number, rank] : state_.ranks) rank.heard = absl::InfiniteFuture();
    ticked_ = false;
  }

  void Check() {
    RendezvousRequest request;
    request.set_term(state_.term);
    request.set_op(RendezvousRequest::CHECK);
    request.add_keys("k");
    const auto reply = core_->UseRendezvous(request, /*last=*/true);
    ASSERT_EQ(absl::IsAborted(reply.status()), state_.ended) << reply.status();
    int present = 0;
    for (const auto& [number, rank] : state_.ranks) present += !rank.left;
    ASSERT_EQ(core_->Status(core_.now()).ranks_size(), present);
    ASSERT_TRUE(core_->CheckInvariants().ok());
  }

  std::mt19937_64 random_;
  MemoryStore store_;
  CoreHarness core_{&store_};
  State state_, committed_;
  bool ticked_ = false;
  int nonces_ = 0, missed_ = 0, failed_ = 0, restarts_ = 0;
};

class LearnerGroupModel : public ::testing::TestWithParam<uint64_t> {};

TEST_P(LearnerGroupModel, ATermEndsWhenARankIsMissedOrFailsAndNotOtherwise) {
  GroupModel(GetParam()).Run(5000);
}
INSTANTIATE_TEST_SUITE_P(Seeds, LearnerGroupModel, ::testing::Range<uint64_t>(1, 9));

}  // namespace
}  // namespace reckon
