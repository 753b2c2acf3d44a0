#include <utility>

#include "common/task/answer.h"

namespace reckon {

RewardValue JudgeAnswer(const RewardSpec& spec, absl::string_view completion, bool truncated,
                        absl::string_view reference_answer) {
  RewardValue value;
  value.set_name(spec.name());
  const std::optional<std::string> reference = CanonicalNumber(reference_answer);
  std::optional<std::string> extracted = spec.kind() == RewardSpec::EXACT_MATCH_FLEXIBLE
                                             ? ExtractFlexible(completion)
                                             : ExtractStrict(completion);
  // The rules also take what is no number, such as the dots at the end of a sentence.
  const std::optional<std::string> number =
      extracted.has_value() ? CanonicalNumber(*extracted) : std::nullopt;
  if (extracted.has_value()) value.set_extracted(*std::move(extracted));

  if (!reference.has_value()) {
    value.set_verdict(REFERENCE_UNPARSABLE);
  } else if (!number.has_value()) {
    value.set_verdict(truncated ? TRUNCATED : UNPARSABLE);
  } else if (*number == *reference) {
    value.set_verdict(CORRECT);
    value.set_value(1);
  } else {
    value.set_verdict(WRONG);
  }
  return value;
}

}  // namespace reckon
