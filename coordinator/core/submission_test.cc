#include "coordinator/core/submission.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/core_harness.h"
#include "tests/support/memory_store.h"

namespace reckon {
namespace {

using ::testing::HasSubstr;
using Ack = SubmitReply::Ack;

// Rollouts at the border between what is accepted and what is not.
class SubmissionTest : public ::testing::Test {
 protected:
  SubmissionTest() {
    EXPECT_TRUE(core->PublishWeights(PublishRequest(0)).ok());
    EXPECT_TRUE(core->PublishWeights(PublishRequest(1)).ok());
  }
  void Open(const PlanSpec& spec, uint64_t groups) {
    ASSERT_TRUE(core->OpenPlan(OpenRequest(spec)).ok());
    ASSERT_TRUE(core->AppendGroups(AppendRequest(spec.name(), 0, groups)).ok());
  }
  void ExpectRejected(uint64_t lease, const Rollout& rollout, const std::string& why) {
    const Ack ack = core.Submit("a", lease, rollout);
    EXPECT_EQ(ack.outcome(), Ack::REJECTED) << why;
    EXPECT_THAT(ack.message(), HasSubstr(why));
  }
  void ExpectAccepted(uint64_t lease, const Rollout& rollout) {
    const Ack ack = core.Submit("a", lease, rollout);
    EXPECT_EQ(ack.outcome(), Ack::ACCEPTED) << ack.message();
  }

  MemoryStore store;
  CoreHarness core{&store};
};

TEST_F(SubmissionTest, ALeaseIsForItsVersionAndItsGroupAlone) {
  Open(MakeSpec("p", 1, 1, 3), 3);
  const auto leases = core.LeaseWork("a", 2);
  ASSERT_EQ(leases.size(), 2u);
  ExpectRejected(leases[0].id(), MakeRollout("p", 0, 0, 0), "allowed are 1 to 1");
  ExpectRejected(leases[0].id(), MakeRollout("p", 1, 0, 1), "the lease is for another group");
  ExpectRejected(leases[1].id() + 1, MakeRollout("p", 0, 0, 1), "no such lease");
  ExpectAccepted(leases[0].id(), MakeRollout("p", 0, 0, 1));
}

TEST_F(SubmissionTest, ALateSampleIsOfAnyVersionUnlessThePlanNamesOne) {
  Open(MakeSpec("p", 1, 1, 3), 3);
  PlanSpec pinned = MakeSpec("pinned", 1, 1);
  pinned.set_pinned_version(0);
  Open(pinned, 1);
  const uint64_t newest = core.LeaseWork("a", 1, /*held=*/1).at(0).id();
  const uint64_t old = core.LeaseWork("a", 1, /*held=*/0).at(0).id();
  core.Advance(absl::Seconds(61));
  ExpectRejected(old, MakeRollout("pinned", 0, 0, 1), "allowed are 0 to 0");
  ExpectAccepted(old, MakeRollout("pinned", 0, 0, 0));
  ExpectRejected(newest, MakeRollout("p", 0, 0, 2), "allowed are 0 to 1");
  ExpectRejected(newest, MakeRollout("p", 1, 0, 1), "the group was never leased");
  ExpectRejected(newest, MakeRollout("p", 3, 0, 1), "no such group");
  ExpectAccepted(newest, MakeRollout("p", 0, 0, 0));
}

TEST_F(SubmissionTest, WhatIsAcceptedIsCounted) {
  Open(MakeSpec("p", 2, 1), 1);
  const Lease lease = core.LeaseWork("a", 2).at(0);
  core.Finish("a", lease);  // samples of one token and of two
  const GetStatusReply status = core->Status(core.now());
  EXPECT_EQ(status.plans(0).sampled_tokens(), 3u);
  EXPECT_EQ(status.actors(0).accepted(), 2u);
}

TEST_F(SubmissionTest, AsManyTokensAsThePlanAllowsAndNoMore) {
  Open(MakeSpec("p", 1, 1), 1);
  const uint64_t lease = core.LeaseWork("a", 1).at(0).id();
  Rollout rollout = MakeRollout("p", 0, 0, 1);
  TokenSpan& sampled = *rollout.mutable_spans(1);
  while (sampled.tokens_size() < 9) {
    sampled.add_tokens(1);
    sampled.add_logprobs(-1);
  }
  ExpectRejected(lease, rollout, "9 sampled tokens, above max_new_tokens 8");
  sampled.mutable_tokens()->RemoveLast();
  sampled.mutable_logprobs()->RemoveLast();
  ExpectAccepted(lease, rollout);
}

TEST_F(SubmissionTest, StepsOfARewardAreTokensInTheirOrder) {
  Open(MakeSpec("p", 1, 1), 1);
  const uint64_t lease = core.LeaseWork("a", 1).at(0).id();
  const auto with_steps = [](const std::vector<uint32_t>& tokens) {
    Rollout rollout = MakeRollout("p", 0, 0, 1);
    for (uint32_t token : tokens) rollout.mutable_rewards(0)->add_steps()->set_token(token);
    return rollout;
  };
  ExpectRejected(lease, with_steps({3}), "a step at token 3");  // of three tokens, from 0
  ExpectRejected(lease, with_steps({2, 1}), "a step at token 1");
  ExpectAccepted(lease, with_steps({1, 1, 2}));  // one token may end two steps
}

TEST_F(SubmissionTest, ThePromptIsTheItemsWhole) {
  Open(MakeSpec("p", 1, 1), 1);
  const uint64_t lease = core.LeaseWork("a", 1).at(0).id();
  Rollout rollout = MakeRollout("p", 0, 0, 1);
  rollout.mutable_spans(0)->mutable_tokens()->RemoveLast();
  ExpectRejected(lease, rollout, "prompt tokens are not those of group 0");
}

TEST_F(SubmissionTest, ForcedTokensAreTheItemsWholeAndScoredWholeOrNot) {
  ASSERT_TRUE(core->OpenPlan(OpenRequest(MakeSpec("p", 2, 1))).ok());
  AppendGroupsRequest append = AppendRequest("p", 0, 1);
  append.mutable_items(0)->add_forced_tokens(40);
  append.mutable_items(0)->add_forced_tokens(41);
  ASSERT_TRUE(core->AppendGroups(append).ok());
  const uint64_t lease = core.LeaseWork("a", 2).at(0).id();
  const auto forced = [](uint32_t sample, int tokens, int logprobs) {
    Rollout rollout = MakeRollout("p", 0, sample, 1);
    TokenSpan* span = rollout.add_spans();
    span->set_kind(TokenSpan::FORCED);
    for (int i = 0; i < tokens; ++i) span->add_tokens(40 + i);
    for (int i = 0; i < logprobs; ++i) span->add_logprobs(-1);
    return rollout;
  };
  ExpectRejected(lease, MakeRollout("p", 0, 0, 1), "forced tokens are not those");
  ExpectRejected(lease, forced(0, 1, 0), "forced tokens are not those");
  ExpectRejected(lease, forced(0, 2, 1), "1 logprobs for 2 tokens");
  ExpectAccepted(lease, forced(0, 2, 2));
  ExpectAccepted(lease, forced(1, 2, 0));
}

}  // namespace
}  // namespace reckon
