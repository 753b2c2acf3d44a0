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
// Both are empty when all see what `reckon` sees, and share its first GPU, if there is one.
struct LocalGpus {
  std::vector<std::string> ranks, actors;
  bool shared = true;  // an actor's GPU, if it has one, is a rank's as well
};

// Where neither role asks for a GPU of its own, each rank shares one with actors. A card is a GPU,
// or on a machine without them a number alone: rank r has card r, and the actors are dealt to the
// cards in turn. With fewer actors than ranks the last ranks have their cards for themselves.
uint32_t CardOfActor(const RunConfig& config, uint32_t actor);
// Of the card with the most of them.
uint32_t ActorsOnACard(const RunConfig& config);

// One of `gpus` for each process whose resources.*.gpus is 1, ranks first, as a scheduler would
// assign them. If neither role asks for its own and there are several ranks, one for each card.
// `gpu`: ComputesOnGpu. FAILED_PRECONDITION, one line: there are too few, or model.device is CUDA
// and one of the two roles asks for none.
absl::StatusOr<LocalGpus> AssignGpus(const RunConfig& config, bool gpu,
                                     absl::Span<const std::string> gpus);

// Whether models are on a GPU here, as far as it can be told without CUDA: by model.device, and for
// AUTO by the driver's device, if this build is for GPUs.
bool ComputesOnGpu(const RunConfig& config);
// Whether they are, and no role of a run on this machine asks for GPUs of its own: all share some.
bool SharesGpus(const RunConfig& config);

// Whether actors and learner ranks of a run on this machine take turns on the cards that they share
// (resources.turns). `gpu`: ComputesOnGpu. FAILED_PRECONDITION, one line: it is ON, and they share
// none, or the learner broadcasts from its GPU at any time.
absl::StatusOr<bool> TakesTurns(const RunConfig& config, bool gpu);

}  // namespace reckon

#endif  // RECKON_CLI_LAUNCHER_LOCAL_GPUS_H_
