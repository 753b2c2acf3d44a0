#ifndef RECKON_CLI_LAUNCHER_PLAN_PROGRESS_H_
#define RECKON_CLI_LAUNCHER_PLAN_PROGRESS_H_

#include <functional>

#include "cli/launcher/progress_display.h"
#include "common/net/plan_watch.h"
#include "common/telemetry/progress.h"

namespace reckon {

// The `show` of a PlanWatch that draws the plan's progress. `progress` has phase, unit and total.
// Only the watch's thread may use the display as long as the watch lives.
std::function<void(const PlanView&)> ShowOn(ProgressDisplay* display, Progress progress);

}  // namespace reckon

#endif  // RECKON_CLI_LAUNCHER_PLAN_PROGRESS_H_
