#include "cli/launcher/kubernetes_manifests.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cli/launcher/kubernetes_learner.h"
#include "cli/launcher/kubernetes_network.h"
#include "cli/launcher/kubernetes_workloads.h"
#include "cli/launcher/text_template.h"
#include "common/base/status_macros.h"
#include "common/config/config.h"
#include "common/config/fields.h"
#include "common/model/files/manifest.h"

namespace reckon {
namespace {

// A job's pod is named <run>-learner-others-<rank>-0-<5 characters>, and a label has at most 63.
constexpr size_t kLongestName = 30;

constexpr char kManifestHeader[] =
    "# Written by `reckon launch --kubernetes`; change the config, or patch it by kustomize.\n";

constexpr char kNamespaceYaml[] = R"(apiVersion: v1
kind: Namespace
metadata:
  name: {namespace}
  labels:
    pod-security.kubernetes.io/enforce: restricted
    pod-security.kubernetes.io/enforce-version: latest
    pod-security.kubernetes.io/warn: restricted
---
apiVersion: v1
kind: ServiceAccount
metadata:
  name: reckon-coordinator
automountServiceAccountToken: false
---
apiVersion: v1
kind: ServiceAccount
metadata:
  name: reckon-actor
automountServiceAccountToken: false
---
apiVersion: v1
kind: ServiceAccount
metadata:
  name: reckon-learner
automountServiceAccountToken: false
---
{policy}
)";

// The run's folder: checkpoints, weights, evaluations.
constexpr char kVolumeYaml[] = R"(apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: {run}-learner
  labels:
    app.kubernetes.io/name: reckon
    app.kubernetes.io/instance: "{run}"
    app.kubernetes.io/component: learner
spec:
  accessModes: [ReadWriteOnce]
  {storage_class}
  resources: {requests: {storage: {storage_gib}Gi}}
)";

constexpr char kConfigMapYaml[] = R"(apiVersion: v1
kind: ConfigMap
metadata:
  name: {run}-config
  labels:
    app.kubernetes.io/name: reckon
    app.kubernetes.io/instance: "{run}"
data:
  # Whether a new JobSet continues the run on the volume. A restart of the same JobSet always does.
  resume: "{resume}"
  config.textproto: |
    {config}
)";

std::string Kustomization(const std::string& name_space, const std::vector<std::string>& files) {
  return absl::StrCat(
      kManifestHeader, "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n",
      "namespace: ", YamlText(name_space), "\nresources:\n- ", absl::StrJoin(files, "\n- "), "\n");
}

std::string SecretYaml(const std::string& run, const std::string& role,
                       const std::vector<RenderedFile>& files) {
  std::string text =
      absl::StrCat("apiVersion: v1\nkind: Secret\ntype: Opaque\nmetadata:\n  name: ", run, "-",
                   role, "\n  labels:\n    app.kubernetes.io/name: reckon\n",
                   "    app.kubernetes.io/instance: ", YamlText(run), "\ndata:\n");
  for (const RenderedFile& file : files) {
    absl::StrAppend(&text, "  ", file.name, ": ", absl::Base64Escape(file.text), "\n");
  }
  return text;
}

// Pods see the image, the run's folder and the claim at /data.
absl::Status CheckPodPaths(const RunConfig& config) {
  const bool has_data = config.kubernetes().has_data_claim();
  return VisitTexts(config, "", [&](const TextField& field) {
    const bool path =
        field.kind == Text::PATH || (field.kind == Text::REWARD_MODEL && IsFolder(field.value));
    const bool elsewhere = field.value.empty() || field.value == "builtin" ||
                           field.path == "output_dir";  // the run's volume
    if (!path || elsewhere || (has_data && absl::StartsWith(field.value, "/data/"))) {
      return absl::OkStatus();
    }
    return absl::InvalidArgumentError(absl::StrCat(
        field.path, " is ", field.value, ", which no pod has; ",
        has_data ? "name it below /data, where the claim kubernetes.data_claim is mounted"
                 : "set kubernetes.data_claim to a claim of a volume with models and data, and "
                   "name it below /data"));
  });
}

}  // namespace

absl::StatusOr<std::string> KubernetesName(const std::string& run) {
  std::string name = absl::AsciiStrToLower(run);
  std::replace_if(name.begin(), name.end(), [](char c) { return c == '_' || c == '.'; }, '-');
  const bool letters = std::all_of(name.begin(), name.end(), [](char c) {
    return absl::ascii_isdigit(c) || absl::ascii_islower(c) || c == '-';
  });
  if (!letters || name.empty() || !absl::ascii_islower(name.front()) || name.back() == '-' ||
      name.size() > kLongestName) {
    return absl::InvalidArgumentError(
        absl::StrCat("name is '", run,
                     "'; on Kubernetes it begins with a letter, has letters, digits, '-', '_' ",
                     "and '.' alone, ends with a letter or digit, and has at most ", kLongestName,
                     " characters"));
  }
  return name;
}

absl::StatusOr<std::vector<RenderedFile>> RenderKubernetes(const RunConfig& config,
                                                           const KubernetesFacts& facts) {
  const KubernetesSettings& settings = config.kubernetes();
  ASSIGN_OR_RETURN(const std::string run, KubernetesName(config.name()));
  RETURN_IF_ERROR(CheckPodPaths(config));
  RunConfig in_pods = config;
  in_pods.set_output_dir("/var/lib/reckon");
  const std::string config_text = FormatConfig(in_pods);
  KubernetesWorkload workload{
      .config = config,
      .run = run,
      .image_tag = settings.has_image_tag() ? settings.image_tag() : facts.image_tag,
      .config_hash = absl::BytesToHexString(Sha256(config_text)),
  };

  const std::map<std::string, std::string> values = {
      {"run", run},
      {"namespace", YamlText(settings.namespace_())},
      {"policy", NamespacePolicyYaml()},
      {"storage_gib", absl::StrCat(settings.storage_gib())},
      {"storage_class", settings.has_storage_class()
                            ? absl::StrCat("storageClassName: ", YamlText(settings.storage_class()))
                            : ""},
      {"resume", facts.resume ? "true" : "false"},
      {"config", config_text},
  };
  std::vector<RenderedFile> files = {
      {"lasting/kustomization.yaml",
       Kustomization(settings.namespace_(), {"namespace.yaml", "volume.yaml"})},
      {"lasting/namespace.yaml", kManifestHeader + FillTemplate(kNamespaceYaml, values)},
      {"lasting/volume.yaml", kManifestHeader + FillTemplate(kVolumeYaml, values)},
  };
  std::vector<std::string> base = {"config.yaml", "coordinator.yaml", "actor.yaml", "learner.yaml",
                                   "network.yaml"};
  if (!facts.certificates.empty()) base.push_back("secrets.yaml");
  files.push_back({"base/kustomization.yaml", Kustomization(settings.namespace_(), base)});
  files.push_back({"base/config.yaml", kManifestHeader + FillTemplate(kConfigMapYaml, values)});
  files.push_back({"base/coordinator.yaml", kManifestHeader + CoordinatorYaml(workload)});
  files.push_back({"base/actor.yaml", kManifestHeader + ActorYaml(workload)});
  files.push_back({"base/learner.yaml", kManifestHeader + LearnerYaml(workload)});
  files.push_back(
      {"base/network.yaml",
       kManifestHeader + RunPolicyYaml(run, config.learner().broadcast() != LearnerSettings::OFF)});
  if (!facts.certificates.empty()) {
    std::vector<std::string> secrets;
    for (const auto& [role, role_files] : facts.certificates) {
      secrets.push_back(SecretYaml(run, role, role_files));
    }
    files.push_back({"base/secrets.yaml", kManifestHeader + absl::StrJoin(secrets, "---\n")});
  }
  return files;
}

}  // namespace reckon
