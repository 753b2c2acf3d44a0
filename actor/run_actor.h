#ifndef RECKON_ACTOR_RUN_ACTOR_H_
#define RECKON_ACTOR_RUN_ACTOR_H_

#include "actor/reward/reward.h"

namespace reckon {

// The whole program but for who judges: reads the flags, connects, and works until a signal stops
// it. Returns the exit status; called once, by main.
int RunActor(int argc, char** argv, const Rewarder& rewarder);

}  // namespace reckon

#endif  // RECKON_ACTOR_RUN_ACTOR_H_
