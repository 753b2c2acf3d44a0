// Retention: what a store keeps of durable batches.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "coordinator/core/evictions.h"
#include "coordinator/store/store_keys.h"
#include "tests/support/core_harness.h"
#include "tests/support/memory_store.h"

namespace reckon {
namespace {

class Eviction : public ::testing::Test {
 protected:
  static CoreOptions Options(CoordinatorSettings::Retention retention) {
    CoreOptions options;
    options.max_attempts = 1;
    options.retention = retention;
    return options;
  }
  // Samples `batches` batches of two groups of two samples and applies them.
  void RunPlan(CoreHarness& core, const std::string& plan, uint64_t batches) {
    ASSERT_TRUE(core->OpenPlan(OpenRequest(MakeSpec(plan, 2, 2))).ok());
    ASSERT_TRUE(core->AppendGroups(AppendRequest(plan, 0, 2 * batches)).ok());
    ASSERT_TRUE(core->PublishWeights(PublishRequest(0)).ok());
    for (uint64_t batch = 0; batch < batches; ++batch) {
      for (const Lease& lease : core.LeaseWork("a", 100)) core.Finish("a", lease);
      ASSERT_TRUE(core->MarkApplied(AppliedRequest(plan, batch, 0)).ok());
      core.Commit();
    }
  }
  static AppendSelectionRequest SelectionOf(const std::string& selection, const RolloutKey& key) {
    AppendSelectionRequest request;
    request.set_name(selection);
    *request.add_keys() = key;
    return request;
  }
  static absl::Status Select(CoreHarness& core, const std::string& selection,
                             const RolloutKey& key) {
    return core->AppendSelection(SelectionOf(selection, key));
  }
  // Repeats the event until it has read that its rollout is stored, and not once more.
  void ReadThatItIsStored(CoreHarness& core, const AppendSelectionRequest& request, Reads* reads) {
    do {
      ASSERT_TRUE(core->core().AppendSelection(request, *reads).ok());
      ASSERT_TRUE(reads->Load(store).ok());
    } while (reads->Exists(store_keys::Rollout(request.keys(0))) != true);
  }
  static absl::Status MarkDurable(CoreHarness& core, const std::string& plan, uint64_t batch) {
    MarkDurableRequest request;
    request.set_plan(plan);
    request.set_batch(batch);
    return core->MarkDurable(request);
  }
  static RolloutKey Key(const std::string& plan, uint64_t group, uint32_t sample) {
    return MakeRollout(plan, group, sample, 0).key();
  }
  bool IsStored(const RolloutKey& key) { return store.Get(store_keys::Rollout(key)).ok(); }
  uint64_t Stored() { return CountKeys(store, "r"); }

  MemoryStore store;
};

TEST_F(Eviction, ADurableBatchKeepsWhatASelectionNames) {
  CoreHarness core(&store, Options(CoordinatorSettings::SELECTED));
  RunPlan(core, "p", 1);
  ASSERT_TRUE(Select(core, "kept", Key("p", 0, 1)).ok());
  EXPECT_EQ(MarkDurable(core, "p", 1).code(), absl::StatusCode::kInvalidArgument);
  ASSERT_TRUE(MarkDurable(core, "p", 0).ok());
  core.Commit();
  EXPECT_EQ(Stored(), 4u) << "deleted no earlier than the request for it is durable";
  core.Commit();
  EXPECT_EQ(Stored(), 1u);
  EXPECT_TRUE(IsStored(Key("p", 0, 1)));
  EXPECT_EQ(core->ledger().accepted(), Stored() + core->evicted());
  EXPECT_EQ(CountKeys(store, "v"), 0u);
  EXPECT_EQ(CountKeys(store, "b"), 0u);
  EXPECT_EQ(core->NextBatch(BatchRequest("p", 0)).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(Eviction, ARepeatedMarkAsksForNothingAgain) {
  CoreHarness core(&store, Options(CoordinatorSettings::SELECTED));
  RunPlan(core, "p", 2);
  ASSERT_TRUE(MarkDurable(core, "p", 1).ok());
  for (int i = 0; i < 4; ++i) core.Commit();
  EXPECT_EQ(Stored(), 0u);
  ASSERT_TRUE(MarkDurable(core, "p", 0).ok());
  ASSERT_TRUE(MarkDurable(core, "p", 1).ok());
  core.Commit();
  EXPECT_EQ(CountKeys(store, "v"), 0u);
}

TEST_F(Eviction, WithRetentionAllNothingIsDeleted) {
  CoreHarness core(&store, Options(CoordinatorSettings::ALL));
  RunPlan(core, "p", 2);
  ASSERT_TRUE(MarkDurable(core, "p", 1).ok());
  for (int i = 0; i < 4; ++i) core.Commit();
  EXPECT_EQ(Stored(), 8u);
  EXPECT_EQ(core->evicted(), 0u);
}

TEST_F(Eviction, AStoreShrinksToItsSelectionsAcrossARestart) {
  CoreHarness core(&store, Options(CoordinatorSettings::SELECTED));
  RunPlan(core, "p", 5);
  RunPlan(core, "q", 3);
  const std::vector<RolloutKey> selected = {Key("p", 0, 0), Key("p", 5, 1), Key("p", 9, 0),
                                            Key("q", 2, 1)};
  for (size_t i = 0; i < selected.size(); ++i) {
    ASSERT_TRUE(Select(core, "s" + std::to_string(i), selected[i]).ok());
  }
  ASSERT_TRUE(MarkDurable(core, "p", 4).ok());
  ASSERT_TRUE(MarkDurable(core, "q", 2).ok());
  core.Commit();
  core.Commit();
  core.Commit();
  EXPECT_EQ(CountKeys(store, "v"), 6u) << "two of eight batches are evicted";
  core.Restart();
  for (int i = 0; i < 7; ++i) core.Commit();
  EXPECT_EQ(Stored(), selected.size());
  for (const RolloutKey& key : selected) EXPECT_TRUE(IsStored(key)) << key.ShortDebugString();
  EXPECT_EQ(CountKeys(store, "v"), 0u);
  EXPECT_EQ(core->evicted(), 32 - selected.size());
}

TEST_F(Eviction, AGroupThatWasSetAsideIsEvictedWithItsBatch) {
  CoreHarness core(&store, Options(CoordinatorSettings::SELECTED));
  ASSERT_TRUE(core->OpenPlan(OpenRequest(MakeSpec("p", 2, 2))).ok());
  ASSERT_TRUE(core->AppendGroups(AppendRequest("p", 0, 2)).ok());
  ASSERT_TRUE(core->PublishWeights(PublishRequest(0)).ok());
  const auto leases = core.LeaseWork("a", 4);
  core.Submit("a", leases.at(0).id(), MakeRollout("p", 0, 0, 0));
  core.Finish("a", leases.at(1));
  ReturnLeasesRequest failed;
  failed.set_actor("a");
  failed.add_leases(leases[0].id());
  failed.set_error("out of memory");
  ASSERT_TRUE(core->ReturnLeases(failed, core.now()).ok());
  ASSERT_TRUE(core->MarkApplied(AppliedRequest("p", 0, 0)).ok());
  ASSERT_TRUE(MarkDurable(core, "p", 0).ok());
  core.Commit();
  EXPECT_EQ(Stored(), 3u);
  core.Commit();
  EXPECT_EQ(Stored(), 0u);
  EXPECT_EQ(core->evicted(), 3u);
}

TEST_F(Eviction, ARestartRepeatsAnEvictionThatWasNotCommitted) {
  CoreHarness core(&store, Options(CoordinatorSettings::SELECTED));
  RunPlan(core, "p", 1);
  ASSERT_TRUE(MarkDurable(core, "p", 0).ok());
  core.Commit();
  const auto batch = core->NextEviction();
  ASSERT_TRUE(batch.has_value());
  core->Evict(*ReadEviction(store, *batch));
  core.Restart();
  EXPECT_EQ(Stored(), 4u);
  core.Commit();
  EXPECT_EQ(Stored(), 0u);
  EXPECT_EQ(core->evicted(), 4u);
}

TEST_F(Eviction, ASelectionMadeWhileABatchIsReadKeepsItsRollout) {
  CoreHarness core(&store, Options(CoordinatorSettings::SELECTED));
  // And however many commits the reading takes.
  for (uint64_t commits = 0; commits < 3; ++commits) {
    const std::string plan = std::to_string(commits);
    RunPlan(core, plan, 1);
    ASSERT_TRUE(MarkDurable(core, plan, 0).ok());
    core.Commit();
    const auto batch = core->NextEviction();
    ASSERT_TRUE(batch.has_value());
    auto eviction = ReadEviction(store, *batch);
    ASSERT_TRUE(Select(core, plan, Key(plan, 1, 1)).ok());
    for (uint64_t i = 0; i < commits; ++i) core.Commit();
    core->Evict(*std::move(eviction));
    core.Commit();
    EXPECT_EQ(Stored(), commits + 1);
    EXPECT_TRUE(IsStored(Key(plan, 1, 1)));
    EXPECT_EQ(core->evicted(), 3 * (commits + 1));
  }
}

TEST_F(Eviction, ARolloutWhoseDeletionIsBeingWrittenCannotBeSelected) {
  CoreHarness core(&store, Options(CoordinatorSettings::SELECTED));
  RunPlan(core, "p", 1);
  ASSERT_TRUE(MarkDurable(core, "p", 0).ok());
  core.Commit();
  const auto batch = core->NextEviction();
  ASSERT_TRUE(batch.has_value());
  core->Evict(*ReadEviction(store, *batch));
  const Writes in_progress = core->TakeWrites();
  ASSERT_TRUE(IsStored(Key("p", 0, 0)));
  EXPECT_EQ(Select(core, "s", Key("p", 0, 0)).code(), absl::StatusCode::kInvalidArgument);
  ASSERT_TRUE(store.Write(in_progress).ok());
  EXPECT_EQ(Select(core, "s", Key("p", 0, 0)).code(), absl::StatusCode::kInvalidArgument);
}

// Three batches may be open, one is applied: when the plan is closed, two are cut and not applied,
// and a group is not complete.
TEST_F(Eviction, AFinishedPlanKeepsOnlyWhatIsSelected) {
  CoreHarness core(&store, Options(CoordinatorSettings::SELECTED));
  ASSERT_TRUE(core->OpenPlan(OpenRequest(MakeSpec("p", 2, 1, 4))).ok());
  ASSERT_TRUE(core->AppendGroups(AppendRequest("p", 0, 4)).ok());
  ASSERT_TRUE(core->PublishWeights(PublishRequest(0)).ok());
  const std::vector<Lease> leases = core.LeaseWork("a", 8);
  ASSERT_EQ(leases.size(), 4u);
  for (int i = 0; i < 3; ++i) core.Finish("a", leases[i]);
  core.Submit("a", leases[3].id(), MakeRollout("p", 3, 1, 0));
  ASSERT_TRUE(core->MarkApplied(AppliedRequest("p", 0, 0)).ok());
  core.Commit();
  EXPECT_EQ(Stored(), 7u);
  ClosePlanRequest close;
  close.set_plan("p");
  ASSERT_TRUE(core->ClosePlan(close).ok());
  core.Commit();
  core.Commit();
  EXPECT_FALSE(IsStored(Key("p", 3, 1))) << "in no batch, and never will be";
  EXPECT_EQ(Stored(), 6u) << "no checkpoint covers the batches yet";
  ASSERT_TRUE(Select(core, "kept", Key("p", 1, 0)).ok());
  ASSERT_TRUE(MarkDurable(core, "p", 0).ok());
  core.Restart();  // nothing of it was committed
  ASSERT_TRUE(Select(core, "kept", Key("p", 1, 0)).ok());
  ASSERT_TRUE(MarkDurable(core, "p", 0).ok());
  for (int i = 0; i < 4; ++i) core.Commit();
  EXPECT_EQ(Stored(), 1u);
  EXPECT_TRUE(IsStored(Key("p", 1, 0)));
  EXPECT_EQ(CountKeys(store, "b") + CountKeys(store, "v"), 0u);
  EXPECT_EQ(core->evicted(), 6u);
  EXPECT_EQ(core->MarkApplied(AppliedRequest("p", 1, 0)).code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST_F(Eviction, AChangeFromAllToSelectedEvictsWhatIsDurable) {
  {
    CoreHarness core(&store, Options(CoordinatorSettings::ALL));
    RunPlan(core, "p", 3);
    RunPlan(core, "q", 1);
    ASSERT_TRUE(Select(core, "kept", Key("p", 0, 1)).ok());
    ASSERT_TRUE(MarkDurable(core, "p", 1).ok());
    core.Commit();
  }
  CoreHarness core(&store, Options(CoordinatorSettings::SELECTED));
  for (int i = 0; i < 4; ++i) core.Commit();
  EXPECT_EQ(Stored(), 1u + 4 + 4) << "one that is selected, and two batches that are not durable";
  EXPECT_EQ(core->evicted(), 7u);
  core.Restart();
  for (int i = 0; i < 4; ++i) core.Commit();
  EXPECT_EQ(core->evicted(), 7u);
}

// The selection has read that the rollout is stored when the rollout is deleted.
TEST_F(Eviction, WhatASelectionHasReadStaysTrueUntilItIsRepeated) {
  CoreHarness core(&store, Options(CoordinatorSettings::SELECTED));
  RunPlan(core, "p", 2);
  ASSERT_TRUE(MarkDurable(core, "p", 1).ok());
  core.Commit();
  const AppendSelectionRequest request = SelectionOf("s", Key("p", 0, 0));
  Reads reads;
  ASSERT_NO_FATAL_FAILURE(ReadThatItIsStored(core, request, &reads));
  for (int i = 0; i < 4; ++i) core.Commit();
  EXPECT_FALSE(IsStored(Key("p", 0, 0)));
  EXPECT_EQ(Stored(), 4u) << "the next eviction waits for the selection";
  EXPECT_EQ(core->core().AppendSelection(request, reads).code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_FALSE(reads.wanted());
  for (int i = 0; i < 2; ++i) core.Commit();
  EXPECT_EQ(Stored(), 0u);
}

// Nobody reads any more, and the deletion is still to be written.
TEST_F(Eviction, WhatIsDeletedStaysSoWhenASelectionHasReadIt) {
  CoreHarness core(&store, Options(CoordinatorSettings::SELECTED));
  RunPlan(core, "p", 1);
  ASSERT_TRUE(MarkDurable(core, "p", 0).ok());
  core.Commit();
  const AppendSelectionRequest request = SelectionOf("s", Key("p", 0, 0));
  Reads reads;
  ASSERT_NO_FATAL_FAILURE(ReadThatItIsStored(core, request, &reads));
  core->Evict(*ReadEviction(store, *core->NextEviction()));
  EXPECT_EQ(core->core().AppendSelection(request, reads).code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Select(core, "s", Key("p", 0, 0)).code(), absl::StatusCode::kInvalidArgument);
  core.Commit();
  EXPECT_EQ(Stored(), 0u);
}

TEST_F(Eviction, AnEvictedSampleThatIsSubmittedAgainIsLate) {
  CoreHarness core(&store, Options(CoordinatorSettings::SELECTED));
  RunPlan(core, "p", 1);
  ASSERT_TRUE(MarkDurable(core, "p", 0).ok());
  core.Commit();
  EXPECT_EQ(core.Submit("a", 1, MakeRollout("p", 0, 0, 0)).outcome(), SubmitReply::Ack::DUPLICATE);
  core.Commit();
  EXPECT_EQ(core.Submit("a", 1, MakeRollout("p", 0, 0, 0)).outcome(), SubmitReply::Ack::LATE);
}

}  // namespace
}  // namespace reckon
