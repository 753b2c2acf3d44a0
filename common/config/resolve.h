#ifndef RECKON_COMMON_CONFIG_RESOLVE_H_
#define RECKON_COMMON_CONFIG_RESOLVE_H_

#include "proto/config.pb.h"

namespace reckon {

// Fills the defaults that depend on other fields. Doing it twice changes nothing.
//
//   stage.name                     its kind and number among the stages of this kind: "sft_1"
//   stage.training                 each field that is not set: that of RunConfig.training
//   stage.<kind>.reward            EXACT_MATCH_STRICT, when the kind has a list of rewards
//   data.eval                      "builtin", when data.train is
//   stage.ppo.advantage.whiten     true with GAE, else false
//   stage.rcrl.threshold           0, when label_by is RISE
//   learner.shard_ranks            with HYBRID the ranks of a machine
void ResolveConfig(RunConfig* config);

}  // namespace reckon

#endif  // RECKON_COMMON_CONFIG_RESOLVE_H_
