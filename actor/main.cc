// reckon-actor: leases work from the coordinator, generates and scores samples, and sends rollouts.

#include "actor/run_actor.h"

int main(int argc, char** argv) { return reckon::RunActor(argc, argv, reckon::Verifier()); }
