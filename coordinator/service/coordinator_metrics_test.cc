#include "coordinator/service/coordinator_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/support/core_harness.h"
#include "tests/support/memory_store.h"

namespace reckon {
namespace {

using ::testing::HasSubstr;

class CoordinatorMetricsTest : public ::testing::Test {
 protected:
  // The line of a series on the page of /metrics.
  void Expect(const std::string& series, double value) {
    metrics_.Show(core_->core(), core_.now());
    EXPECT_THAT(registry_.Text(), HasSubstr(absl::StrCat("\n", series, " ", value, "\n")));
  }
  void Open(const PlanSpec& spec, uint64_t groups) {
    ASSERT_TRUE(core_->OpenPlan(OpenRequest(spec)).ok());
    ASSERT_TRUE(core_->AppendGroups(AppendRequest(spec.name(), 0, groups, false)).ok());
  }
  void ExpectQueue(double leasable, double held_back, double at_actors, double complete) {
    Expect("reckon_queue_groups{state=\"leasable\"}", leasable);
    Expect("reckon_queue_groups{state=\"held_back\"}", held_back);
    Expect("reckon_queue_groups{state=\"at_actors\"}", at_actors);
    Expect("reckon_queue_groups{state=\"complete\"}", complete);
  }

  MemoryStore store_;
  CoreHarness core_{&store_};
  Registry registry_;
  CoordinatorMetrics metrics_{&registry_};
};

TEST_F(CoordinatorMetricsTest, CountsRolloutsAndLeasesByWhatBecameOfThem) {
  Open(MakeSpec("p", 2, 1), 3);
  ASSERT_TRUE(core_->PublishWeights(PublishRequest(7)).ok());
  const Lease lease = core_.LeaseWork("a", 2).at(0);
  Expect("reckon_leased_samples", 2);
  Expect("reckon_policy_version", 7);
  core_.Submit("a", lease.id(), MakeRollout("p", 0, 0, 7));
  core_.Submit("a", lease.id(), MakeRollout("p", 0, 0, 7));
  core_.Submit("a", lease.id(), MakeRollout("p", 9, 0, 7));
  Expect("reckon_rollouts_total{outcome=\"accepted\"}", 1);
  Expect("reckon_rollouts_total{outcome=\"duplicate\"}", 1);
  Expect("reckon_rollouts_total{outcome=\"rejected\"}", 1);
  Expect("reckon_rollouts_total{outcome=\"late\"}", 0);
  Expect("reckon_accepted_tokens_total", 1);  // see MakeRollout
  Expect("reckon_lease_expired_total", 0);
  core_.Advance(absl::Minutes(2));
  Expect("reckon_lease_expired_total", 1);
  Expect("reckon_leased_samples_total", 2);
  Expect("reckon_leased_samples", 0);
}

TEST_F(CoordinatorMetricsTest, TellsGroupsThatMayBeLeasedFromThoseThatAdmissionHoldsBack) {
  Open(MakeSpec("p", 2, 2), 5);  // in key order: two groups of the first batch may start
  ASSERT_TRUE(core_->PublishWeights(PublishRequest(0)).ok());
  ExpectQueue(2, 3, 0, 0);
  const Lease lease = core_.LeaseWork("a", 2).at(0);
  ExpectQueue(1, 3, 1, 0);
  core_.Finish("a", lease);
  ExpectQueue(1, 3, 0, 1);
  core_.Finish("a", core_.LeaseWork("a", 2).at(0));
  Expect("reckon_queue_batches", 1);
  ExpectQueue(0, 3, 0, 0);
  ASSERT_TRUE(core_->MarkApplied(AppliedRequest("p", 0, 0)).ok());
  Expect("reckon_queue_batches", 0);
  ExpectQueue(2, 1, 0, 0);
}

TEST_F(CoordinatorMetricsTest, AdmitsInOrderOfCompletionAsManyAsTheOpenBatchesHold) {
  Open(MakeSpec("p", 2, 2, /*max_open_batches=*/2), 6);
  ASSERT_TRUE(core_->PublishWeights(PublishRequest(0)).ok());
  ExpectQueue(4, 2, 0, 0);
  core_.LeaseWork("a", 2);
  ExpectQueue(3, 2, 1, 0);
  core_.LeaseWork("a", 1);  // one sample of the second group: the other may be leased still
  ExpectQueue(3, 2, 1, 0);
}

TEST_F(CoordinatorMetricsTest, TellsActorsThatWorkFromThoseThatDoNot) {
  Open(MakeSpec("p", 2, 1), 1);
  ASSERT_TRUE(core_->PublishWeights(PublishRequest(0)).ok());
  core_.LeaseWork("works", 2);
  core_.LeaseWork("idle", 2);
  LeaseRequest waits = WantLease("waits", 0);
  waits.mutable_report()->set_waiting_for("version 3");
  ASSERT_TRUE(core_->Lease(waits, core_.now()).ok());
  for (const char* state : {"working", "idle", "waiting"}) {
    Expect(absl::StrCat("reckon_actors{state=\"", state, "\"}"), 1);
  }
  core_.Advance(absl::Seconds(5));
  Expect("reckon_actors{state=\"silent\"}", 3);
  Expect("reckon_actors{state=\"working\"}", 0);
  // No name of a plan or an actor is on the page.
  EXPECT_THAT(registry_.Text(), ::testing::Not(HasSubstr("works")));
}

}  // namespace
}  // namespace reckon
