#include "learner/checkpoint/checkpoint.h"

#include <fcntl.h>
#include <stdio.h>

#include <algorithm>
#include <filesystem>
#include <thread>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"
#include "common/model/files/manifest.h"
#include "common/text/json.h"
#include "common/text/message_json.h"
#include "learner/checkpoint/array_file.h"

namespace reckon {
namespace {

namespace fs = std::filesystem;
constexpr int kFormat = 2;
constexpr char kManifest[] = "manifest.json";

fs::path Folder(const std::string& run_dir) { return fs::path(run_dir) / "checkpoints"; }

fs::path StepFolder(const std::string& run_dir, int64_t step) {
  return Folder(run_dir) / absl::StrCat("step_", step);
}

absl::Status Damaged(const fs::path& folder, absl::string_view what) {
  return absl::DataLossError(absl::StrCat("checkpoint ", folder.string(), " is damaged: ", what));
}

struct ArrayFile {
  std::string name;
  std::vector<absl::Span<const float>> arrays;
};

// Writes the files in parallel, because hashing one takes as long as writing it, and lists them.
absl::Status WriteArrays(const std::string& folder, const std::vector<ArrayFile>& files,
                         CheckpointManifest* manifest) {
  std::vector<absl::StatusOr<ArrayFileInfo>> written(files.size(), ArrayFileInfo());
  std::vector<std::thread> threads;
  for (size_t i = 0; i < files.size(); ++i) {
    threads.emplace_back([&, i] {
      written[i] = WriteArrayFile(absl::StrCat(folder, "/", files[i].name), files[i].arrays);
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (size_t i = 0; i < files.size(); ++i) {
    RETURN_IF_ERROR(written[i].status());
    CheckpointManifest::File* file = manifest->add_files();
    file->set_name(files[i].name);
    file->set_bytes(written[i]->bytes);
    file->set_sha256(absl::BytesToHexString(written[i]->sha256));
  }
  return absl::OkStatus();
}

// Reads file i of the manifest into arrays[i], in parallel.
absl::Status ReadArrays(const fs::path& folder, const CheckpointManifest& manifest,
                        const std::vector<std::vector<std::vector<float>*>>& arrays) {
  std::vector<absl::Status> read(arrays.size());
  std::vector<std::thread> threads;
  for (size_t i = 0; i < arrays.size(); ++i) {
    threads.emplace_back([&, i] {
      const CheckpointManifest::File& file = manifest.files(static_cast<int>(i));
      read[i] = ReadArrayFile((folder / file.name()).string(),
                              absl::HexStringToBytes(file.sha256()), arrays[i]);
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const absl::Status& status : read) RETURN_IF_ERROR(status);
  return absl::OkStatus();
}

std::string WithDigest(const std::string& body) {
  return absl::StrCat(absl::BytesToHexString(Sha256(body)), "\n", body);
}

absl::StatusOr<CheckpointManifest> ReadManifest(const fs::path& folder) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile((folder / kManifest).string(), kMaxJsonBytes));
  const size_t line = text.find('\n');
  // The digest is that of the bytes on disk: JSON that is parsed and written again need not have
  // the same bytes.
  if (line == std::string::npos || WithDigest(text.substr(line + 1)) != text) {
    return Damaged(folder, "the digest of its manifest is another");
  }
  CheckpointManifest manifest;
  if (const absl::Status status = MessageFromJson(text.substr(line + 1), &manifest); !status.ok()) {
    return Damaged(folder, status.message());
  }
  if (manifest.format() != kFormat) {
    return absl::UnimplementedError(absl::StrCat("checkpoint ", folder.string(), " has format ",
                                                 manifest.format(), ", not ", kFormat));
  }
  const Cursor& cursor = manifest.cursor();
  if (static_cast<uint64_t>(cursor.folders_size()) != cursor.version() ||
      cursor.stage_version() > cursor.version() || cursor.adapted_version() > cursor.version()) {
    return Damaged(folder, "its versions do not fit its weight folders");
  }
  // PromptReplay::Record finds a problem by binary search, which an unsorted list would make add it
  // twice.
  const auto& seen = cursor.replay().seen();
  for (int i = 1; i < seen.size(); ++i) {
    if (seen[i].problem() <= seen[i - 1].problem()) {
      return Damaged(folder, "the problems of its replay are not in ascending order");
    }
  }
  if (manifest.files_size() != 1 && manifest.files_size() != 3) {
    return Damaged(folder, "it has neither one file nor three");
  }
  return manifest;
}

// Gives the folder `made` the name `place`. A folder of that name, of an earlier attempt at the
// same step, gets the name `made`: at no time is there neither, which a run that keeps one
// checkpoint could not resume from.
absl::Status PutInPlace(const fs::path& made, const fs::path& place) {
  std::error_code error;
  if (fs::exists(place, error)) {
    if (::renameat2(AT_FDCWD, made.c_str(), AT_FDCWD, place.c_str(), RENAME_EXCHANGE) == 0) {
      return absl::OkStatus();
    }
    fs::remove_all(place, error);  // a file system that cannot exchange names
  }
  fs::rename(made, place, error);
  if (!error) return absl::OkStatus();
  return absl::UnavailableError(
      absl::StrCat("cannot rename ", made.string(), ": ", error.message()));
}

// Deletes what crashes during a save left.
void DeleteTemporaryFolders(const std::string& run_dir) {
  std::error_code error;
  std::vector<fs::path> left;
  for (const fs::directory_entry& entry : fs::directory_iterator(Folder(run_dir), error)) {
    if (entry.path().extension() == ".tmp") left.push_back(entry.path());
  }
  for (const fs::path& path : left) fs::remove_all(path, error);
}

// Deletes all but the newest `keep_last` up to `newest`, and all later ones.
void DeleteOldCheckpoints(const std::string& run_dir, int64_t newest, int keep_last) {
  const std::vector<int64_t> steps = ListCheckpoints(run_dir);
  for (int64_t step : steps) {
    const auto newer = std::count_if(steps.begin(), steps.end(),
                                     [&](int64_t s) { return s > step && s <= newest; });
    std::error_code error;
    if (step > newest || newer >= std::max(1, keep_last)) {
      fs::remove_all(StepFolder(run_dir, step), error);
    }
  }
}

}  // namespace

absl::Status SaveCheckpoint(
    const std::string& run_dir, const Cursor& cursor,
    absl::Span<const std::pair<std::string, absl::Span<const float>>> parameters,
    const AdamMoments* moments, int keep_last) {
  const fs::path folder = StepFolder(run_dir, cursor.step());
  // A crash during the save leaves this folder. Its name is no step_N, so no resume takes it for a
  // checkpoint.
  const std::string temporary = folder.string() + ".tmp";
  std::error_code error;
  fs::remove_all(temporary, error);
  RETURN_IF_ERROR(MakeFolders(temporary));
  // After PutInPlace this is nothing, or the checkpoint that was replaced.
  absl::Cleanup remove_temporary = [&] { fs::remove_all(temporary, error); };

  CheckpointManifest manifest;
  manifest.set_format(kFormat);
  *manifest.mutable_cursor() = cursor;
  std::vector<ArrayFile> files = {{"parameters.bin", {}}};
  for (const auto& [name, values] : parameters) {
    files[0].arrays.push_back(values);
    CheckpointManifest::Parameter* parameter = manifest.add_parameters();
    parameter->set_name(name);
    parameter->set_elements(static_cast<int64_t>(values.size()));
  }
  if (moments != nullptr) {
    manifest.set_adam_steps(moments->steps);
    files.push_back({"adam_first.bin", {moments->first}});
    files.push_back({"adam_second.bin", {moments->second}});
  }
  RETURN_IF_ERROR(WriteArrays(temporary, files, &manifest));
  // Last, because it holds the digests of the other files.
  RETURN_IF_ERROR(WriteFileAtomically(absl::StrCat(temporary, "/", kManifest),
                                      WithDigest(MessageToJson(manifest))));

  // The names of the files must be durable before the folder's own name is.
  RETURN_IF_ERROR(SyncFolder(temporary));
  RETURN_IF_ERROR(PutInPlace(temporary, folder));
  RETURN_IF_ERROR(SyncFolder(Folder(run_dir).string()));
  DeleteTemporaryFolders(run_dir);
  // Only when the new one is durable: until then the old ones are what the run would resume from.
  DeleteOldCheckpoints(run_dir, cursor.step(), keep_last);
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
  const fs::path folder = StepFolder(run_dir, step);
  ASSIGN_OR_RETURN(CheckpointManifest manifest, ReadManifest(folder));
  Checkpoint checkpoint;
  checkpoint.path = folder.string();
  int64_t total = 0;
  for (const CheckpointManifest::Parameter& parameter : manifest.parameters()) {
    // The digest vouches for the manifest, so its sizes can be allocated before the files are
    // opened.
    if (parameter.elements() < 0) return Damaged(folder, "a parameter has a negative size");
    checkpoint.parameters.emplace_back(parameter.name(), std::vector<float>(parameter.elements()));
    total += parameter.elements();
  }
  // In the order of SaveCheckpoint's files: parameters, first moments, second moments. One file
  // holds all parameters, so its arrays are read one after another.
  std::vector<std::vector<std::vector<float>*>> arrays(1);
  for (auto& [name, values] : checkpoint.parameters) arrays[0].push_back(&values);
  if (manifest.files_size() > 1) {
    checkpoint.moments.emplace();
    checkpoint.moments->steps = manifest.adam_steps();
    checkpoint.moments->first.resize(total);
    checkpoint.moments->second.resize(total);
    arrays.push_back({&checkpoint.moments->first});
    arrays.push_back({&checkpoint.moments->second});
  }
  RETURN_IF_ERROR(ReadArrays(folder, manifest, arrays));
  checkpoint.cursor = std::move(*manifest.mutable_cursor());
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
