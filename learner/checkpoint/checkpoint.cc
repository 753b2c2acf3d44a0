#include "learner/checkpoint/checkpoint.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <thread>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"
#include "common/text/json.h"
#include "common/weights/manifest.h"
#include "learner/checkpoint/array_file.h"
#include "learner/checkpoint/cursor_json.h"

namespace reckon {
namespace {

namespace fs = std::filesystem;
constexpr int kFormat = 1;
constexpr char kManifest[] = "manifest.json";

fs::path Folder(const std::string& run_dir) { return fs::path(run_dir) / "checkpoints"; }

fs::path StepFolder(const std::string& run_dir, int64_t step) {
  return Folder(run_dir) / absl::StrCat("step_", step);
}

absl::Status Damaged(const fs::path& path, absl::string_view what) {
  return absl::DataLossError(absl::StrCat("checkpoint ", path.string(), ": ", what));
}

}  // namespace

absl::Status SaveCheckpoint(
    const std::string& run_dir, const Cursor& cursor,
    absl::Span<const std::pair<std::string, absl::Span<const float>>> parameters,
    const AdamMoments* moments, int keep_last) {
  fs::path folder = StepFolder(run_dir, cursor.step);
  std::string temporary = folder.string() + ".tmp";
  std::error_code error;
  fs::remove_all(temporary, error);
  RETURN_IF_ERROR(MakeFolders(temporary));
  absl::Cleanup remove_temporary = [&] { fs::remove_all(temporary, error); };

  std::vector<std::pair<std::string, std::vector<absl::Span<const float>>>> files(1);
  files[0].first = "parameters.bin";
  nlohmann::json names = nlohmann::json::array();
  for (const auto& [name, values] : parameters) {
    files[0].second.push_back(values);
    names.push_back({{"name", name}, {"elements", values.size()}});
  }
  if (moments != nullptr) {
    files.push_back({"adam_first.bin", {moments->first}});
    files.push_back({"adam_second.bin", {moments->second}});
  }
  std::vector<absl::StatusOr<ArrayFileInfo>> written(files.size(), ArrayFileInfo());
  std::vector<std::thread> threads;  // hashing one file takes as long as writing it
  for (size_t i = 0; i < files.size(); ++i) {
    threads.emplace_back([&, i] {
      written[i] = WriteArrayFile(absl::StrCat(temporary, "/", files[i].first), files[i].second);
    });
  }
  for (std::thread& thread : threads) thread.join();

  nlohmann::json listed = nlohmann::json::array();
  for (size_t i = 0; i < files.size(); ++i) {
    RETURN_IF_ERROR(written[i].status());
    listed.push_back({{"name", files[i].first},
                      {"bytes", written[i]->bytes},
                      {"sha256", absl::BytesToHexString(written[i]->sha256)}});
  }
  std::string body = nlohmann::json{
      {"format", kFormat},
      {"cursor", CursorToJson(cursor)},
      {"parameters", names},
      {"adam_steps", moments == nullptr ? 0 : moments->steps},
      {"files", listed}}.dump();
  // The manifest vouches for the files, its first line for the manifest.
  RETURN_IF_ERROR(
      WriteFileAtomically(absl::StrCat(temporary, "/", kManifest),
                          absl::StrCat(absl::BytesToHexString(Sha256(body)), "\n", body, "\n")));
  fs::remove_all(folder, error);  // of an attempt that this one went back behind
  fs::rename(temporary, folder, error);
  if (error) {
    return absl::UnavailableError(absl::StrCat("cannot rename ", temporary, ": ", error.message()));
  }
  RETURN_IF_ERROR(SyncFolder(Folder(run_dir).string()));

  std::vector<int64_t> steps = ListCheckpoints(run_dir);
  for (int64_t step : steps) {
    // Those after this one are of an attempt that was given up.
    auto older = std::count_if(steps.begin(), steps.end(),
                               [&](int64_t s) { return s > step && s <= cursor.step; });
    if (step > cursor.step || older >= std::max(1, keep_last)) {
      fs::remove_all(StepFolder(run_dir, step), error);
    }
  }
  return absl::OkStatus();
}

std::vector<int64_t> ListCheckpoints(const std::string& run_dir) {
  std::vector<int64_t> steps;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(Folder(run_dir), error)) {
    std::string name = entry.path().filename().string();
    int64_t step;
    if (name.rfind("step_", 0) == 0 && absl::SimpleAtoi(name.substr(5), &step)) {
      steps.push_back(step);
    }
  }
  std::sort(steps.begin(), steps.end());
  return steps;
}

absl::StatusOr<Checkpoint> LoadCheckpoint(const std::string& run_dir, int64_t step) {
  fs::path folder = StepFolder(run_dir, step);
  ASSIGN_OR_RETURN(std::string text, ReadFile((folder / kManifest).string(), kMaxJsonBytes));
  size_t line = text.find('\n');
  if (line == std::string::npos || text.back() != '\n') return Damaged(folder, "manifest");
  absl::string_view body(text.data() + line + 1, text.size() - line - 2);
  if (absl::BytesToHexString(Sha256(body)) != text.substr(0, line)) {
    return Damaged(folder, "manifest");
  }
  ASSIGN_OR_RETURN(nlohmann::json manifest, ParseJson(body));
  ASSIGN_OR_RETURN(int64_t format, GetInt(manifest, "format"));
  if (format != kFormat) {
    return absl::UnimplementedError(
        absl::StrCat("checkpoint ", folder.string(), " has format ", format, ", not ", kFormat));
  }
  Checkpoint checkpoint;
  checkpoint.path = folder.string();
  ASSIGN_OR_RETURN(const nlohmann::json* cursor, GetObject(manifest, "cursor"));
  ASSIGN_OR_RETURN(checkpoint.cursor, CursorFromJson(*cursor));

  ASSIGN_OR_RETURN(const nlohmann::json* parameters, GetArray(manifest, "parameters"));
  std::vector<std::vector<float>*> arrays;
  int64_t total = 0;
  for (const nlohmann::json& parameter : *parameters) {
    ASSIGN_OR_RETURN(std::string name, GetString(parameter, "name"));
    ASSIGN_OR_RETURN(int64_t elements, GetInt(parameter, "elements"));
    if (elements < 0) return Damaged(folder, "manifest");
    checkpoint.parameters.emplace_back(name, std::vector<float>(elements));
    total += elements;
  }
  for (auto& [name, values] : checkpoint.parameters) arrays.push_back(&values);

  ASSIGN_OR_RETURN(const nlohmann::json* files, GetArray(manifest, "files"));
  if (files->size() > 1) {
    checkpoint.moments.emplace();
    ASSIGN_OR_RETURN(checkpoint.moments->steps, GetInt(manifest, "adam_steps"));
    checkpoint.moments->first.resize(total);
    checkpoint.moments->second.resize(total);
  }
  std::vector<std::thread> threads;
  std::vector<absl::Status> read(files->size());
  absl::Cleanup join = [&] {
    for (std::thread& thread : threads) thread.join();
  };
  for (size_t i = 0; i < files->size(); ++i) {
    ASSIGN_OR_RETURN(std::string name, GetString((*files)[i], "name"));
    ASSIGN_OR_RETURN(std::string hex, GetString((*files)[i], "sha256"));
    std::vector<std::vector<float>*> into = arrays;
    if (i > 0) into = {i == 1 ? &checkpoint.moments->first : &checkpoint.moments->second};
    threads.emplace_back([&, i, name, hex, into] {
      read[i] = ReadArrayFile((folder / name).string(), absl::HexStringToBytes(hex), into);
    });
  }
  std::move(join).Invoke();
  for (const absl::Status& status : read) RETURN_IF_ERROR(status);
  return checkpoint;
}

absl::StatusOr<std::optional<Checkpoint>> LoadNewestCheckpoint(const std::string& run_dir) {
  std::vector<int64_t> steps = ListCheckpoints(run_dir);
  if (steps.empty()) return std::optional<Checkpoint>();
  absl::Status last;
  for (auto step = steps.rbegin(); step != steps.rend(); ++step) {
    absl::StatusOr<Checkpoint> checkpoint = LoadCheckpoint(run_dir, *step);
    if (checkpoint.ok()) return std::optional<Checkpoint>(*std::move(checkpoint));
    last = checkpoint.status();
    LOG(WARNING) << last.message() << "; trying an older one";
  }
  return last;
}

}  // namespace reckon
