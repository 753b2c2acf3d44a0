#ifndef RECKON_LEARNER_PARALLEL_SINGLE_H_
#define RECKON_LEARNER_PARALLEL_SINGLE_H_

#include <memory>

#include "learner/parallel/parallel.h"

namespace reckon {

// The Parallel of a group of one rank: every collective ends at once, with what it
// was given.
std::unique_ptr<Parallel> MakeSingle();

}  // namespace reckon

#endif  // RECKON_LEARNER_PARALLEL_SINGLE_H_
