#ifndef RECKON_LEARNER_ALGORITHM_DUPLICATES_H_
#define RECKON_LEARNER_ALGORITHM_DUPLICATES_H_

#include <cstdint>
#include <string>

#include "absl/container/flat_hash_set.h"
#include "proto/config.pb.h"

namespace reckon {

// Which solutions were seen before, problem by problem. Holds 8 bytes of hash a solution.
class Duplicates {
 public:
  explicit Duplicates(EiSettings::Dedup rule) : rule_(rule) {}
  // True the first time that this problem has this solution (always, without a rule).
  bool IsNew(uint64_t problem, const std::string& completion);

 private:
  const EiSettings::Dedup rule_;
  absl::flat_hash_set<uint64_t> seen_;
};

}  // namespace reckon

#endif  // RECKON_LEARNER_ALGORITHM_DUPLICATES_H_
