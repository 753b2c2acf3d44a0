// What the core holds in memory is in proportion to work in flight, whatever the store keeps.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <malloc.h>

#include "coordinator/store/store_keys.h"
#include "tests/support/core_harness.h"
#include "tests/support/memory_store.h"

namespace reckon {
namespace {

using ::testing::SizeIs;

// A store that counts rollouts and keeps nothing else than the records of plans.
class CountingStore : public MemoryStore {
 public:
  absl::Status Write(const Writes& writes) override {
    Writes kept;
    for (const Writes::Op& op : writes.ops) {
      rollouts_ += op.key[0] == 'r' && !op.is_delete;
      if (op.key[0] == 'p') kept.Put(op.key, op.value);
    }
    return MemoryStore::Write(kept);
  }
  uint64_t rollouts() const { return rollouts_; }

 private:
  uint64_t rollouts_ = 0;
};

class CoreMemory : public ::testing::Test {
 protected:
  // Opens a plan, samples `batches` batches of it and closes it; a checkpoint covers it.
  void RunPlan(CoreHarness& core, const std::string& name, uint64_t batches) {
    const PlanSpec spec = MakeSpec(name, 64, 8, 2);
    ASSERT_TRUE(core->OpenPlan(OpenRequest(spec)).ok());
    uint64_t appended = 0;
    for (uint64_t batch = 0; batch < batches; ++batch) {
      for (; appended < 8 * (batch + 2) && appended < 8 * batches; appended += 8) {
        ASSERT_TRUE(core->AppendGroups(AppendRequest(name, appended, 8)).ok());
      }
      for (const Lease& lease : core.LeaseWork("a", 4096)) core.Finish("a", lease);
      core.Commit();
      ASSERT_THAT(core.Batch(name, batch), SizeIs(8));
      ASSERT_TRUE(core->MarkApplied(AppliedRequest(name, batch, 0)).ok());
      MarkDurableRequest durable;
      durable.set_plan(name);
      durable.set_batch(batch);
      ASSERT_TRUE(core->MarkDurable(durable).ok());
    }
    ClosePlanRequest close;
    close.set_plan(name);
    ASSERT_TRUE(core->ClosePlan(close).ok());
    core.Commit();
  }
  static uint64_t HeapBytes() { return ::mallinfo2().uordblks; }
};

TEST_F(CoreMemory, IsFlatWhileAMillionRolloutsAreStored) {
  CountingStore store;
  CoreHarness core(&store);
  ASSERT_TRUE(core->PublishWeights(PublishRequest(0)).ok());
  const auto run = [&](int plans, const std::string& name) {
    for (int i = 0; i < plans; ++i) RunPlan(core, name + std::to_string(i), 32);
  };
  run(4, "first_");  // 65,536 rollouts: buffers have grown
  const uint64_t before = HeapBytes();
  run(58, "then_");
  EXPECT_GE(store.rollouts(), 1'000'000u);
  // The store's records of 58 plans are in memory here. A rollout that were remembered by its
  // sample state alone would take 40 MB.
  EXPECT_LT(HeapBytes(), before + (1u << 20));
  EXPECT_EQ(core->Status(core.now()).plans_size(), 0) << "finished plans leave memory";
}

TEST_F(CoreMemory, AFinishedPlanLeavesMemoryAndAnswersFromTheStore) {
  MemoryStore store;
  CoreHarness core(&store);
  ASSERT_TRUE(core->PublishWeights(PublishRequest(0)).ok());
  RunPlan(core, "p", 2);
  EXPECT_EQ(core->Status(core.now()).plans_size(), 0);
  const uint64_t stored = CountKeys(store, "r");
  for (int restarts = 0; restarts < 2; ++restarts) {
    const auto opened = core->OpenPlan(OpenRequest(MakeSpec("p", 64, 8, 2)));
    ASSERT_TRUE(opened.ok()) << opened.status();
    EXPECT_EQ(opened->appended_groups(), 16u);
    EXPECT_EQ(opened->next_batch(), 2u);
    EXPECT_EQ(core->OpenPlan(OpenRequest(MakeSpec("p", 1, 8, 2))).status().code(),
              absl::StatusCode::kAlreadyExists);
    EXPECT_THAT(core.Batch("p", 1), SizeIs(8)) << "a batch is served again";
    EXPECT_TRUE(core->NextBatch(BatchRequest("p", 2))->value().end_of_plan());
    EXPECT_EQ(core->AppendGroups(AppendRequest("p", 16, 1)).status().code(),
              absl::StatusCode::kFailedPrecondition);
    EXPECT_TRUE(core->MarkApplied(AppliedRequest("p", 1, 0)).ok()) << "a repeat";
    EXPECT_EQ(core.Submit("a", 1, MakeRollout("p", 3, 5, 0)).outcome(),
              SubmitReply::Ack::DUPLICATE);
    EXPECT_EQ(core.Submit("a", 1, MakeRollout("p", 99, 5, 0)).outcome(),
              SubmitReply::Ack::REJECTED);
    core.Commit();
    EXPECT_EQ(CountKeys(store, "r"), stored);
    core.Restart();
    EXPECT_EQ(core->Status(core.now()).plans_size(), 0);
  }
  ASSERT_TRUE(core->OpenPlan(OpenRequest(MakeSpec("q", 1, 1))).ok());
  core.Commit();
  StoredPlan record;
  ASSERT_TRUE(record.ParseFromString(*store.Get(store_keys::Plan("q"))));
  EXPECT_EQ(record.opened(), 1u) << "numbers of plans continue";
}

TEST_F(CoreMemory, WhatWasReadIsReadAgainWhenMemoryForgetsMeanwhile) {
  MemoryStore store;
  CoreHarness core(&store);
  ASSERT_TRUE(core->PublishWeights(PublishRequest(0)).ok());
  Reads reads;
  const OpenPlanRequest request = OpenRequest(MakeSpec("p", 64, 8, 2));
  ASSERT_TRUE(core->core().OpenPlan(request, reads).ok());
  ASSERT_TRUE(reads.wanted());
  ASSERT_TRUE(reads.Load(store).ok());  // there is no such plan
  RunPlan(core, "p", 1);                // another caller's, finished
  const auto stale = core->core().OpenPlan(request, reads);
  ASSERT_TRUE(reads.wanted()) << "the plan would begin a second time";
  ASSERT_TRUE(reads.Load(store).ok());
  const auto opened = core->core().OpenPlan(request, reads);
  EXPECT_FALSE(reads.wanted());
  EXPECT_EQ(opened->appended_groups(), 8u);
}

TEST_F(CoreMemory, ACompleteSelectionLeavesMemoryAndStaysAsItIs) {
  MemoryStore store;
  CoreHarness core(&store);
  ASSERT_TRUE(core->PublishWeights(PublishRequest(0)).ok());
  RunPlan(core, "p", 1);
  AppendSelectionRequest request;
  request.set_name("s");
  request.set_rule("all");
  *request.add_keys() = MakeRollout("p", 0, 0, 0).key();
  request.set_complete(true);
  ASSERT_TRUE(core->AppendSelection(request).ok());
  core.Commit();
  core.Commit();
  EXPECT_TRUE(core->AppendSelection(request).ok()) << "a repeat";
  request.set_rule("some");
  EXPECT_EQ(core->AppendSelection(request).code(), absl::StatusCode::kAlreadyExists);
  request.set_rule("all");
  request.set_first_index(1);
  EXPECT_EQ(core->AppendSelection(request).code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(CoreMemory, NoncesOfTheNewestTermsAreKept) {
  MemoryStore store;
  CoreHarness core(&store);
  BeginTermRequest request;
  request.set_learner("l");
  request.set_world_size(1);
  for (int term = 1; term <= 1500; ++term) {
    request.set_nonce("n" + std::to_string(term));
    ASSERT_TRUE(core->BeginTerm(request).ok());
  }
  core.Commit();
  EXPECT_EQ(CountKeys(store, "e"), 1024u);
  core.Restart();
  request.set_nonce("n1400");
  EXPECT_EQ(core->BeginTerm(request).status().code(), absl::StatusCode::kAborted);
}

}  // namespace
}  // namespace reckon
