#include "learner/checkpoint/checkpoint.h"

#include <fcntl.h>
#include <stdio.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <thread>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/config/run_folder.h"
#include "common/model/files/manifest.h"
#include "common/text/json.h"
#include "common/text/message_json.h"
#include "learner/checkpoint/array_file.h"
// Last.
#include "common/base/log.h"

namespace reckon {
namespace {

namespace fs = std::filesystem;
constexpr int kFormat = 4;
constexpr char kManifest[] = "manifest.json";
constexpr char kReplay[] = "replay.bin";
constexpr uint64_t kMaxReplayBytes = 1 << 30;  // about 20 for each problem
constexpr char kTemporary[] = ".tmp";
constexpr size_t kReaders = 8;

fs::path Folder(const std::string& run_dir) { return fs::path(run_dir) / "checkpoints"; }

fs::path StepFolder(const std::string& run_dir, int64_t step) {
  return Folder(run_dir) / absl::StrCat("step_", step);
}

absl::Status Damaged(const fs::path& folder, absl::string_view what) {
  return absl::DataLossError(absl::StrCat("checkpoint ", folder.string(), " is damaged: ", what));
}

const char* NameOf(CheckpointArray array) {
  switch (array) {
    case CheckpointArray::kParameters:
      return "parameters_";
    case CheckpointArray::kFirst:
      return "adam_first_";
    case CheckpointArray::kSecond:
      return "adam_second_";
  }
  return "";
}

std::string PartName(int rank) { return absl::StrCat("part_", rank, ".json"); }

int64_t ElementsOf(const CheckpointPart& part) {
  int64_t elements = 0;
  for (const CheckpointPart::Range& range : part.ranges()) elements += range.end() - range.begin();
  return elements;
}

std::string WithDigest(const std::string& body) {
  return absl::StrCat(absl::BytesToHexString(Sha256(body)), "\n", body);
}

// That each element of the parameters is in one part, and each part has the files that it must
// have: whoever reads trusts that.
absl::Status CheckParts(const fs::path& folder, const CheckpointManifest& manifest) {
  int64_t all = 0;
  for (const CheckpointManifest::Parameter& parameter : manifest.parameters()) {
    if (parameter.elements() < 0) return Damaged(folder, "a parameter has a negative size");
    all += parameter.elements();
  }
  std::vector<std::pair<int64_t, int64_t>> ranges;
  for (const CheckpointPart& part : manifest.parts()) {
    if (part.files_size() != (manifest.has_adam_steps() ? 3 : 1)) {
      return Damaged(folder, "a part has another number of files than it must have");
    }
    for (const CheckpointPart::Range& range : part.ranges()) {
      if (range.begin() != range.end()) ranges.emplace_back(range.begin(), range.end());
    }
    for (const CheckpointPart::File& file : part.files()) {
      if (file.bytes() != ElementsOf(part) * sizeof(float) || absl::StrContains(file.name(), '/')) {
        return Damaged(folder, "a file has not the size of its part");
      }
    }
  }
  std::sort(ranges.begin(), ranges.end());
  int64_t next = 0;
  for (const auto& [begin, end] : ranges) {
    if (begin != next) return Damaged(folder, "its parts do not fit together");
    next = end;
  }
  return next == all ? absl::OkStatus() : Damaged(folder, "its parts do not fit together");
}

// What is written has to be read again.
absl::Status CheckSize(const std::string& path, uint64_t bytes, uint64_t most) {
  if (bytes <= most) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      path, " would have ", bytes, " bytes, more than the ", most, " that a run can resume from"));
}

// Moves the cursor's replay to a file of its own: as JSON it would soon be too long.
absl::Status WriteReplay(const std::string& folder, CheckpointManifest* manifest) {
  if (!manifest->cursor().has_replay()) return absl::OkStatus();
  const ReplayState& replay = manifest->cursor().replay();
  const std::string path = absl::StrCat(folder, "/", kReplay);
  RETURN_IF_ERROR(CheckSize(path, replay.ByteSizeLong(), kMaxReplayBytes));
  const std::string bytes = replay.SerializeAsString();
  RETURN_IF_ERROR(WriteFileAtomically(path, bytes));
  manifest->mutable_replay()->set_name(kReplay);
  manifest->mutable_replay()->set_bytes(bytes.size());
  manifest->mutable_replay()->set_sha256(absl::BytesToHexString(Sha256(bytes)));
  manifest->mutable_cursor()->clear_replay();
  return absl::OkStatus();
}

absl::Status ReadReplay(const fs::path& folder, CheckpointManifest* manifest) {
  if (!manifest->has_replay()) return absl::OkStatus();
  const std::string path = (folder / kReplay).string();
  const absl::StatusOr<std::string> bytes = ReadFile(path, kMaxReplayBytes);
  if (absl::IsNotFound(bytes.status())) return Damaged(folder, bytes.status().message());
  RETURN_IF_ERROR(bytes.status());
  if (absl::BytesToHexString(Sha256(*bytes)) != manifest->replay().sha256()) {
    return Damaged(folder, "the digest of its replay is another");
  }
  ReplayState& replay = *manifest->mutable_cursor()->mutable_replay();
  return replay.ParseFromString(*bytes) ? absl::OkStatus()
                                        : Damaged(folder, "its replay does not parse");
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
  RETURN_IF_ERROR(ReadReplay(folder, &manifest));
  // PromptReplay::Record finds a problem by binary search, which an unsorted list would make add it
  // twice.
  const auto& seen = cursor.replay().seen();
  for (int i = 1; i < seen.size(); ++i) {
    if (seen[i].problem() <= seen[i - 1].problem()) {
      return Damaged(folder, "the problems of its replay are not in ascending order");
    }
  }
  RETURN_IF_ERROR(CheckParts(folder, manifest));
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
  return absl::ErrnoToStatus(error.value(), absl::StrCat("cannot rename ", made.string()));
}

// Deletes what crashes during a save left.
void DeleteTemporaryFolders(const std::string& run_dir) {
  std::error_code error;
  std::vector<fs::path> left;
  for (const fs::directory_entry& entry : fs::directory_iterator(Folder(run_dir), error)) {
    if (entry.path().extension() == kTemporary) left.push_back(entry.path());
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

int64_t Checkpoint::elements() const {
  int64_t elements = 0;
  for (const auto& parameter : manifest.parameters()) elements += parameter.elements();
  return elements;
}

absl::Status Checkpoint::Read(CheckpointArray array, int64_t begin, absl::Span<float> to) const {
  const int64_t end = begin + static_cast<int64_t>(to.size());
  for (const CheckpointPart& part : manifest.parts()) {
    int64_t at = 0;  // of the range in the file
    for (const CheckpointPart::Range& range : part.ranges()) {
      const int64_t from = std::max(begin, range.begin()), until = std::min(end, range.end());
      if (from < until) {
        const std::string& file = part.files(static_cast<int>(array)).name();
        RETURN_IF_ERROR(ReadArrayFile(absl::StrCat(path, "/", file), at + from - range.begin(),
                                      to.subspan(from - begin, until - from)));
      }
      at += range.end() - range.begin();
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> BeginCheckpoint(const std::string& run_dir, int64_t step,
                                            uint64_t term) {
  // A crash during the save leaves this folder. Its name is no step_N, so no resume takes it for a
  // checkpoint. With the term, because ranks of one that is over may still write theirs.
  const std::string folder =
      absl::StrCat(StepFolder(run_dir, step).string(), ".", term, kTemporary);
  std::error_code error;
  fs::remove_all(folder, error);
  RETURN_IF_ERROR(MakeFolders(folder));
  return folder;
}

absl::Status WritePart(const std::string& folder, int rank, const CheckpointPiece& piece) {
  CheckpointPart part;
  for (const CheckpointPart::Range& range : piece.ranges) *part.add_ranges() = range;
  const std::pair<CheckpointArray, const std::vector<float>*> arrays[] = {
      {CheckpointArray::kParameters, &piece.parameters},
      {CheckpointArray::kFirst, &piece.first},
      {CheckpointArray::kSecond, &piece.second}};
  for (const auto& [array, values] : arrays) {
    if (array != CheckpointArray::kParameters && !piece.moments) break;
    const std::string name = absl::StrCat(NameOf(array), rank, ".bin");
    ASSIGN_OR_RETURN(const ArrayFileInfo info,
                     WriteArrayFile(absl::StrCat(folder, "/", name), *values));
    CheckpointPart::File* file = part.add_files();
    file->set_name(name);
    file->set_bytes(info.bytes);
    file->set_sha256(absl::BytesToHexString(info.sha256));
  }
  RETURN_IF_ERROR(SyncFolder(folder));
  // Last, because who finds it takes the others for durable.
  return WriteFileAtomically(absl::StrCat(folder, "/", PartName(rank)), MessageToJson(part));
}

bool HasPart(const std::string& folder, int rank) {
  std::error_code error;
  return fs::exists(absl::StrCat(folder, "/", PartName(rank)), error);
}

absl::Status CommitCheckpoint(const std::string& run_dir, const std::string& folder,
                              CheckpointManifest manifest, int parts, int keep_last) {
  manifest.set_format(kFormat);
  manifest.clear_parts();
  for (int rank = 0; rank < parts; ++rank) {
    ASSIGN_OR_RETURN(const std::string text,
                     ReadFile(absl::StrCat(folder, "/", PartName(rank)), kMaxJsonBytes));
    RETURN_IF_ERROR(MessageFromJson(text, manifest.add_parts()));
  }
  RETURN_IF_ERROR(CheckParts(folder, manifest));
  RETURN_IF_ERROR(WriteReplay(folder, &manifest));
  // Last, because it holds the digests of the other files.
  const std::string path = absl::StrCat(folder, "/", kManifest);
  const std::string text = WithDigest(MessageToJson(manifest));
  RETURN_IF_ERROR(CheckSize(path, text.size(), kMaxJsonBytes));
  RETURN_IF_ERROR(WriteFileAtomically(path, text));
  // The names of the files must be durable before the folder's own name is.
  RETURN_IF_ERROR(SyncFolder(folder));
  const int64_t step = manifest.cursor().step();
  RETURN_IF_ERROR(PutInPlace(folder, StepFolder(run_dir, step)));
  RETURN_IF_ERROR(SyncFolder(Folder(run_dir).string()));
  DeleteTemporaryFolders(run_dir);
  // Only when the new one is durable: until then the old ones are what the run would resume from.
  DeleteOldCheckpoints(run_dir, step, keep_last);
  return absl::OkStatus();
}

absl::StatusOr<Checkpoint> OpenCheckpoint(const std::string& run_dir, int64_t step) {
  const fs::path folder = StepFolder(run_dir, step);
  Checkpoint checkpoint;
  checkpoint.path = folder.string();
  ASSIGN_OR_RETURN(checkpoint.manifest, ReadManifest(folder));
  // In parallel, because to hash a file takes longer than to read it.
  std::vector<absl::Status> checked;
  std::vector<std::thread> threads;
  std::vector<CheckpointPart::File> files;
  for (const CheckpointPart& part : checkpoint.manifest.parts()) {
    files.insert(files.end(), part.files().begin(), part.files().end());
  }
  checked.resize(files.size());
  std::atomic<size_t> next = 0;
  for (size_t t = 0; t < std::min<size_t>(files.size(), kReaders); ++t) {
    threads.emplace_back([&] {
      for (size_t i = next++; i < files.size(); i = next++) {
        checked[i] = CheckArrayFile((folder / files[i].name()).string(),
                                    {files[i].bytes(), absl::HexStringToBytes(files[i].sha256())});
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const absl::Status& status : checked) RETURN_IF_ERROR(status);
  return checkpoint;
}

absl::StatusOr<std::optional<Checkpoint>> OpenNewestCheckpoint(const std::string& run_dir) {
  std::vector<int64_t> steps = ListCheckpoints(run_dir);
  if (steps.empty()) return std::optional<Checkpoint>();
  absl::Status last;
  for (auto step = steps.rbegin(); step != steps.rend(); ++step) {
    absl::StatusOr<Checkpoint> checkpoint = OpenCheckpoint(run_dir, *step);
    if (checkpoint.ok()) return std::optional<Checkpoint>(*std::move(checkpoint));
    last = checkpoint.status();
    LOG(WARNING) << last.message() << "; trying an older one";
  }
  return last;
}

}  // namespace reckon
