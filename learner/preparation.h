#ifndef RECKON_LEARNER_PREPARATION_H_
#define RECKON_LEARNER_PREPARATION_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "learner/context/context.h"
#include "learner/data/run_data.h"

namespace reckon {

// What the leader does and checks of a run before any rank waits for it in a collective: makes the
// model of an init stage, unless an earlier attempt of the run did; reads the model folder into
// run.base; reads the data, and checks that model, data and every stage's settings fit; records
// which files the run learns from. Returns the data. Each error is one line for the user.
absl::StatusOr<std::unique_ptr<RunData>> PrepareRun(RunState& run);

// Deletes what the leader of an earlier start was writing when it was killed, which may be a whole
// model. In a term: a leader of an older one that still writes must fail.
void DeleteHalfWritten(const std::string& run_dir);

}  // namespace reckon

#endif  // RECKON_LEARNER_PREPARATION_H_
