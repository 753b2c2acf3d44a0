#include "learner/algorithm/duplicates.h"

#include "common/base/rng.h"
#include "common/task/answer.h"

namespace reckon {

bool Duplicates::IsNew(uint64_t problem, const std::string& completion) {
  if (rule_ == EiSettings::NONE) return true;
  const std::string key = rule_ == EiSettings::TEXT ? completion : EquationKey(completion);
  return seen_.insert(StreamKey(problem, key)).second;
}

}  // namespace reckon
