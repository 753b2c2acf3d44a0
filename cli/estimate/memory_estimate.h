#ifndef RECKON_CLI_ESTIMATE_MEMORY_ESTIMATE_H_
#define RECKON_CLI_ESTIMATE_MEMORY_ESTIMATE_H_

#include <string>
#include <vector>

namespace reckon {

// The memory of a process where it computes: of a GPU, or of its machine.
enum class Placement { kCpu, kGpu };

struct MemoryLine {
  std::string what;
  double bytes = 0;
  std::string why = "";
  double kept = 0;  // of these bytes, those on the GPU that a learner keeps in an actor's turn
};

// The memory of one process, by purpose.
struct MemoryEstimate {
  std::vector<MemoryLine> lines = {};
  double total() const {
    double sum = 0;
    for (const MemoryLine& line : lines) sum += line.bytes;
    return sum;
  }
  double kept() const {
    double sum = 0;
    for (const MemoryLine& line : lines) sum += line.kept;
    return sum;
  }
};

}  // namespace reckon

#endif  // RECKON_CLI_ESTIMATE_MEMORY_ESTIMATE_H_
