#ifndef RECKON_CLI_COMMANDS_CERTS_H_
#define RECKON_CLI_COMMANDS_CERTS_H_

#include <string>

#include "absl/status/status.h"
#include "cli/commands/command.h"

namespace reckon {

struct CertsOptions {
  std::string run;     // name of the run
  std::string output;  // folder, created when absent
  int days = 90;       // of validity
  bool forget_authority = false;
  std::string rotate;  // "trust", "use" or "forget": one step of a rotation; empty: none
};

// `reckon certs`: makes the certificates and the token of a run (common/net/run_certificates.h),
// and says which folder is for which program.
absl::Status Certs(const CertsOptions& options);

// Its flags.
CommandRun AddCerts(CLI::App* app);

}  // namespace reckon

#endif  // RECKON_CLI_COMMANDS_CERTS_H_
