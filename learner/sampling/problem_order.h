#ifndef RECKON_LEARNER_SAMPLING_PROBLEM_ORDER_H_
#define RECKON_LEARNER_SAMPLING_PROBLEM_ORDER_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "common/task/dataset/mixture.h"
#include "common/task/dataset/problem.h"
#include "proto/config.pb.h"

namespace reckon {

// Problems that are drawn from together.
struct ProblemPool {
  std::string set;               // of a mixture with shares; else empty
  double share = 1;              // MixtureSet.share
  std::vector<size_t> problems;  // indices in the training data, ascending, from `first` on
};

// A pool for each set of a mixture with shares that has problems; without shares, one of all.
std::vector<ProblemPool> PoolsOf(const DataSettings& data, const std::vector<Problem>& train,
                                 size_t first = 0);

// `count` different problems of the pools, or all if they are fewer, by their shares as long as
// each pool has some. Within a pool they are drawn by (seed, name, set).
std::vector<size_t> DrawProblems(std::vector<ProblemPool> pools, size_t count, uint64_t seed,
                                 const std::string& name);

// Which problem each place of an online stage's endless sequence asks: the places are given to the
// pools by their shares (SetOrder), and each pool gives its problems pass after pass, shuffled by
// (seed, name, set, pass). A function of data, seed, name and place. Used by one thread.
class ProblemOrder {
 public:
  ProblemOrder(const DataSettings& data, const std::vector<Problem>& train, uint64_t seed,
               std::string name);
  // Index in the training data. Cheap for places that are asked for in ascending order.
  size_t At(uint64_t place);

 private:
  struct Drawn {
    ProblemPool pool;
    uint64_t count = 0;  // places that it was given
    int64_t pass = -1;   // that pool.problems is shuffled for
  };
  void Restart();
  size_t Take(Drawn* from, uint64_t index) const;

  const uint64_t seed_;
  const std::string name_;
  const std::vector<ProblemPool> pools_;
  std::vector<Drawn> drawn_;  // of pools_
  SetOrder order_;
  uint64_t next_ = 0;  // the place after the last one
  size_t last_ = 0;    // what it asks
};

}  // namespace reckon

#endif  // RECKON_LEARNER_SAMPLING_PROBLEM_ORDER_H_
