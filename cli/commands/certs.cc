#include "cli/commands/certs.h"

#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>

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

CommandRun AddCerts(CLI::App* app) {
  const auto options = std::make_shared<CertsOptions>();
  CLI::App* command = app->add_subcommand(
      "certs", "Make the certificates and the token by which the parts of a run know each other");
  command->add_option("--run", options->run, "name of the run")->required();
  command->add_option("--out", options->output, "folder to create")->required();
  command->add_option("--days", options->days, "days that the certificates are valid")
      ->check(CLI::Range(1, 3650))
      ->capture_default_str();
  command->add_flag("--forget-authority", options->forget_authority,
                    "delete the authority's key at once: no more certificates can be made");
  command
      ->add_option("--rotate", options->rotate,
                   "do one step of replacing authority and token while the run continues")
      ->check(CLI::IsMember({"trust", "use", "forget"}));
  command->footer(
      "`reckon launch` makes certificates by itself. With an authority/ca.key in the folder, certs "
      "renews\nthe certificates by the same authority.\nExamples:\n"
      "  reckon certs --run gsm8k --out certificates --days 30\n"
      "  reckon-coordinator --run=gsm8k --certificates=certificates/coordinator --listen=[::]:7070 "
      "...\n"
      "  reckon certs --run gsm8k --out certificates --rotate trust");
  return [options](std::stop_token) { return Certs(*options); };
}

}  // namespace reckon
