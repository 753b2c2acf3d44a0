#ifndef RECKON_CLI_SWEEP_SWEEP_FILE_H_
#define RECKON_CLI_SWEEP_SWEEP_FILE_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "proto/sweep.pb.h"

namespace reckon {

// A sweep as its file states it, checked as far as that is possible without the configs of its
// runs. Paths of configs are relative to the working directory, output_dir is absolute.
struct SweepFile {
  std::string path;
  Sweep sweep;
  // "file:line" of entries of lists, by path: "grid[0].point[1].set[0]", "set[2]".
  std::map<std::string, std::string> lines;

  // "file:line: " of an entry, or "file: " when the file has none of that path.
  std::string At(const std::string& entry) const;
  std::string folder() const { return sweep.output_dir() + "/" + sweep.name(); }
};

// What the command line adds to Sweep.set and Sweep.start_set.
struct SweepOverrides {
  std::vector<std::string> set, start_set;
};

// INVALID_ARGUMENT, or NOT_FOUND for a missing file, is one line that begins with "file:line: ".
// `overrides` are further entries.
absl::StatusOr<SweepFile> LoadSweep(const std::string& path, const SweepOverrides& overrides = {});

// As LoadSweep, of a text.
absl::StatusOr<SweepFile> ParseSweep(const std::string& path, const std::string& text,
                                     const SweepOverrides& overrides = {});

}  // namespace reckon

#endif  // RECKON_CLI_SWEEP_SWEEP_FILE_H_
