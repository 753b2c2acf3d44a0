#include "common/config/config.h"

#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "common/base/files.h"
#include "common/base/printable.h"
#include "common/base/status_macros.h"
#include "common/config/fields.h"
#include "common/config/override.h"
#include "common/config/resolve.h"
#include "common/config/validate.h"
#include "google/protobuf/io/tokenizer.h"
#include "google/protobuf/text_format.h"

namespace reckon {
namespace {

constexpr uint64_t kMaxConfigBytes = 1 << 20;
constexpr size_t kMaxBases = 8;
constexpr int kMaxDepth = 32;  // of nested messages; a hostile file must not exhaust the stack

// Keeps the first error as "file:line:column: message". An unknown field gets a suggestion.
class FirstError : public google::protobuf::io::ErrorCollector {
 public:
  explicit FirstError(const std::string& path) : path_(path) {}

  void AddError(int line, google::protobuf::io::ColumnNumber column,
                const std::string& message) override {
    if (!text.empty()) return;
    text = absl::StrCat(path_, ":", line + 1, ":", column + 1, ": ",
                        Printable(Readable(message), 300));
  }

  std::string text;

 private:
  // Rewrites protobuf's messages in terms of config files.
  static std::string Readable(const std::string& message) {
    std::vector<std::string> quoted = absl::StrSplit(message, '"');
    if (quoted.size() >= 4 && absl::StrContains(message, "has no field named")) {
      const auto* type =
          google::protobuf::DescriptorPool::generated_pool()->FindMessageTypeByName(quoted[1]);
      return absl::StrCat("no field named '", Printable(quoted[3]), "'",
                          type == nullptr ? "" : SuggestField(*type, quoted[3]));
    }
    if (quoted.size() >= 2 && absl::StrContains(message, "is specified multiple times")) {
      return absl::StrCat("'", quoted[1], "' is given twice; delete one of them");
    }
    if (quoted.size() >= 6 && absl::StrContains(message, "another member of oneof")) {
      return absl::StrCat("'", quoted[1], "' and '", quoted[3],
                          "' are in one entry; write an entry for each");
    }
    return Printable(absl::StrReplaceAll(message, {{"reckon.", ""}, {"\n", " "}}), 200);
  }

  std::string path_;
};

absl::StatusOr<RunConfig> LoadFile(const std::string& path, std::vector<std::string> chain) {
  std::string canonical = std::filesystem::weakly_canonical(path).string();
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
  FirstError error(path);
  google::protobuf::TextFormat::Parser parser;
  parser.RecordErrorsTo(&error);
  parser.SetRecursionLimit(kMaxDepth);
  if (!parser.ParseFromString(text, &config)) {
    return absl::InvalidArgumentError(error.text.empty() ? path + ": is not a textproto"
                                                         : error.text);
  }
  return config;
}

absl::StatusOr<RunConfig> LoadConfig(const std::string& path,
                                     const std::vector<std::string>& overrides) {
  ASSIGN_OR_RETURN(RunConfig config, LoadFile(path, {}));
  for (const std::string& assignment : overrides) {
    if (absl::StartsWith(assignment, "base=")) {
      return absl::InvalidArgumentError(
          "--set base: the base is read before --set applies; set it in the config file");
    }
    RETURN_IF_ERROR(ApplyOverride(assignment, &config));
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
