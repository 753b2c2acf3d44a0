#ifndef RECKON_COMMON_NET_RUN_CERTIFICATES_H_
#define RECKON_COMMON_NET_RUN_CERTIFICATES_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/net/identity.h"

namespace reckon {

// The folder of a run's certificates:
//
//   coordinator/  actor/  learner/  user/   each what a process of this role is given (security.h):
//                                           ca.crt, tls.crt, tls.key, token
//   authority/    ca.crt, ca.key            makes further certificates; keep it apart, or delete it
//
// Folders have mode 0700, keys and tokens 0600. The folder of a role is replaced as a whole, so
// that a process which reads it again sees the old files or the new ones.
struct CertificateOptions {
  std::string run;
  std::string folder;
  int days = 90;  // of validity, from 1
  // Whether authority/ca.key is kept. Without it, new certificates need a new authority.
  bool keep_authority_key = true;
};

// Makes the folder. When it has an authority with a key, its certificates are made anew by the same
// authority, with the same tokens: running processes continue. INVALID_ARGUMENT: bad options, or an
// authority that is not of this run. FAILED_PRECONDITION: there are certificates, but no
// authority's key to make others with. Errors name the file.
absl::Status WriteCertificates(const CertificateOptions& options);

// Replaces authority and token of a folder that has an authority's key, in three steps. Processes
// whose folders had one step need two seconds to notice, and their old connections half a minute to
// end: after that, do the next step. No call fails meanwhile, and after the third step the old
// certificates and token are refused.
enum class RotationStep {
  kTrust,   // new authority and token are trusted beside the old ones
  kUse,     // certificates by the new authority, the new token is sent
  kForget,  // the old authority and token are not trusted any more
};
// FAILED_PRECONDITION: the step before was not done.
absl::Status RotateCertificates(const CertificateOptions& options, RotationStep step);

// For a run that starts: makes <run_dir>/certificates without keeping the authority's key, or does
// nothing when those that it has are valid for two thirds of their time or longer. No process of
// the run may use the folder meanwhile. Returns the folder.
absl::StatusOr<std::string> EnsureRunCertificates(const std::string& run_dir,
                                                  absl::string_view run);
// The part of such a folder for one role.
std::string CertificatesOf(absl::string_view folder, Role role);

}  // namespace reckon

#endif  // RECKON_COMMON_NET_RUN_CERTIFICATES_H_
