#include "coordinator/core/staleness.h"

#include <algorithm>
#include <limits>
#include <map>

namespace reckon {

std::optional<std::vector<uint64_t>> ChooseGroups(uint64_t batch, uint64_t groups_per_batch,
                                                  const std::vector<uint64_t>& started_deadlines,
                                                  const std::vector<CompleteGroup>& complete) {
  std::map<uint64_t, uint64_t> groups_at_deadline;
  // A deadline before `batch` counts as due now. Without the maximum the unsigned `deadline -
  // batch` below would wrap to a huge number of later places.
  for (uint64_t deadline : started_deadlines) ++groups_at_deadline[std::max(deadline, batch)];

  std::vector<uint64_t> chosen;
  std::vector<bool> is_chosen(complete.size());
  // Chooses complete groups due by `deadline` until `count` groups are chosen. False: too few.
  const auto choose_until = [&](uint64_t count, uint64_t deadline) {
    for (size_t i = 0; i < complete.size() && chosen.size() < count; ++i) {
      if (is_chosen[i] || complete[i].deadline > deadline) continue;
      is_chosen[i] = true;
      chosen.push_back(complete[i].group);
    }
    return chosen.size() >= count;
  };

  // Deadlines ascend in the map, so `due` is the left side of (1). Equation (1) can only become
  // tight at a deadline that some group has, so it is enough to test those: at most
  // max_open_batches of them, each with one scan of the complete groups.
  uint64_t due = 0;  // groups due by `deadline`
  for (const auto& [deadline, groups] : groups_at_deadline) {
    due += groups;
    // (1) for batch + 1: of the due groups, those above this number must be in this batch. What was
    // chosen for an earlier deadline is due by this one too.
    const uint64_t later_places = (deadline - batch) * groups_per_batch;
    if (due > later_places && !choose_until(due - later_places, deadline)) return std::nullopt;
  }
  // What (1) demands is chosen; the remaining places go to the groups that completed first.
  constexpr uint64_t kAnyDeadline = std::numeric_limits<uint64_t>::max();
  if (!choose_until(groups_per_batch, kAnyDeadline)) return std::nullopt;
  return chosen;
}

}  // namespace reckon
