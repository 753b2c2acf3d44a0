#include "cli/sweep/sweep_plan.h"

#include <map>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "cli/launcher/run_dir.h"
#include "common/config/config.h"

namespace reckon {
namespace {

constexpr size_t kMaxRuns = 10000;
constexpr size_t kErrorsShown = 20;
constexpr absl::string_view kStartWord = "{start}";

// An assignment and the entry of the sweep file that has it.
struct Assignment {
  std::string key, value, entry;
};

Assignment SplitAssignment(const std::string& text, const std::string& entry) {
  const size_t equals = text.find('=');
  return {std::string(absl::StripAsciiWhitespace(text.substr(0, equals))),
          std::string(absl::StripAsciiWhitespace(text.substr(equals + 1))), entry};
}

// What the axes make of one arm.
struct PlannedArm {
  std::vector<std::pair<std::string, std::string>> values;
  std::string label, folder;  // "ei K=4", "ei_K-4"
  std::string config;
  std::vector<Assignment> set;
  std::string start, start_folder;  // start_folder: of the points that shape the start
  std::vector<Assignment> start_set;
};

// The part of a folder's name that says `text`.
std::string ForFolder(const std::string& text) {
  std::string out = text;
  for (char& c : out) {
    if (!absl::ascii_isalnum(c) && !absl::StrContains("_-.", c)) c = '-';
  }
  return out;
}

void AppendWord(const std::string& word, absl::string_view separator, std::string* to) {
  absl::StrAppend(to, to->empty() ? "" : separator, word);
}

template <typename List>
void AddAll(const List& list, const std::string& path, std::vector<Assignment>* to) {
  for (int i = 0; i < list.size(); ++i) {
    to->push_back(SplitAssignment(list[i], absl::StrCat(path, "[", i, "]")));
  }
}

class Planner {
 public:
  explicit Planner(const SweepFile& file) : file_(file), sweep_(file.sweep) {}

  absl::StatusOr<SweepPlan> Make() {
    const std::vector<PlannedArm> arms = Arms();
    if (arms.size() * sweep_.seed_size() > kMaxRuns) {
      return absl::InvalidArgumentError(
          absl::StrCat(file_.path, ": more than ", kMaxRuns, " runs; take values or seeds away"));
    }
    std::set<std::string> folders;
    for (const PlannedArm& arm : arms) {
      plan_.arms.push_back(arm.label);
      CheckArm(arm);
      if (!folders.insert(arm.folder).second) {
        Fail(file_.path + ": ", arm,
             "its folder would have the name of another arm's; use points with labels");
      }
    }
    if (errors_.empty()) {
      for (const uint64_t seed : sweep_.seed()) {
        for (const PlannedArm& arm : arms) AddRuns(arm, seed);
      }
    }
    std::set<std::string> names;
    for (const SweepRun& run : plan_.runs) {
      if (names.insert(run.name).second) continue;
      errors_.push_back(absl::StrCat(file_.path, ": run ", run.name,
                                     ": two runs have this name; give a point another label"));
    }
    if (errors_.empty()) return std::move(plan_);
    if (errors_.size() > kErrorsShown) {
      const size_t more = errors_.size() - kErrorsShown;
      errors_.resize(kErrorsShown);
      errors_.push_back(absl::StrCat("and ", more, " more"));
    }
    return absl::InvalidArgumentError(absl::StrJoin(errors_, "\n"));
  }

 private:
  std::vector<PlannedArm> Arms() const {
    PlannedArm first;
    first.config = sweep_.config();
    first.start = sweep_.start();
    AddAll(sweep_.set(), "set", &first.set);
    AddAll(sweep_.start_set(), "start_set", &first.start_set);
    std::vector<PlannedArm> arms = {first};
    for (int a = 0; a < sweep_.grid_size(); ++a) {
      std::vector<PlannedArm> longer;
      for (const PlannedArm& arm : arms) {
        const Axis& axis = sweep_.grid(a);
        const std::string path = absl::StrCat("grid[", a, "]");
        for (int i = 0; i < axis.value_size(); ++i) {
          longer.push_back(WithValue(arm, axis, i, path));
        }
        for (int i = 0; i < axis.point_size(); ++i) {
          longer.push_back(WithPoint(arm, axis, i, path));
        }
        if (longer.size() > kMaxRuns) return longer;
      }
      arms = std::move(longer);
    }
    for (PlannedArm& arm : arms) {
      if (arm.label.empty()) arm.label = arm.folder = "run";
    }
    return arms;
  }

  static PlannedArm WithValue(PlannedArm arm, const Axis& axis, int i, const std::string& path) {
    const std::string& value = axis.value(i);
    arm.values.emplace_back(axis.name(), value);
    AppendWord(absl::StrCat(axis.name(), "=", value), " ", &arm.label);
    AppendWord(ForFolder(absl::StrCat(axis.name(), "-", value)), "_", &arm.folder);
    arm.set.push_back(SplitAssignment(absl::StrCat(axis.field(), "=", value),
                                      absl::StrCat(path, ".value[", i, "]")));
    return arm;
  }

  static PlannedArm WithPoint(PlannedArm arm, const Axis& axis, int i, const std::string& path) {
    const Point& point = axis.point(i);
    const std::string entry = absl::StrCat(path, ".point[", i, "]");
    arm.values.emplace_back(axis.name(), point.label());
    AppendWord(point.label(), " ", &arm.label);
    AppendWord(ForFolder(point.label()), "_", &arm.folder);
    if (point.has_config()) arm.config = point.config();
    AddAll(point.set(), entry + ".set", &arm.set);
    if (point.has_start()) arm.start = point.start();
    AddAll(point.start_set(), entry + ".start_set", &arm.start_set);
    if (point.has_start() || point.start_set_size() > 0) {
      AppendWord(ForFolder(point.label()), "_", &arm.start_folder);
    }
    return arm;
  }

  // What can be wrong whatever the configs are.
  void CheckArm(const PlannedArm& arm) {
    if (arm.config.empty()) {
      Fail(file_.path + ": ", arm, "has no config; set `config`, or that of its point");
    }
    CheckOnce(arm, arm.set);
    CheckOnce(arm, arm.start_set);
    bool used = false;
    for (const Assignment& one : arm.set) {
      if (!absl::StrContains(one.value, kStartWord)) continue;
      used = true;
      if (arm.start.empty()) {
        Fail(file_.At(one.entry), arm, one.key, ": {start} needs `start`, the config of that run");
      }
    }
    if (!arm.start.empty() && !used) {
      Fail(file_.At("start"), arm, "has a start, but no value of its `set` names {start}");
    }
    if (arm.start.empty() && !arm.start_set.empty()) {
      Fail(file_.At(arm.start_set[0].entry), arm, "start_set without `start`");
    }
  }

  void CheckOnce(const PlannedArm& arm, const std::vector<Assignment>& set) {
    std::map<std::string, std::string> seen;  // entry by key
    for (const Assignment& one : set) {
      const auto [earlier, is_new] = seen.try_emplace(one.key, one.entry);
      if (is_new) continue;
      Fail(file_.At(one.entry), arm, one.key, ": is set twice; the other is ", earlier->second);
    }
  }

  void AddRuns(const PlannedArm& arm, uint64_t seed) {
    SweepRun run;
    run.arm = arm.label;
    run.values = arm.values;
    std::string start_folder;
    if (!arm.start.empty()) {
      run.start = AddStart(arm, seed);
      if (run.start < 0) return;  // its error is enough
      start_folder = plan_.runs[run.start].folder();
    }
    Fill(arm, arm.folder, seed, arm.config, arm.set, start_folder, &run);
  }

  // The index of the run that the arm begins from; -1: it is wrong.
  int AddStart(const PlannedArm& arm, uint64_t seed) {
    const std::string folder =
        arm.start_folder.empty() ? "start" : absl::StrCat("start_", arm.start_folder);
    std::string what = absl::StrCat(seed, "\n", arm.start);
    for (const Assignment& one : arm.start_set)
      absl::StrAppend(&what, "\n", one.key, "=", one.value);
    const auto [known, is_new] = starts_.try_emplace(what, -1);
    if (!is_new) return known->second;
    SweepRun run;
    run.arm = arm.start_folder.empty() ? "start" : absl::StrCat("start ", arm.start_folder);
    run.is_start = true;
    if (Fill(arm, folder, seed, arm.start, arm.start_set, "", &run)) {
      known->second = static_cast<int>(plan_.runs.size()) - 1;
    }
    return known->second;
  }

  // Adds the run to the plan if its config is right.
  bool Fill(const PlannedArm& arm, const std::string& folder, uint64_t seed,
            const std::string& config, const std::vector<Assignment>& set,
            const std::string& start_folder, SweepRun* run) {
    run->name = absl::StrCat(folder, "_s", seed);
    run->seed = seed;
    run->config_path = config;
    for (const Assignment& one : set) {
      run->set.push_back(
          absl::StrCat(one.key, "=", absl::StrReplaceAll(one.value, {{kStartWord, start_folder}})));
    }
    run->set.push_back(absl::StrCat("seed=", seed));
    run->set.push_back(absl::StrCat("output_dir=", file_.folder(), "/runs"));
    run->set.push_back(absl::StrCat("name=", run->name));
    absl::StatusOr<RunConfig> loaded = LoadConfig(config, run->set);
    if (!loaded.ok()) {
      FailConfig(arm, set, loaded.status());
      return false;
    }
    run->config = *std::move(loaded);
    MakePathsAbsolute(&run->config);
    plan_.runs.push_back(std::move(*run));
    return true;
  }

  // An error of an assignment is one of its line.
  void FailConfig(const PlannedArm& arm, const std::vector<Assignment>& set,
                  const absl::Status& status) {
    absl::string_view message = status.message();
    std::string at = file_.path + ": ";
    if (absl::ConsumePrefix(&message, "--set ")) {
      for (const Assignment& one : set) {
        if (absl::StartsWith(message, one.key + ": ")) at = file_.At(one.entry);
      }
    }
    Fail(at, arm, message);
  }

  template <typename... T>
  void Fail(const std::string& at, const PlannedArm& arm, const T&... what) {
    std::string line = absl::StrCat(at, "arm ", arm.label, ": ", what...);
    // Another seed of an arm has the same error.
    if (seen_errors_.insert(line).second) errors_.push_back(std::move(line));
  }

  const SweepFile& file_;
  const Sweep& sweep_;
  SweepPlan plan_;
  std::map<std::string, int> starts_;  // index of the run, by what makes it
  std::vector<std::string> errors_;
  std::set<std::string> seen_errors_;
};

}  // namespace

absl::StatusOr<SweepPlan> PlanSweep(const SweepFile& file) { return Planner(file).Make(); }

}  // namespace reckon
