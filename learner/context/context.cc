#include "learner/context/context.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace reckon {

std::string RoundTitle(const RunState& run) {
  if (run.round_word.empty()) return run.stage().name();
  return absl::StrCat(run.stage().name(), " ", run.round_word, " ", run.cursor.round() + 1);
}

std::string RoundName(const RunState& run) {
  return absl::StrReplaceAll(RoundTitle(run), {{" ", "_"}});
}

NamedTensors AllParameters(const RunState& run) {
  NamedTensors all = run.model->Parameters();
  all.insert(all.end(), run.extra.begin(), run.extra.end());
  return all;
}

}  // namespace reckon
