#ifndef RECKON_CLI_COMMANDS_SERVE_H_
#define RECKON_CLI_COMMANDS_SERVE_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "cli/commands/command.h"
#include "proto/config.pb.h"

namespace reckon {

struct ServeOptions {
  std::string model;  // folder
  std::string base;   // of an adapter folder: its base model; empty: what it names
  std::string name;   // of the model in requests; empty: that of the folder, not of a link to it
  std::string listen = "127.0.0.1:8000";
  std::string api_key_file;
  std::string chat_template_kwargs;
  uint32_t threads = RoleResources().cpus();
  uint32_t max_batch = ActorSettings().max_batch();
  uint32_t kv_cache_mib = ActorSettings().kv_cache_mib();
  uint32_t max_requests = 256;
  uint32_t request_seconds = 600;
  uint32_t drain_seconds = 30;
  bool fp32 = false;
  bool row_invariant = false;
  bool dry_run = false;
};

// `reckon serve`: checks the model and the address, and becomes the program reckon-server, which
// links LibTorch. So signals and exit status are that program's, and nothing is between it and a
// process manager. Returns only when that fails, or after a dry run, which prints what would be
// served, the memory for it and the command.
absl::Status Serve(const ServeOptions& options);

// Its flags.
CommandRun AddServe(CLI::App* app);

}  // namespace reckon

#endif  // RECKON_CLI_COMMANDS_SERVE_H_
