#include "common/config/config.h"

#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/config/config_file.h"
#include "common/config/fields.h"
#include "common/config/override.h"
#include "common/config/resolve.h"
#include "common/config/validate.h"
#include "google/protobuf/text_format.h"

namespace reckon {
namespace {

constexpr size_t kMaxBases = 8;

absl::StatusOr<RunConfig> LoadFile(const std::string& path, std::vector<std::string> chain) {
  std::error_code unreadable;  // ReadFile says why
  const std::string canonical = std::filesystem::weakly_canonical(path, unreadable).string();
  for (const std::string& earlier : chain) {
    if (earlier == canonical) {
      return absl::InvalidArgumentError(absl::StrCat(path, ": base: the files form a cycle"));
    }
  }
  if (chain.size() >= kMaxBases) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": base: more than ", kMaxBases, " files deep"));
  }
  chain.push_back(canonical);

  absl::StatusOr<std::string> text = ReadFile(path, kMaxConfigBytes);
  if (!text.ok()) {
    return absl::Status(text.status().code(), absl::StrCat("config: ", text.status().message()));
  }
  ASSIGN_OR_RETURN(RunConfig config, ParseConfig(path, *text));
  if (!config.has_base()) return config;

  std::filesystem::path base_path = std::filesystem::path(path).parent_path() / config.base();
  config.clear_base();
  absl::StatusOr<RunConfig> base = LoadFile(base_path.string(), std::move(chain));
  if (!base.ok()) {
    return absl::Status(base.status().code(), absl::StrCat(absl::StripSuffix(path, "/"),
                                                           ": base: ", base.status().message()));
  }
  MergeOver(config, &*base);
  return base;
}

}  // namespace

absl::StatusOr<RunConfig> ParseConfig(const std::string& path, const std::string& text) {
  RunConfig config;
  RETURN_IF_ERROR(ParseConfigText(path, text, &config));
  return config;
}

absl::StatusOr<RunConfig> LoadConfig(const std::string& path,
                                     const std::vector<std::string>& overrides) {
  ASSIGN_OR_RETURN(RunConfig config, LoadFile(path, {}));
  for (const std::string& assignment : overrides) {
    RETURN_IF_ERROR(ApplyOverride(assignment, &config));
  }
  if (config.has_base()) {  // LoadFile has cleared that of the file
    return absl::InvalidArgumentError(
        "--set base: the base is read before --set applies; set it in the config file");
  }
  ResolveConfig(&config);
  absl::Status valid = ValidateConfig(config);
  if (!valid.ok()) return absl::Status(valid.code(), absl::StrCat(path, ": ", valid.message()));
  return config;
}

std::string FormatConfig(const RunConfig& config) {
  RunConfig full = config;
  full.clear_base();
  ResolveConfig(&full);
  FillDefaults(&full);
  std::string text;
  google::protobuf::TextFormat::PrintToString(full, &text);
  return text;
}

}  // namespace reckon
