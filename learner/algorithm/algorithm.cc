#include "learner/algorithm/algorithm.h"

#include "learner/algorithm/expert_iteration.h"
#include "learner/algorithm/ppo.h"
#include "learner/algorithm/rcrl.h"
#include "learner/algorithm/sft.h"
#include "learner/algorithm/train_orm.h"

namespace reckon {

std::unique_ptr<Algorithm> MakeAlgorithm(const Stage& stage) {
  if (stage.has_sft()) return std::make_unique<Sft>();
  if (stage.has_ppo()) return std::make_unique<Ppo>(stage.ppo());
  if (stage.has_orm()) return std::make_unique<TrainOrm>(stage.orm());
  if (stage.has_rcrl()) return std::make_unique<Rcrl>(stage.rcrl());
  if (stage.has_ei()) return std::make_unique<ExpertIteration>(stage.ei());
  return nullptr;
}

}  // namespace reckon
