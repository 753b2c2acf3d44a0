#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "coordinator/store/store_keys.h"
#include "tests/support/core_harness.h"
#include "tests/support/memory_store.h"

namespace reckon {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Ack = SubmitReply::Ack;

class CoreWork : public ::testing::Test {
 protected:
  void Open(const PlanSpec& spec, uint64_t groups) {
    ASSERT_TRUE(core->OpenPlan(OpenRequest(spec)).ok());
    ASSERT_TRUE(core->AppendGroups(AppendRequest(spec.name(), 0, groups)).ok());
  }
  void Publish(uint64_t version) {
    ASSERT_TRUE(core->PublishWeights(PublishRequest(version)).ok());
  }
  void Return(const std::string& actor, uint64_t lease, const std::string& error) {
    ReturnLeasesRequest request;
    request.set_actor(actor);
    request.add_leases(lease);
    request.set_error(error);
    ASSERT_TRUE(core->ReturnLeases(request, core.now()).ok());
  }
  void TearDown() override {
    const absl::Status status = core->CheckInvariants();
    EXPECT_TRUE(status.ok()) << status;
  }

  MemoryStore store;
  CoreHarness core{&store};
};

TEST_F(CoreWork, NothingIsLeasedBeforeItsVersionIsPublished) {
  PlanSpec pinned = MakeSpec("pinned", 1, 1);
  pinned.set_pinned_version(2);
  Open(pinned, 1);
  Open(MakeSpec("p", 1, 1), 1);
  EXPECT_THAT(core.LeaseWork("a", 9), IsEmpty());
  Publish(1);
  EXPECT_EQ(core.LeaseWork("a", 9).at(0).plan(), "p");
  Publish(2);
  const auto leases = core.LeaseWork("a", 9);
  ASSERT_EQ(leases.size(), 1u);
  EXPECT_EQ(leases[0].plan(), "pinned");
  EXPECT_EQ(leases[0].weight_version(), 2);
}

TEST_F(CoreWork, WorkAtTheHeldVersionComesFirst) {
  Open(MakeSpec("newest", 1, 1), 1);
  PlanSpec pinned = MakeSpec("pinned", 1, 1);
  pinned.set_pinned_version(1);
  Open(pinned, 1);
  Publish(1);
  Publish(2);
  const auto leases = core.LeaseWork("a", 9, /*held=*/1);
  ASSERT_EQ(leases.size(), 1u) << "one reply is for one version";
  EXPECT_EQ(leases[0].plan(), "pinned");
}

TEST_F(CoreWork, AReportIsKeptAndARefusedVersionIsNotLeased) {
  Open(MakeSpec("p", 1, 1), 2);
  Publish(3);
  LeaseRequest request;
  request.set_actor("a");
  request.mutable_report()->set_refused_version(3);
  request.mutable_report()->set_refused_because("tensor w has shape [3]");
  EXPECT_THAT(core->Lease(request, core.now())->leases(), IsEmpty()) << "a report only";
  request.set_max_samples(9);
  EXPECT_THAT(core->Lease(request, core.now())->leases(), IsEmpty());
  GetStatusReply status = core->Status(core.now());
  ASSERT_EQ(status.actors_size(), 1);
  EXPECT_EQ(status.actors(0).report().refused_because(), "tensor w has shape [3]");
  EXPECT_EQ(status.actors(0).report().refused_version(), 3u);
  Publish(4);
  EXPECT_EQ(core->Lease(request, core.now())->leases_size(), 1) << "another version";
  request.clear_report();
  ASSERT_TRUE(core->Lease(request, core.now()).ok());
  EXPECT_EQ(core->Status(core.now()).actors(0).report().refused_because(), "");
  request.mutable_report()->set_waiting_for(std::string(5000, 'x'));
  EXPECT_EQ(core->Lease(request, core.now()).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(CoreWork, GroupsSetAsideAreCountedWithTheLastErrorAlsoAfterARestart) {
  Open(MakeSpec("p", 1, 1), 2);
  Publish(0);
  for (int attempt = 0; attempt < 3; ++attempt) {
    Return("a", core.LeaseWork("a", 1).at(0).id(), "the item is too long");
  }
  core.Commit();
  core.Restart();
  const GetStatusReply status = core->Status(core.now());
  EXPECT_EQ(status.plans(0).set_aside_groups(), 1u);
  EXPECT_EQ(status.plans(0).last_error(), "the item is too long");
}

TEST_F(CoreWork, AGroupIsSplitOnlyWhenNothingElseFits) {
  Open(MakeSpec("p", 4, 3), 3);
  Publish(0);
  const auto one = core.LeaseWork("a", 6);
  ASSERT_EQ(one.size(), 1u);
  EXPECT_EQ(one[0].samples_size(), 4);
  const auto split = core.LeaseWork("a", 3);
  ASSERT_EQ(split.size(), 1u);
  EXPECT_THAT(split[0].samples(), ElementsAre(0, 1, 2));
  const auto rest = core.LeaseWork("b", 100);
  ASSERT_EQ(rest.size(), 2u);
  EXPECT_THAT(rest[0].samples(), ElementsAre(3));
}

TEST_F(CoreWork, AReLeaseAsksOnlyForWhatIsMissing) {
  Open(MakeSpec("p", 3, 1), 1);
  Publish(0);
  const Lease lease = core.LeaseWork("a", 9).at(0);
  core.Submit("a", lease.id(), MakeRollout("p", 0, 1, 0));
  core.Advance(absl::Seconds(61));
  EXPECT_EQ(core->ledger().expired(), 2);
  const Lease again = core.LeaseWork("b", 9).at(0);
  EXPECT_THAT(again.samples(), ElementsAre(0, 2));
  EXPECT_EQ(again.attempt(), 2u);
}

TEST_F(CoreWork, RenewalKeepsALeaseAndNamesThoseThatAreLost) {
  Open(MakeSpec("p", 1, 2), 2);
  Publish(0);
  const auto leases = core.LeaseWork("a", 2);
  core.Advance(absl::Seconds(40));
  RenewLeasesRequest renew;
  renew.set_actor("a");
  renew.add_leases(leases[0].id());
  EXPECT_THAT(core->RenewLeases(renew, core.now())->lost(), IsEmpty());
  core.Advance(absl::Seconds(40));
  renew.add_leases(leases[1].id());
  EXPECT_THAT(core->RenewLeases(renew, core.now())->lost(), ElementsAre(leases[1].id()));
  renew.set_actor("thief");
  EXPECT_EQ(core->RenewLeases(renew, core.now())->lost_size(), 2);
}

TEST_F(CoreWork, ALateSampleThatIsStillWantedIsAcceptedAndItsNewHolderIsADuplicate) {
  Open(MakeSpec("p", 1, 1), 1);
  Publish(0);
  const Lease first = core.LeaseWork("a", 1).at(0);
  core.Advance(absl::Seconds(61));
  const Lease second = core.LeaseWork("b", 1).at(0);
  EXPECT_EQ(core.Submit("a", first.id(), MakeRollout("p", 0, 0, 0)).outcome(), Ack::ACCEPTED);
  EXPECT_EQ(core.Submit("b", second.id(), MakeRollout("p", 0, 0, 0)).outcome(), Ack::DUPLICATE);
  EXPECT_EQ(core->ledger().outstanding(), 0);
  EXPECT_EQ(core->ledger().mismatched(), 0);
}

TEST_F(CoreWork, ARolloutComesFromTheActorThatHoldsItsLease) {
  Open(MakeSpec("p", 1, 1), 1);
  Publish(0);
  const Lease first = core.LeaseWork("a", 1).at(0);
  const SubmitReply::Ack thief = core.Submit("b", first.id(), MakeRollout("p", 0, 0, 0));
  EXPECT_EQ(thief.outcome(), Ack::REJECTED);
  EXPECT_EQ(thief.message(), "the lease is held by another actor");
  EXPECT_EQ(core->ledger().rejected(), 1);
  EXPECT_EQ(core->ledger().outstanding(), 1) << "the holder still owes its sample";
  core.Advance(absl::Seconds(61));
  const Lease second = core.LeaseWork("b", 1).at(0);
  EXPECT_EQ(core.Submit("a", second.id(), MakeRollout("p", 0, 0, 0)).outcome(), Ack::REJECTED);
  core.Finish("b", second);
  EXPECT_EQ(core.Submit("a", first.id(), MakeRollout("p", 0, 0, 0)).outcome(), Ack::DUPLICATE)
      << "a former holder is late, and no thief";
}

TEST_F(CoreWork, ADuplicateAtTheSameVersionThatDiffersIsCounted) {
  Open(MakeSpec("p", 1, 1), 1);
  Publish(0);
  const Lease lease = core.LeaseWork("a", 1).at(0);
  core.Finish("a", lease);
  EXPECT_EQ(core.Submit("b", lease.id(), MakeRollout("p", 0, 0, 0)).outcome(), Ack::DUPLICATE);
  EXPECT_EQ(core->ledger().mismatched(), 0) << "the actor's name is no difference";
  EXPECT_NE(core.Submit("a", lease.id(), MakeRollout("p", 0, 0, 0, 1)).message(), "");
  EXPECT_EQ(core->ledger().mismatched(), 1);
  Rollout other_logprob = MakeRollout("p", 0, 0, 0);
  other_logprob.mutable_spans(1)->set_logprobs(0, -9);
  core.Submit("a", lease.id(), other_logprob);
  EXPECT_EQ(core->ledger().mismatched(), 2);
  core.Submit("a", lease.id(), MakeRollout("p", 0, 0, 5));
  EXPECT_EQ(core->ledger().mismatched(), 2) << "another version may differ";

  ASSERT_TRUE(core->MarkApplied(AppliedRequest("p", 0, 0)).ok());
  core.Commit();
  core.Submit("a", lease.id(), MakeRollout("p", 0, 0, 0));
  EXPECT_EQ(core->ledger().mismatched(), 2) << "compared with the store once not resident";
  core.Submit("a", lease.id(), MakeRollout("p", 0, 0, 0, 1));
  EXPECT_EQ(core->ledger().mismatched(), 3);
}

TEST_F(CoreWork, AGroupIsSetAsideAfterThreeFailuresAndTheBatchIsCutWithoutIt) {
  Open(MakeSpec("p", 2, 2), 4);
  Publish(0);
  const auto leases = core.LeaseWork("a", 4);
  core.Finish("a", leases[1]);
  core.Submit("a", leases[0].id(), MakeRollout("p", 0, 1, 0));
  Return("a", leases[0].id(), "out of memory");
  Return("b", core.LeaseWork("b", 4).at(0).id(), "");  // does not count
  core.LeaseWork("a", 4);
  core.Advance(absl::Seconds(61));
  Return("a", core.LeaseWork("a", 4).at(0).id(), "out of memory");
  EXPECT_EQ(core->ledger().set_aside(), 1);
  const auto batch = *core->NextBatch(BatchRequest("p", 0));
  ASSERT_TRUE(batch.has_value());
  EXPECT_THAT(batch->header().set_aside(), ElementsAre(0));
  EXPECT_THAT(core.Batch("p", 0), ElementsAre(1));
  EXPECT_EQ(core.Submit("a", leases[0].id(), MakeRollout("p", 0, 0, 0)).outcome(), Ack::LATE);
  ASSERT_TRUE(core->MarkApplied(AppliedRequest("p", 0, 0)).ok());
  EXPECT_EQ(core.LeaseWork("a", 4).at(0).item().group(), 2);
}

TEST_F(CoreWork, SettingAGroupAsideEndsItsOtherLeases) {
  CoreOptions options;
  options.max_attempts = 1;
  MemoryStore other;
  CoreHarness strict(&other, options);
  ASSERT_TRUE(strict->OpenPlan(OpenRequest(MakeSpec("p", 4, 1))).ok());
  ASSERT_TRUE(strict->AppendGroups(AppendRequest("p", 0, 1)).ok());
  ASSERT_TRUE(strict->PublishWeights(PublishRequest(0)).ok());
  const Lease half = strict.LeaseWork("a", 2).at(0);
  const Lease rest = strict.LeaseWork("b", 2).at(0);
  ReturnLeasesRequest failed;
  failed.set_actor("a");
  failed.add_leases(half.id());
  failed.set_error("no");
  ASSERT_TRUE(strict->ReturnLeases(failed, strict.now()).ok());
  EXPECT_EQ(strict->ledger().set_aside(), 4);
  RenewLeasesRequest renew;
  renew.set_actor("b");
  renew.add_leases(rest.id());
  EXPECT_EQ(strict->RenewLeases(renew, strict.now())->lost_size(), 1);
  EXPECT_TRUE(strict->CheckInvariants().ok());
}

TEST_F(CoreWork, AMalformedRolloutIsRejectedAndChangesNothingButItsCount) {
  Open(MakeSpec("p", 2, 1), 2);
  Publish(0);
  const Lease lease = core.LeaseWork("a", 2).at(0);
  const std::string before = core->Status(core.now()).plans(0).SerializeAsString();
  const Rollout good = MakeRollout("p", 0, 0, 0);
  std::vector<Rollout> bad(19, good);
  bad[0].mutable_key()->set_plan("q");
  bad[1].mutable_key()->set_group(7);
  bad[2].mutable_key()->set_sample(2);
  bad[3].clear_spans();
  bad[4].mutable_spans(1)->clear_logprobs();
  bad[5].mutable_spans(1)->set_logprobs(0, std::numeric_limits<float>::quiet_NaN());
  bad[6].mutable_spans(1)->set_logprobs(0, 0.5f);
  bad[7].mutable_spans(0)->set_tokens(0, 8);
  bad[8].mutable_spans(1)->set_kind(TokenSpan::KIND_UNSPECIFIED);
  bad[9].set_finish(FINISH_UNSPECIFIED);
  bad[10].clear_rewards();
  bad[11].mutable_rewards(0)->set_name("other");
  bad[12].set_reward(std::numeric_limits<double>::infinity());
  bad[13].mutable_spans(1)->set_weight_version(1);
  for (int i = 0; i < 9; ++i) {
    bad[14].mutable_spans(1)->add_tokens(1);
    bad[14].mutable_spans(1)->add_logprobs(-1);
  }
  bad[15].set_completion(std::string(5 << 20, 'x'));
  bad[16].mutable_key()->set_group(1);  // not this lease's group
  bad[17].mutable_spans(0)->add_logprobs(-1);
  bad[18].mutable_spans()->SwapElements(0, 1);
  for (size_t i = 0; i < bad.size(); ++i) {
    const Ack ack = core.Submit("a", lease.id(), bad[i]);
    EXPECT_EQ(ack.outcome(), Ack::REJECTED) << i;
    EXPECT_NE(ack.message(), "") << i;
    // By its key the actor knows which rollout to drop.
    EXPECT_EQ(ack.key().SerializeAsString(), bad[i].key().SerializeAsString()) << i;
  }
  EXPECT_EQ(core.Submit("a", 0, good).outcome(), Ack::REJECTED);
  EXPECT_EQ(core.Submit("a", 99, good).outcome(), Ack::REJECTED);
  EXPECT_EQ(core.Submit("", lease.id(), good).outcome(), Ack::REJECTED);
  EXPECT_EQ(core->ledger().rejected(), bad.size() + 3);
  EXPECT_EQ(core->Status(core.now()).plans(0).SerializeAsString(), before);
  core.Commit();
  EXPECT_EQ(CountKeys(store, "r"), 0u);
  core.Finish("a", lease);
}

TEST_F(CoreWork, TheStoredBytesAreTheReceivedOnes) {
  Open(MakeSpec("p", 1, 1), 1);
  Publish(0);
  SubmitRequest request =
      SubmitOf("a", core.LeaseWork("a", 1).at(0).id(), MakeRollout("p", 0, 0, 0));
  // A field that this program does not know, and a key in two parts: no serializer writes them so.
  const std::string bytes = "\x0a\x03\x0a\x01q" + request.rollouts(0).rollout() + "\xf8\x3f\x01";
  request.mutable_rollouts(0)->set_rollout(bytes);
  EXPECT_EQ(core->Submit(request, core.now()).outcome(), Ack::ACCEPTED);
  core.Commit();
  EXPECT_EQ(*store.Get(store_keys::Rollout(MakeRollout("p", 0, 0, 0).key())), bytes);
}

TEST_F(CoreWork, BytesThatAreNoRolloutAreRejectedUnderTheKeyThatCouldBeRead) {
  SubmitRequest request = SubmitOf("a", 1, MakeRollout("p", 3, 1, 0));
  std::string& bytes = *request.mutable_rollouts(0)->mutable_rollout();
  const std::string whole = bytes;
  bytes = whole.substr(0, whole.size() - 1);
  const Ack cut = core->Submit(request, core.now());
  EXPECT_EQ(cut.outcome(), Ack::REJECTED);
  EXPECT_NE(cut.message(), "");
  EXPECT_EQ(cut.key().SerializeAsString(), MakeRollout("p", 3, 1, 0).key().SerializeAsString());
  bytes = "\x0a\x03\x0a\x01\xff";
  const Ack garbage = core->Submit(request, core.now());
  EXPECT_EQ(garbage.outcome(), Ack::REJECTED);
  EXPECT_EQ(garbage.key().plan(), "");
  EXPECT_EQ(core->ledger().rejected(), 2);
}

TEST_F(CoreWork, ForcedTokensMustBeThePlansStepLabels) {
  PlanSpec spec = MakeSpec("p", 2, 1);
  spec.add_step_label_tokens(40);
  spec.add_step_label_tokens(41);
  Open(spec, 1);
  Publish(0);
  const Lease lease = core.LeaseWork("a", 2).at(0);
  Rollout good = MakeRollout("p", 0, 0, 0);
  auto force = [&](std::vector<uint32_t> tokens) {
    Rollout rollout = good;
    TokenSpan* span = rollout.add_spans();
    span->set_kind(TokenSpan::FORCED);
    for (uint32_t token : tokens) span->add_tokens(token);
    return rollout;
  };
  for (const std::vector<uint32_t>& tokens :
       {std::vector<uint32_t>{41}, {40, 40}, {40, 41, 41}, {1}}) {
    EXPECT_EQ(core.Submit("a", lease.id(), force(tokens)).outcome(), Ack::REJECTED);
  }
  EXPECT_EQ(core.Submit("a", lease.id(), force({40, 41, 40})).outcome(), Ack::ACCEPTED);
  spec.set_name("q");
  for (int i = 0; i < 20; ++i) spec.add_step_label_tokens(1);
  EXPECT_FALSE(core->OpenPlan(OpenRequest(spec)).ok());
}

TEST_F(CoreWork, RequestsOutOfRangeAreRefused) {
  EXPECT_EQ(core->Lease(WantLease("", 1), core.now()).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(CoreWork, ARestartExpiresLeasesAndForgetsNothingAcknowledged) {
  Open(MakeSpec("p", 2, 2, 2), 8);
  Publish(3);
  const auto leases = core.LeaseWork("a", 8);
  ASSERT_EQ(leases.size(), 4u);
  core.Finish("a", leases[2]);
  core.Submit("a", leases[0].id(), MakeRollout("p", 0, 1, 3));
  Return("a", leases[1].id(), "failed");
  core.Commit();
  const GetStatusReply before = core->Status(core.now());
  core.Restart();
  const GetStatusReply after = core->Status(core.now());
  EXPECT_EQ(after.plans(0).SerializeAsString(), before.plans(0).SerializeAsString());
  EXPECT_EQ(after.newest_version(), 3);
  EXPECT_EQ(core->ledger().outstanding(), 0);
  EXPECT_EQ(core->ledger().expired(), before.ledger().outstanding());
  const auto again = core.LeaseWork("b", 100);
  ASSERT_EQ(again.size(), 3u) << "still two batches are admitted";
  EXPECT_THAT(again[0].samples(), ElementsAre(0));
  EXPECT_EQ(again[1].attempt(), 2u);
  EXPECT_GT(again[0].id(), leases.back().id());
  EXPECT_EQ(core.Submit("a", leases[2].id(), MakeRollout("p", 2, 0, 3)).outcome(), Ack::DUPLICATE);
  core.Finish("b", again[0]);
  EXPECT_THAT(core.Batch("p", 0), ElementsAre(0, 2));
}

TEST_F(CoreWork, ARestartKeepsTheOrderInWhichPlansWereOpened) {
  for (const char* plan : {"second by name", "first by name", "a third"}) {
    Open(MakeSpec(plan, 1, 1), 1);
  }
  Publish(0);
  core.Commit();
  core.Restart();
  std::vector<std::string> order;
  for (const Lease& lease : core.LeaseWork("a", 9)) order.push_back(lease.plan());
  EXPECT_THAT(order, ElementsAre("second by name", "first by name", "a third"));
}

TEST_F(CoreWork, AStoreOfAnotherRunIsRefused) {
  core.Commit();
  CoreOptions options;
  options.run = "other";
  EXPECT_EQ(Core::Recover(&store, options).status().code(), absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace reckon
