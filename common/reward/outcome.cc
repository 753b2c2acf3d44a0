#include "common/reward/outcome.h"

namespace reckon {

absl::string_view RewardFailureName(RewardFailure failure) {
  switch (failure) {
    case RewardFailure::kNotStarted:
      return "not_started";
    case RewardFailure::kTimeout:
      return "timeout";
    case RewardFailure::kCrash:
      return "crash";
    case RewardFailure::kBadReply:
      return "bad_reply";
    case RewardFailure::kNoNumber:
      return "no_number";
    case RewardFailure::kRefused:
      return "refused";
  }
  return "";
}

}  // namespace reckon
