#include "cli/sweep/sweep_file.h"

#include <filesystem>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "cli/launcher/run_dir.h"
#include "common/base/files.h"
#include "common/base/printable.h"
#include "common/base/status_macros.h"
#include "common/config/config_file.h"
#include "common/config/fields.h"
#include "common/config/ranges.h"

namespace reckon {
namespace {

constexpr const char* kMetrics[] = {"maj@1", "maj@K", "pass@K", "rerank@K", "rerank_weighted@K"};

// The checks of one file; the first error is kept.
class SweepCheck {
 public:
  explicit SweepCheck(const SweepFile& file) : file_(file), sweep_(file.sweep) {}

  absl::Status Run() {
    if (absl::Status ranges = CheckRanges(sweep_); !ranges.ok()) {
      const std::string message(ranges.message());
      return Invalid(message.substr(0, message.find(' ')), message);
    }
    CheckNames();
    CheckSeeds();
    bool metric = false;
    for (const char* known : kMetrics) metric |= sweep_.metric() == known;
    if (!metric) {
      Fail("metric", "metric: '", Printable(sweep_.metric()),
           "' is not one of maj@1, maj@K, pass@K, rerank@K, rerank_weighted@K");
    }
    CheckAssignments("set", sweep_.set());
    CheckAssignments("start_set", sweep_.start_set());
    std::set<std::string> names;
    for (int i = 0; i < sweep_.grid_size(); ++i) {
      CheckAxis(absl::StrCat("grid[", i, "]"), sweep_.grid(i));
      if (!names.insert(AxisNameOf(sweep_.grid(i), i)).second) {
        Fail(absl::StrCat("grid[", i, "]"), "grid[", i, "]: two axes have the name '",
             AxisNameOf(sweep_.grid(i), i), "'; give one another name");
      }
    }
    return status_;
  }

  static std::string AxisNameOf(const Axis& axis, int index) {
    if (axis.has_name()) return axis.name();
    if (!axis.has_field()) return absl::StrCat("axis_", index);
    const std::string& field = axis.field();
    return field.substr(field.rfind('.') + 1);  // npos + 1 is 0
  }

 private:
  template <typename... T>
  absl::Status Invalid(const std::string& entry, const T&... what) const {
    return absl::InvalidArgumentError(absl::StrCat(file_.At(entry), what...));
  }
  template <typename... T>
  void Fail(const std::string& entry, const T&... what) {
    if (status_.ok()) status_ = Invalid(entry, what...);
  }

  void CheckNames() {
    (void)VisitTexts(sweep_, "", [&](const TextField& field) {
      if (field.required && field.value.empty()) {
        Fail(field.path, field.path, ": is required");
      } else if (field.kind == Text::NAME && !field.value.empty()) {
        bool good = field.value.size() <= 60 && field.value[0] != '.' && field.value[0] != '-';
        for (char c : field.value) good &= absl::ascii_isalnum(c) || absl::StrContains("_-.", c);
        if (!good) {
          Fail(field.path, field.path, ": '", Printable(field.value),
               "' must be 1 to 60 letters, digits, '_', '-' and '.', and must not start with '-' "
               "or '.'");
        }
      }
      return absl::OkStatus();
    });
  }

  void CheckSeeds() {
    if (sweep_.seed_size() > 0 && sweep_.has_seed_count()) {
      Fail("seed_count", "seed_count: the seeds are listed by `seed`; delete one of the two");
    }
    std::set<uint64_t> seeds;
    for (int i = 0; i < sweep_.seed_size(); ++i) {
      if (!seeds.insert(sweep_.seed(i)).second) {
        Fail(absl::StrCat("seed[", i, "]"), "seed: ", sweep_.seed(i), " is given twice");
      }
    }
  }

  template <typename List>
  void CheckAssignments(const std::string& path, const List& assignments) {
    for (int i = 0; i < static_cast<int>(assignments.size()); ++i) {
      const std::string entry = absl::StrCat(path, "[", i, "]");
      const size_t equals = assignments[i].find('=');
      if (equals == std::string::npos) {
        Fail(entry, entry, ": expected \"KEY=VALUE\", as in \"eval.samples=8\"");
        continue;
      }
      const absl::string_view key =
          absl::StripAsciiWhitespace(absl::string_view(assignments[i]).substr(0, equals));
      for (absl::string_view mine : {"seed", "name", "output_dir"}) {
        if (key == mine) Fail(entry, entry, ": '", mine, "' of a run is set by the sweep");
      }
    }
  }

  void CheckAxis(const std::string& path, const Axis& axis) {
    if (axis.has_field() == (axis.point_size() > 0)) {
      Fail(path, path, ": an axis is a `field` with values, or points");
    }
    if (axis.has_field() && axis.value_size() == 0) Fail(path, path, ": `field` needs a value");
    if (!axis.has_field() && axis.value_size() > 0) Fail(path, path, ": values need a `field`");
    std::vector<std::string> made;
    for (const std::string& value : axis.value()) made.push_back(axis.field() + "=" + value);
    CheckAssignments(path + ".value", made);
    std::set<std::string> seen(axis.value().begin(), axis.value().end());
    if (seen.size() < static_cast<size_t>(axis.value_size())) {
      Fail(path, path, ": a value is given twice");
    }
    std::set<std::string> labels;
    for (int i = 0; i < axis.point_size(); ++i) {
      const Point& point = axis.point(i);
      const std::string entry = absl::StrCat(path, ".point[", i, "]");
      if (point.label().empty()) Fail(entry, entry, ": `label` is required");
      if (!labels.insert(point.label()).second) {
        Fail(entry, entry, ": two points have the label '", Printable(point.label()), "'");
      }
      CheckAssignments(entry + ".set", point.set());
      CheckAssignments(entry + ".start_set", point.start_set());
    }
  }

  const SweepFile& file_;
  const Sweep& sweep_;
  absl::Status status_;
};

}  // namespace

std::string SweepFile::At(const std::string& entry) const {
  const auto line = lines.find(entry);
  return (line == lines.end() ? path : line->second) + ": ";
}

absl::StatusOr<SweepFile> ParseSweep(const std::string& path, const std::string& text,
                                     const SweepOverrides& overrides) {
  SweepFile file;
  file.path = path;
  ConfigLines lines;
  RETURN_IF_ERROR(ParseConfigText(path, text, &file.sweep, &lines));
  for (const auto& [field, line] : lines) file.lines[field] = absl::StrCat(path, ":", line);
  for (const std::string& assignment : overrides.set) {
    file.lines[absl::StrCat("set[", file.sweep.set_size(), "]")] = "--set";
    file.sweep.add_set(assignment);
  }
  for (const std::string& assignment : overrides.start_set) {
    file.lines[absl::StrCat("start_set[", file.sweep.start_set_size(), "]")] = "--start-set";
    file.sweep.add_start_set(assignment);
  }
  RETURN_IF_ERROR(SweepCheck(file).Run());
  Sweep& sweep = file.sweep;
  sweep.set_output_dir(AbsolutePath(sweep.output_dir()));
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  auto beside = [&](const std::string& config) {
    return (folder / config).lexically_normal().string();
  };
  if (sweep.has_config()) sweep.set_config(beside(sweep.config()));
  if (sweep.has_start()) sweep.set_start(beside(sweep.start()));
  for (int i = 0; i < sweep.grid_size(); ++i) {
    Axis& axis = *sweep.mutable_grid(i);
    axis.set_name(SweepCheck::AxisNameOf(axis, i));
    for (Point& point : *axis.mutable_point()) {
      if (point.has_config()) point.set_config(beside(point.config()));
      if (point.has_start()) point.set_start(beside(point.start()));
    }
  }
  if (sweep.seed_size() == 0) {
    for (uint32_t seed = 1; seed <= sweep.seed_count(); ++seed) sweep.add_seed(seed);
  }
  return file;
}

absl::StatusOr<SweepFile> LoadSweep(const std::string& path, const SweepOverrides& overrides) {
  const absl::StatusOr<std::string> text = ReadFile(path, kMaxConfigBytes);
  if (!text.ok()) {
    return absl::Status(text.status().code(), absl::StrCat("sweep: ", text.status().message()));
  }
  return ParseSweep(path, *text, overrides);
}

}  // namespace reckon
