#ifndef RECKON_COORDINATOR_CORE_STALENESS_H_
#define RECKON_COORDINATOR_CORE_STALENESS_H_

#include <cstdint>
#include <optional>
#include <vector>

namespace reckon {

// The bound on staleness of a plan whose batches are cut in order of completion.
//
// A group that starts when `a` batches are applied is sampled by the policy after batch a - 1, or a
// newer one. The learner may use it in any batch up to its deadline
//
//   deadline = a + max_open_batches - 1
//
// so that between the policy that samples and the one that learns are at most max_open_batches - 1
// versions (max_staleness of the config). Let b be the next batch to cut, and B = groups_per_batch.
// Batches b ... d have (d - b + 1) * B places. Every started group in no batch yet finds a place in
// time if and only if
//
//   for every deadline d:   #{started groups due by d}  <=  (d - b + 1) * B          (1)
//
// which is the feasibility test of earliest-deadline-first scheduling (Liu and Layland 1973; each
// group is a job of one unit, each place a time slot). Two parts of the code keep (1):
//
//   admission   PlanState starts a group only while started groups of unapplied batches, cut or
//               not, are fewer than max_open_batches * B: then (1) holds for the new deadline too.
//   the cut     ChooseGroups takes groups for batch b such that (1) holds for b + 1.
inline uint64_t DeadlineOf(uint64_t applied_at_start, uint64_t max_open_batches) {
  return applied_at_start + max_open_batches - 1;
}

struct CompleteGroup {
  uint64_t group = 0;
  uint64_t deadline = 0;
};

// Chooses the groups of `batch` from the complete ones, which are in order of completion: the first
// to complete come first, unless (1) demands others. Nothing: groups that must be in this batch are
// not complete yet, so that the cut must wait for them.
//
// `started_deadlines`: of all started groups in no batch, complete or not, in any order.
//
// Example: B = 2, batch 3, deadlines {3, 3, 4}. Both groups due by batch 3 must be taken, or the
// cut waits, even when the third group is complete.
std::optional<std::vector<uint64_t>> ChooseGroups(uint64_t batch, uint64_t groups_per_batch,
                                                  const std::vector<uint64_t>& started_deadlines,
                                                  const std::vector<CompleteGroup>& complete);

}  // namespace reckon

#endif  // RECKON_COORDINATOR_CORE_STALENESS_H_
