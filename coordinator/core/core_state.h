#ifndef RECKON_COORDINATOR_CORE_CORE_STATE_H_
#define RECKON_COORDINATOR_CORE_CORE_STATE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/net/rendezvous.h"
#include "coordinator/core/evictions.h"
#include "coordinator/core/learner_group.h"
#include "coordinator/core/lease_table.h"
#include "coordinator/core/ledger.h"
#include "coordinator/core/plan_state.h"
#include "coordinator/core/reads.h"
#include "coordinator/core/selections.h"
#include "coordinator/core/source_tree.h"
#include "coordinator/core/weight_registry.h"
#include "coordinator/store/store.h"
#include "proto/config.pb.h"
#include "proto/storage.pb.h"

namespace reckon {

struct CoreOptions {
  std::string run;                           // a store belongs to one run; empty: accept any
  absl::Duration lease = absl::Seconds(60);  // a lease that is not renewed for so long expires
  uint32_t max_attempts = 3;                 // failed attempts after which a group is set aside
  uint64_t max_resident_groups = 16384;      // groups appended and not complete, per plan
  CoordinatorSettings::Retention retention = CoordinatorSettings::ALL;
  absl::Duration rank_timeout = absl::Seconds(15);  // silence of a rank that ends the term
};

// What an event changed, as bits: decides which waiting calls are tried again.
enum Changed : uint32_t {
  kWorkChanged = 1,        // samples that may be leased
  kBatchesChanged = 2,     // batches of a plan, or its end
  kWeightsChanged = 4,     // published weight versions
  kKeysChanged = 8,        // keys of the rendezvous
  kEvictionsChanged = 16,  // batches that may be evicted
};

// What the coordinator remembers of its run, and what has changed since the last commit. A plain
// struct that Core owns and passes to the functions that handle events (plan_events.h,
// lease_events.h, submission.h, evictions.h, recovery.h).
//
// Memory is in proportion to work in flight: groups from their append until their batch is applied,
// leases, plans that are not finished, selections that are not complete, sixteen weight versions
// and a thousand terms. Everything else is read from the store when it is asked for (reads.h). The
// store itself is used by recovery alone.
struct CoreState {
  CoreState(const Store* store, CoreOptions options);

  // ABORTED unless `term` is the current term of the learner group, and has not ended.
  absl::Status CheckTerm(uint64_t term) const;
  // Ends the term: its calls are refused with `why` from now on.
  void EndTerm(std::string why);
  // The plan in memory, or a copy of a finished one, for which nothing is left to change. NOT_FOUND
  // when no plan has this name. Null: its record is wanted.
  absl::StatusOr<std::shared_ptr<PlanState>> FindPlan(const std::string& name, Reads& reads);

  // The plan's record must be written in the next commit.
  void MarkDirty(const PlanState& plan) { dirty_plans.insert(plan.spec().name()); }
  // Writes what a group needs to survive a restart: attempts, start, set aside.
  void WriteGroup(const PlanState& plan, const GroupState& group);
  // Cuts every batch of `plan` whose members are decided.
  void CutBatches(PlanState& plan);
  // With retention SELECTED, asks for the eviction of what a durable or finished plan no longer
  // needs.
  void RequestEviction(const std::string& plan, uint64_t batch, std::string loose = "");
  // Returns everything that must reach the disk together, and starts the next commit.
  Writes TakeWrites();
  // A term begins. Forgets the oldest of more than a thousand nonces: no call is repeated for so
  // long.
  void AddNonce(const std::string& nonce, uint64_t term);
  // What TakeWrites returned is on the disk: forgets what need not be in memory any more.
  void Committed();
  // INTERNAL unless the ledger's equations hold and leases agree with the samples they hold.
  absl::Status CheckInvariants() const;

  const Store* const store;
  const CoreOptions options;

  StoredMeta meta;  // without its ledger, which is `ledger`
  LedgerBook ledger;
  std::map<std::string, PlanState> plans;  // that are not finished
  std::vector<std::string> plan_order;     // as opened; samples of earlier plans are leased first
  uint64_t plans_opened = 0;               // by the run
  LeaseTable leases;
  Selections selections;
  WeightRegistry weights;
  SourceTree sources;
  Rendezvous rendezvous;
  LearnerGroup group;
  Evictions evictions;
  std::map<std::string, uint64_t> nonces;  // of the newest terms, with these
  uint64_t forgotten = 0;                  // plans, selections, manifests; see Reads::Since

  // Since the last commit.
  Writes writes;
  std::set<std::string> dirty_plans;
  std::set<std::string> finishing;  // plans whose last record is in the commit in progress
  bool meta_dirty = false;
  uint32_t changed = 0;  // bits of Changed
};

}  // namespace reckon

#endif  // RECKON_COORDINATOR_CORE_CORE_STATE_H_
