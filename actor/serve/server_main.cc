// reckon-server: serves a model over HTTP, in the form of OpenAI's API.

#include "actor/serve/run_server.h"

int main(int argc, char** argv) { return reckon::RunServer(argc, argv); }
