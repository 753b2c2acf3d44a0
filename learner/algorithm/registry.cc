#include "learner/algorithm/registry.h"

#include <algorithm>

#include "learner/algorithm/expert_iteration/expert_iteration.h"
#include "learner/algorithm/orm/train_orm.h"
#include "learner/algorithm/policy_gradient/policy_gradient.h"
#include "learner/algorithm/rcrl/rcrl.h"
#include "learner/algorithm/sft/sft.h"

namespace reckon {
namespace {

struct Registration {
  Stage::KindCase kind;
  std::unique_ptr<Algorithm> (*make)(const RunConfig& config, int stage);
};

template <typename T>
std::unique_ptr<Algorithm> Make(const RunConfig& config, int stage) {
  return std::make_unique<T>(config, stage);
}

constexpr Registration kRegistrations[] = {
    {Stage::kSft, &Make<Sft>},
    {Stage::kEi, &Make<ExpertIteration>},
    {Stage::kPpo, &Make<PolicyGradient>},
    {Stage::kOrm, &Make<TrainOrm>},
    {Stage::kRcrl, &Make<Rcrl>},
};

}  // namespace

std::unique_ptr<Algorithm> MakeAlgorithm(const RunConfig& config, int stage) {
  for (const Registration& registration : kRegistrations) {
    if (registration.kind == config.stage(stage).kind_case()) {
      return registration.make(config, stage);
    }
  }
  return nullptr;
}

std::unique_ptr<Algorithm> MakeAlgorithm(const RunConfig& config, const std::string& stage_name) {
  for (int i = 0; i < config.stage_size(); ++i) {
    if (config.stage(i).name() == stage_name) return MakeAlgorithm(config, i);
  }
  return nullptr;
}

int64_t EarlierWorkedSolutions(const RunConfig& config, int stage, const RunData& data) {
  int64_t count = 0;
  for (int i = 0; i < stage; ++i) {
    const std::unique_ptr<Algorithm> earlier = MakeAlgorithm(config, i);
    // Each stage learns the first problems of the data, so the largest number covers those of all.
    if (earlier != nullptr) count = std::max(count, earlier->WorkedSolutions(data));
  }
  return count;
}

std::vector<TrainingSequence> EarlierSolutions(const RunConfig& config, int stage,
                                               const RunData& data) {
  const int64_t count = EarlierWorkedSolutions(config, stage, data);
  std::vector<TrainingSequence> sequences;
  for (int64_t i = 0; i < count; ++i) sequences.push_back(WorkedSequence(data, data.train[i]));
  return sequences;
}

std::vector<uint32_t> StepLabelOfNewestPolicy(const RunConfig& config, const Cursor& cursor,
                                              const RunData& data) {
  // Until the first round of the current stage has made its version, the newest policy is that of
  // an earlier stage, whose label it was trained with.
  const bool current_made_one = cursor.round() > 0 || cursor.phase() == Cursor::TRAINED;
  for (int64_t i = current_made_one ? cursor.stage() : cursor.stage() - 1; i >= 0; --i) {
    const std::unique_ptr<Algorithm> algorithm = MakeAlgorithm(config, static_cast<int>(i));
    if (algorithm != nullptr && algorithm->updates_policy()) return algorithm->StepLabel(data);
  }
  return {};
}

}  // namespace reckon
