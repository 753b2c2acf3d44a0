#include "cli/launcher/plan_progress.h"

#include <utility>

#include "absl/time/clock.h"

namespace reckon {

std::function<void(const PlanView&)> ShowOn(ProgressDisplay* display, Progress progress) {
  return
      [display, progress = std::move(progress), began = absl::Now()](const PlanView& view) mutable {
        progress.set_elapsed_s(absl::ToDoubleSeconds(absl::Now() - began));
        progress.set_done(view.samples);
        progress.set_tokens_per_s(view.tokens_per_s);
        progress.set_waiting_for(view.waiting_for);
        display->Show(progress, absl::Now());
      };
}

}  // namespace reckon
