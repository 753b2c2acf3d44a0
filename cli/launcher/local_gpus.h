#ifndef RECKON_CLI_LAUNCHER_LOCAL_GPUS_H_
#define RECKON_CLI_LAUNCHER_LOCAL_GPUS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "proto/config.pb.h"

namespace reckon {

// The GPUs that this process may give to others, by the names that CUDA_VISIBLE_DEVICES takes:
// those of `visible`, that variable's value, up to the first that is no device ("-1"), or, if it is
// null, "0", "1", ... for the files nvidia0, nvidia1, ... of `devices`.
std::vector<std::string> FindGpus(const char* visible, const std::string& devices = "/dev");

// Which GPU each process of a run on this machine has, by rank and by index of the actor. "": none.
// Both are empty when no process asks for one: then all see what `reckon` sees, and share its first
// GPU, if there is one.
struct LocalGpus {
  std::vector<std::string> ranks, actors;
};

// One of `gpus` for each process whose resources.*.gpus is 1, ranks first, as a scheduler would
// assign them. FAILED_PRECONDITION, one line: there are too few, or model.device is CUDA and one of
// the two roles asks for none.
absl::StatusOr<LocalGpus> AssignGpus(const RunConfig& config, absl::Span<const std::string> gpus);

// Whether models are on a GPU here, as far as it can be told without CUDA: by model.device, and for
// AUTO by the driver's device.
bool ComputesOnGpu(const RunConfig& config);

// Whether actors and learner of a run on this machine take turns on the device that they share
// (resources.turns). `gpu`: ComputesOnGpu. FAILED_PRECONDITION, one line: it is ON, and they share
// none or there are several ranks.
absl::StatusOr<bool> TakesTurns(const RunConfig& config, bool gpu);

}  // namespace reckon

#endif  // RECKON_CLI_LAUNCHER_LOCAL_GPUS_H_
