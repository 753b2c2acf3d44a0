#ifndef RECKON_ACTOR_RUN_ACTOR_H_
#define RECKON_ACTOR_RUN_ACTOR_H_

#include "common/reward/verifier.h"

namespace reckon {

// The actor program with the given rewarder: reads the flags, connects to the coordinator and works
// until SIGINT or SIGTERM, or until the engine fails again and again. Prints errors to stderr and
// returns the exit code. main calls it once, before it starts any thread.
int RunActor(int argc, char** argv, const Rewarder& rewarder);

}  // namespace reckon

#endif  // RECKON_ACTOR_RUN_ACTOR_H_
