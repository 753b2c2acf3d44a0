#ifndef RECKON_CLI_LAUNCHER_KUBERNETES_APPLY_H_
#define RECKON_CLI_LAUNCHER_KUBERNETES_APPLY_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "cli/launcher/rendered_file.h"
#include "proto/config.pb.h"

namespace reckon {

// The files of a run's certificates (common/net/run_certificates.h) that become secrets: ca.crt,
// tls.crt, tls.key and token of coordinator, actor and learner. Not the user's, which stay here.
absl::StatusOr<std::map<std::string, std::vector<RenderedFile>>> ReadRoleCertificates(
    const std::string& folder);

// Writes manifests (kubernetes_manifests.h) below `folder`, replacing what it has. Only this user
// may read secrets.yaml.
absl::Status WriteManifests(const std::vector<RenderedFile>& files, const std::string& folder);

// Hands the manifests in `folder` to the cluster of kubectl's current context: lasting/, then
// base/, or overlay/ where a user has put a kustomization over base/ there. With `resume` the
// learner's JobSet is deleted first, since a JobSet cannot be changed; the run's volume stays.
// NOT_FOUND: there is no kubectl. INTERNAL: kubectl failed; the message ends with its last lines.
absl::Status ApplyManifests(const RunConfig& config, const std::string& folder, bool resume);

}  // namespace reckon

#endif  // RECKON_CLI_LAUNCHER_KUBERNETES_APPLY_H_
