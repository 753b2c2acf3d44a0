#ifndef RECKON_ACTOR_SERVE_RUN_SERVER_H_
#define RECKON_ACTOR_SERVE_RUN_SERVER_H_

namespace reckon {

// The program reckon-server, which `reckon serve` becomes: reads the flags, loads the model, serves
// it until SIGINT or SIGTERM, finishes what it has, and returns the exit code. Prints errors to
// stderr. main calls it once, before it starts any thread.
int RunServer(int argc, char** argv);

}  // namespace reckon

#endif  // RECKON_ACTOR_SERVE_RUN_SERVER_H_
