#ifndef RECKON_COMMON_MODEL_FILES_SIDE_FILES_H_
#define RECKON_COMMON_MODEL_FILES_SIDE_FILES_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace reckon {

// Files of a model folder that Reckon carries from folder to folder and does not compute with, by
// name: special_tokens_map.json, chat_template.jinja, vocab.json, merges.txt, a licence, a model
// card. Other programs need them. They stay with the learner; actors are not sent them.
using SideFiles = std::map<std::string, std::string>;

// Adds the regular files of `folder` to `files`, replacing those of equal names: no weights, no
// files of a training framework, none that the manifest holds (config.json and others), none that
// begins with a dot, and of its subfolders only additional_chat_templates. A file of more than 64
// MiB, or beyond 128 MiB in all, is left out with a line in `notes`. An error names the file.
absl::Status ReadSideFiles(const std::string& folder, SideFiles* files,
                           std::vector<std::string>* notes);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_FILES_SIDE_FILES_H_
