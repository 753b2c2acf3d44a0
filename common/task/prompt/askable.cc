#include "common/task/prompt/askable.h"

#include "absl/strings/str_cat.h"
#include "common/task/prompt/overlong.h"

namespace reckon {

absl::Status KeepAskable(const PromptFormatter& formatter, DataSettings::Bad::Records rule,
                         absl::string_view setting, std::vector<Problem>* problems,
                         BadRecords* left_out) {
  std::vector<size_t> indices;
  const BadRecords bad = formatter.FindBad(*problems, &indices);
  if (rule == DataSettings::Bad::REFUSE || indices.size() == problems->size()) {
    return bad.Refuse(absl::StrCat(setting, ": ", bad.count(), " of ", problems->size(),
                                   " problems cannot be asked"),
                      "correct the data, or set data.bad_records: LEAVE_OUT");
  }
  left_out->Append(bad);
  RemoveProblems(indices, problems);
  return absl::OkStatus();
}

}  // namespace reckon
