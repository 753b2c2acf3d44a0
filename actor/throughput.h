#ifndef RECKON_ACTOR_THROUGHPUT_H_
#define RECKON_ACTOR_THROUGHPUT_H_

#include <cstdint>

#include "absl/time/time.h"
#include "actor/actor_metrics.h"
#include "actor/engine/engine.h"

namespace reckon {

// What the engines of an actor do, one after another: counted in its metrics after every pass, and
// a line in its log from time to time. Owned by an Actor. One thread.
class Throughput {
 public:
  Throughput(ActorMetrics* metrics, absl::Duration report_every);

  // After a pass of `engine`, whose weights are of this version.
  void CountPass(const Engine& engine, uint64_t version);
  // `engine` is about to be destroyed; null: there is none.
  void Keep(const Engine* engine);
  // Of the engines that are gone.
  const EngineStats& kept() const { return kept_; }

 private:
  EngineStats TotalWith(const Engine& engine) const;

  ActorMetrics& metrics_;
  const absl::Duration report_every_;
  EngineStats kept_;
  EngineStats counted_;  // in metrics_
  EngineStats reported_;
  absl::Time report_at_;
};

}  // namespace reckon

#endif  // RECKON_ACTOR_THROUGHPUT_H_
