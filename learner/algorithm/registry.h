#ifndef RECKON_LEARNER_ALGORITHM_REGISTRY_H_
#define RECKON_LEARNER_ALGORITHM_REGISTRY_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "learner/algorithm/algorithm.h"

namespace reckon {

// The algorithm of config.stage(stage). Null for init and eval stages, which the Learner runs
// itself. The config outlives it.
std::unique_ptr<Algorithm> MakeAlgorithm(const RunConfig& config, int stage);
// The same by the stage's name; null when no stage has it.
std::unique_ptr<Algorithm> MakeAlgorithm(const RunConfig& config, const std::string& stage_name);

// The worked solutions that stages before `stage` learned: how many problems from the first on, and
// their training sequences.
int64_t EarlierWorkedSolutions(const RunConfig& config, int stage, const RunData& data);
std::vector<TrainingSequence> EarlierSolutions(const RunConfig& config, int stage,
                                               const RunData& data);

// Algorithm::StepLabel of the stage that made the newest version of the policy.
std::vector<uint32_t> StepLabelOfNewestPolicy(const RunConfig& config, const Cursor& cursor,
                                              const RunData& data);

}  // namespace reckon

#endif  // RECKON_LEARNER_ALGORITHM_REGISTRY_H_
