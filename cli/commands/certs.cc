#include "cli/commands/certs.h"

#include <iostream>

#include "cli/launcher/run_dir.h"
#include "common/base/status_macros.h"
#include "common/net/run_certificates.h"

namespace reckon {
namespace {

absl::StatusOr<RotationStep> ParseStep(const std::string& name) {
  if (name == "trust") return RotationStep::kTrust;
  if (name == "use") return RotationStep::kUse;
  if (name == "forget") return RotationStep::kForget;
  return absl::InvalidArgumentError("--rotate must be trust, use or forget");
}

}  // namespace

absl::Status Certs(const CertsOptions& options) {
  CertificateOptions certificates;
  certificates.run = options.run;
  certificates.folder = AbsolutePath(options.output);
  certificates.days = options.days;
  certificates.keep_authority_key = !options.forget_authority;
  if (!options.rotate.empty()) {
    if (options.forget_authority) {
      return absl::InvalidArgumentError(
          "--rotate needs the authority: leave out --forget-authority");
    }
    ASSIGN_OR_RETURN(const RotationStep step, ParseStep(options.rotate));
    RETURN_IF_ERROR(RotateCertificates(certificates, step));
    std::cout << "step '" << options.rotate << "' of the rotation is done in "
              << certificates.folder << "\n";
    if (step != RotationStep::kForget) {
      std::cout << "copy the folders to their machines, wait a minute, then do step '"
                << (step == RotationStep::kTrust ? "use" : "forget") << "'\n";
    }
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(WriteCertificates(certificates));
  std::cout << "certificates of run '" << options.run << "' for " << options.days << " days:\n";
  for (const Role role : kAllRoles) {
    std::cout << "  --certificates=" << CertificatesOf(certificates.folder, role) << "\n";
  }
  if (!options.forget_authority) {
    std::cout << "keep " << certificates.folder
              << "/authority apart: whoever has its key can make members of this run\n";
  }
  return absl::OkStatus();
}

}  // namespace reckon
