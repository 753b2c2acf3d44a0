#ifndef RECKON_COMMON_TASK_DATASET_MIXTURE_H_
#define RECKON_COMMON_TASK_DATASET_MIXTURE_H_

#include <cstddef>
#include <vector>

namespace reckon {

// Which set of a mixture gives each place of a sequence. Every run of places holds the shares of
// the sets to within about one place, and what is at a place depends on shares and sizes alone,
// never on what was drawn when.

// The sets of places 0, 1, 2 and so on: each time the one that is furthest below its share (smooth
// weighted round robin); of equal ones the first.
class SetOrder {
 public:
  // One for each set; a set with share 0 is never drawn. One is above 0.
  explicit SetOrder(std::vector<double> shares);
  size_t Next();
  // The set has nothing more; the others keep their shares among each other.
  void Drop(size_t set) { shares_[set] = credit_[set] = 0; }

 private:
  std::vector<double> shares_, credit_;
};

struct SetPlace {
  size_t set = 0, index = 0;
};

// All elements of sets of these sizes, each once, by the shares as long as a set has some. Share i
// is above 0 where size i is.
std::vector<SetPlace> InterleaveSets(const std::vector<double>& shares,
                                     const std::vector<size_t>& sizes);

}  // namespace reckon

#endif  // RECKON_COMMON_TASK_DATASET_MIXTURE_H_
