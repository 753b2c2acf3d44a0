#ifndef RECKON_TESTS_SUPPORT_FAKE_ACTOR_H_
#define RECKON_TESTS_SUPPORT_FAKE_ACTOR_H_

#include <string>
#include <utility>

#include "tests/support/core_harness.h"
#include "tests/support/scripted_actor.h"

namespace reckon {

// A scripted actor whose rollouts are those of MakeRollout, for plans of MakeSpec and MakeItem.
class FakeActor : public ScriptedActor {
 public:
  FakeActor(const std::string& address, std::string name,
            absl::Duration pause = absl::ZeroDuration())
      : ScriptedActor(
            address, std::move(name),
            [](const PlanSpec& spec, const Lease& lease, uint32_t sample) {
              return MakeRollout(spec.name(), lease.item().group(), sample, lease.weight_version());
            },
            pause) {}
};

}  // namespace reckon

#endif  // RECKON_TESTS_SUPPORT_FAKE_ACTOR_H_
