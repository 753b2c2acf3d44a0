#ifndef RECKON_COMMON_CONFIG_RESUME_RULES_H_
#define RECKON_COMMON_CONFIG_RESUME_RULES_H_

#include "absl/status/status.h"
#include "proto/checkpoint.pb.h"
#include "proto/config.pb.h"

namespace reckon {

// With which config a run may be resumed: with any under which what the run has done so far stays
// true. `cursor` is that of its newest checkpoint, or empty.
//
//   how it is computed   resources, actor, learner, coordinator, slurm, kubernetes, model.device,
//                        model.row_invariant, output_dir
//   how it is measured   eval, for the evaluations from now on
//   what is kept         keep_last, keep_evaluated, best_metric
//   the stage in         steps or rounds, down to those that are done or begun; eval_every. The
//   progress             learning rate follows the new length from here on.
//   later stages         everything: they may change, be added and be taken away
//
// Everything else is FAILED_PRECONDITION, one line that names the first such field with its value
// then and now. Defaults that are written out are no change. A stage that ended is in progress
// until the next one may have begun, so the last stage of a finished run can be made longer.
absl::Status CheckResume(const RunConfig& before, const RunConfig& after, const Cursor& cursor);

// Whether a run that finished under `before` has more to do under `after`: more stages, or more
// steps or rounds of what was the last stage.
bool HasMoreToDo(const RunConfig& before, const RunConfig& after);

}  // namespace reckon

#endif  // RECKON_COMMON_CONFIG_RESUME_RULES_H_
