#include "cli/run_dir.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <utility>
#include <vector>

#include "absl/memory/memory.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/config/config.h"

namespace reckon {
namespace {

// What may differ between a run and its resumption: where and how fast it runs, not what it does.
RunConfig WithoutPlacement(RunConfig config) {
  config.clear_actor();
  config.clear_learner();
  config.clear_coordinator();
  config.clear_keep_last();
  config.clear_output_dir();
  return config;
}

// The first line where two texts differ, for people.
std::string FirstDifference(const std::string& before, const std::string& after) {
  std::vector<absl::string_view> a = absl::StrSplit(before, '\n'), b = absl::StrSplit(after, '\n');
  for (size_t i = 0; i < std::max(a.size(), b.size()); ++i) {
    absl::string_view left = i < a.size() ? a[i] : "", right = i < b.size() ? b[i] : "";
    if (left != right) {
      return absl::StrCat("'", absl::StripLeadingAsciiWhitespace(left), "' is now '",
                          absl::StripLeadingAsciiWhitespace(right), "'");
    }
  }
  return "";
}

}  // namespace

std::string AbsolutePath(const std::string& path) {
  if (path.empty() || path == "builtin") return path;
  const char* home = std::getenv("HOME");
  std::string expanded = path;
  if (home != nullptr && absl::StartsWith(path, "~/")) expanded = home + path.substr(1);
  std::string out = std::filesystem::absolute(expanded).lexically_normal().string();
  if (out.size() > 1 && out.back() == '/') out.pop_back();
  return out;
}

void MakePathsAbsolute(RunConfig* config) {
  config->set_output_dir(AbsolutePath(config->output_dir()));
  if (config->model().has_path()) {
    config->mutable_model()->set_path(AbsolutePath(config->model().path()));
  }
  DataSettings* data = config->mutable_data();
  data->set_train(AbsolutePath(data->train()));
  if (data->has_eval()) data->set_eval(AbsolutePath(data->eval()));
  auto orm = [](auto* settings) {  // the name of a stage, or a folder
    if (settings->orm().find('/') == std::string::npos) return;
    settings->set_orm(AbsolutePath(settings->orm()));
  };
  orm(config->mutable_eval());
  for (Stage& stage : *config->mutable_stage()) {
    if (stage.has_rcrl()) orm(stage.mutable_rcrl());
    if (stage.has_ei()) {
      for (RewardSettings& reward : *stage.mutable_ei()->mutable_reward()) orm(&reward);
    }
    if (stage.has_ppo()) {
      for (RewardSettings& reward : *stage.mutable_ppo()->mutable_reward()) orm(&reward);
    }
  }
}

absl::StatusOr<std::unique_ptr<RunDir>> RunDir::Open(const RunConfig& config, bool resume) {
  std::string path = absl::StrCat(config.output_dir(), "/", config.name());
  std::string config_path = path + "/config.textproto";
  bool there = std::filesystem::exists(config_path);
  if (there && !resume) {
    return absl::AlreadyExistsError(absl::StrCat("run directory ", path,
                                                 " exists; add --resume to go on with it, or give ",
                                                 "another name (--set name=...), or delete it"));
  }
  for (const char* folder : {"/logs", "/store"}) {
    RETURN_IF_ERROR(MakeFolders(path + folder));
  }
  int lock = ::open((path + "/lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (lock < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot open ", path, "/lock"));
  auto run_dir = absl::WrapUnique(new RunDir(path, lock, there));
  if (::flock(lock, LOCK_EX | LOCK_NB) != 0) {
    return absl::FailedPreconditionError(absl::StrCat(
        "run directory ", path, " is in use by another `reckon train`; stop that one"));
  }
  if (there) {
    absl::StatusOr<RunConfig> before = LoadConfig(config_path, {});
    if (!before.ok()) return before.status();
    std::string change = FirstDifference(FormatConfig(WithoutPlacement(*before)),
                                         FormatConfig(WithoutPlacement(config)));
    if (!change.empty()) {
      return absl::FailedPreconditionError(
          absl::StrCat("the config differs from that of the run in ", path, ": ", change,
                       "; resume with the same config, or give another name (--set name=...)"));
    }
  }
  RETURN_IF_ERROR(WriteFileAtomically(config_path, FormatConfig(config)));
  return run_dir;
}

RunDir::~RunDir() { ::close(lock_); }

}  // namespace reckon
