#include "learner/run/inputs.h"

#include <algorithm>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/config/fields.h"
#include "common/model/files/manifest.h"
#include "common/model/files/model_folder.h"
#include "common/task/dataset/data_files.h"
#include "common/text/message_json.h"

namespace reckon {
namespace {

void AddInput(const std::string& name, const std::string& path, absl::string_view content,
              RunInputs* inputs) {
  RunInputs::File* file = inputs->add_files();
  file->set_name(name);
  file->set_path(path);
  file->set_sha256(absl::BytesToHexString(Sha256(content)));
}

absl::Status AddDataFile(const std::string& name, const std::string& path, RunInputs* inputs) {
  if (path.empty() || path == "builtin") return absl::OkStatus();
  const absl::StatusOr<std::string> digest = DataDigest(path, Sha256);
  if (!digest.ok()) {
    return absl::Status(digest.status().code(),
                        absl::StrCat(name, ": ", digest.status().message()));
  }
  RunInputs::File* file = inputs->add_files();
  file->set_name(name);
  file->set_path(path);
  file->set_sha256(absl::BytesToHexString(*digest));
  return absl::OkStatus();
}

// What makes the model: not where its weights can be fetched.
std::string ModelContent(const WeightManifest& base) {
  return TextsDigest(base.texts()) + Digests(base);
}

}  // namespace

absl::StatusOr<RunInputs> InputsOf(const RunConfig& config, const WeightManifest& base) {
  RunInputs inputs;
  RETURN_IF_ERROR(AddDataFile("data.train", config.data().train(), &inputs));
  RETURN_IF_ERROR(AddDataFile("data.eval", config.data().eval(), &inputs));
  for (int i = 0; i < config.data().set_size(); ++i) {
    const MixtureSet& set = config.data().set(i);
    const std::string name = absl::StrCat("data.set[", i, "]");
    RETURN_IF_ERROR(AddDataFile(name + ".train", set.train(), &inputs));
    RETURN_IF_ERROR(AddDataFile(name + ".eval", set.eval(), &inputs));
  }
  const std::string& model = config.model().path();
  if (!model.empty()) AddInput("model.path", model, ModelContent(base), &inputs);
  const absl::Status added = VisitTexts(config, "", [&](const TextField& field) -> absl::Status {
    if (field.kind != Text::REWARD_MODEL || !IsFolder(field.value)) return absl::OkStatus();
    ASSIGN_OR_RETURN(const Weights weights, ReadModelFolder(field.value));
    ASSIGN_OR_RETURN(const std::string head, ReadFile(field.value + "/reward_head.json"));
    AddInput(field.path, field.value, ModelContent(weights.manifest) + head, &inputs);
    return absl::OkStatus();
  });
  if (!added.ok()) return added;
  return inputs;
}

absl::Status KeepInputs(const std::string& run_dir, const RunInputs& inputs) {
  const std::string path = run_dir + "/inputs.json";
  const absl::StatusOr<std::string> text = ReadFile(path);
  if (absl::IsNotFound(text.status())) return WriteFileAtomically(path, MessageToJson(inputs));
  RETURN_IF_ERROR(text.status());
  RunInputs before;
  if (const absl::Status status = MessageFromJson(*text, &before); !status.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": ", status.message()));
  }
  RunInputs all = before;
  for (const RunInputs::File& file : inputs.files()) {
    const auto then = std::find_if(
        before.files().begin(), before.files().end(), [&](const RunInputs::File& other) {
          return other.name() == file.name() && other.path() == file.path();
        });
    if (then == before.files().end()) {
      *all.add_files() = file;  // of a stage that was added, say
    } else if (then->sha256() != file.sha256()) {
      return absl::FailedPreconditionError(
          absl::StrCat(file.name(), ": ", file.path(), " has changed since the run began (SHA-256 ",
                       then->sha256().substr(0, 12), " then, ", file.sha256().substr(0, 12),
                       " now); restore it, or start a run with another name"));
    }
  }
  return WriteFileAtomically(path, MessageToJson(all));
}

}  // namespace reckon
