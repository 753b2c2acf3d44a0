#ifndef RECKON_CLI_ESTIMATE_DISK_ESTIMATE_H_
#define RECKON_CLI_ESTIMATE_DISK_ESTIMATE_H_

#include <string>
#include <vector>

#include "cli/estimate/model_size.h"
#include "proto/config.pb.h"

namespace reckon {

struct DiskLine {
  std::string what;
  double bytes = 0;
  std::string why;
};

// The most that a run has in its folder, by purpose, with this many rollouts in its store.
std::vector<DiskLine> DiskEstimate(const RunConfig& config, const ModelSize& model,
                                   double rollouts);

}  // namespace reckon

#endif  // RECKON_CLI_ESTIMATE_DISK_ESTIMATE_H_
