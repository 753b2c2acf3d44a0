// reckon-actor with wrong rewards for training samples, but not for evaluations. `./dev lab lies`
// runs the learning tests with it; a test that passes shows nothing. RECKON_LIE is `flip` (correct
// becomes wrong and everything else correct) or `shuffle` (correct with probability 1/5, regardless
// of the sample). With `fail` no sample can be scored at all, for waits_test.py.

#include <cstdlib>
#include <iostream>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "actor/run_actor.h"
#include "common/base/rng.h"

namespace reckon {
namespace {

class Liar : public Rewarder {
 public:
  explicit Liar(absl::string_view lie) : flip_(lie == "flip"), fail_(lie == "fail") {}

  absl::StatusOr<RewardValue> Score(const RewardSpec& spec, const WorkItem& item,
                                    const Rollout& rollout) const override {
    if (fail_) return absl::InternalError("this actor scores nothing");
    absl::StatusOr<RewardValue> value = Verifier().Score(spec, item, rollout);
    if (!value.ok() || !absl::StartsWith(item.source(), "builtin:train:")) return value;
    const RolloutKey& key = rollout.key();
    const CounterRng chance(StreamKey(1, key.plan(), key.group(), key.sample()));
    const bool right = flip_ ? value->verdict() != CORRECT : chance.Uniform(0) < 0.2;
    value->set_verdict(right ? CORRECT : WRONG);
    value->set_value(right ? 1 : 0);
    return value;
  }

 private:
  const bool flip_;
  const bool fail_;
};

}  // namespace
}  // namespace reckon

int main(int argc, char** argv) {
  const char* lie = std::getenv("RECKON_LIE");
  const absl::string_view which = lie == nullptr ? "" : lie;
  if (which != "flip" && which != "shuffle" && which != "fail") {
    std::cerr << "reckon-lying-actor: RECKON_LIE must be flip, shuffle or fail\n";
    return 1;
  }
  return reckon::RunActor(argc, argv, reckon::Liar(which));
}
