#include "common/config/resume_rules.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/base/printable.h"
#include "common/base/status_macros.h"
#include "common/config/fields.h"
#include "common/config/resolve.h"
#include "common/config/stage_info.h"

namespace reckon {
namespace {

// Training settings count where they are used: each stage has its own once they are resolved.
constexpr absl::string_view kFree[] = {"resources",
                                       "slurm",
                                       "kubernetes",
                                       "actor",
                                       "learner",
                                       "coordinator",
                                       "eval",
                                       "keep_last",
                                       "keep_evaluated",
                                       "best_metric",
                                       "output_dir",
                                       "training",
                                       "model.device",
                                       "model.row_invariant",
                                       "base"};

bool IsFree(absl::string_view path) {
  return std::any_of(std::begin(kFree), std::end(kFree), [path](absl::string_view free) {
    absl::string_view rest = path;
    return absl::ConsumePrefix(&rest, free) && (rest.empty() || rest[0] == '.');
  });
}

RunConfig Whole(RunConfig config) {
  ResolveConfig(&config);
  FillDefaults(&config);
  return config;
}

// How far a run is, in stages.
struct Position {
  int in_progress = 0;  // its length may change
  int begun = 0;        // the last stage that may have begun; later ones are free
  uint32_t rounds = 1;  // of the stage in progress: done, or begun
};

Position PositionOf(const RunConfig& config, const Cursor& cursor) {
  const int last = std::max(0, config.stage_size() - 1);
  Position out;
  out.in_progress = std::min(static_cast<int>(cursor.stage()), last);
  out.rounds = static_cast<uint32_t>(cursor.round()) + 1;
  out.begun = out.in_progress;
  // Between a checkpoint of a stage's end and the next one, further stages may have begun. Stages
  // that do not train make no checkpoint.
  auto over = [&](int stage) {
    const Stage& s = config.stage(stage);
    if (!StageInfo(s).trains()) return true;
    return stage == cursor.stage() && cursor.phase() == Cursor::TRAINED &&
           out.rounds >= StageInfo(s).Rounds();
  };
  while (out.begun < last && over(out.begun)) {
    ++out.begun;
    out.in_progress = out.begun;
    out.rounds = 1;
  }
  return out;
}

absl::Status Refused(const FieldDifference& difference, absl::string_view why) {
  return absl::FailedPreconditionError(Printable(
      absl::StrCat(difference.path, ": was ", difference.before, " when the run began and is ",
                   difference.after, " now", why,
                   "; resume with the value of then, or start a run with another name (--set ",
                   "name=...)"),
      900));
}

absl::Status CheckStageChange(const Position& position, const RunConfig& after, int stage,
                              const FieldDifference& difference) {
  const absl::string_view path = difference.path;
  const bool length = absl::EndsWith(path, ".steps") || absl::EndsWith(path, ".rounds");
  const bool own = std::count(path.begin(), path.end(), '.') == 2;  // stage[1].ppo.steps
  if (stage != position.in_progress || stage >= after.stage_size() || !own) {
    return Refused(difference, "");
  }
  if (absl::EndsWith(path, ".eval_every")) return absl::OkStatus();
  if (!length) return Refused(difference, "");
  if (StageInfo(after.stage(stage)).Rounds() >= position.rounds) return absl::OkStatus();
  return Refused(difference, absl::StrCat(", of which ", position.rounds, " have begun"));
}

}  // namespace

absl::Status CheckResume(const RunConfig& before, const RunConfig& after, const Cursor& cursor) {
  const RunConfig then = Whole(before), now = Whole(after);
  const Position position = PositionOf(then, cursor);
  for (const FieldDifference& difference : FindDifferences(then, now)) {
    absl::string_view rest = difference.path;
    if (IsFree(rest)) continue;
    if (!absl::ConsumePrefix(&rest, "stage[")) return Refused(difference, "");
    int stage = 0;
    for (; !rest.empty() && rest[0] != ']'; rest.remove_prefix(1)) {
      stage = 10 * stage + (rest[0] - '0');
    }
    if (stage > position.begun) continue;
    RETURN_IF_ERROR(CheckStageChange(position, now, stage, difference));
  }
  return absl::OkStatus();
}

bool HasMoreToDo(const RunConfig& before, const RunConfig& after) {
  const int last = before.stage_size() - 1;
  if (last < 0 || after.stage_size() > before.stage_size()) return true;
  return after.stage_size() == before.stage_size() &&
         StageInfo(after.stage(last)).Rounds() > StageInfo(before.stage(last)).Rounds();
}

}  // namespace reckon
