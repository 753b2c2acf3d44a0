// Answers: what is extracted is part of the text, a canonical number is its own canonical form, and
// the reference scored against itself is right.
#include "common/task/reward/exact_match.h"
#include "common/task/reward/number.h"
#include "common/task/reward/solution_steps.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace reckon;
  const absl::string_view text = TextOf(data, size);
  const size_t cut = std::min(text.find('\0'), text.size());  // reference, NUL, completion
  const absl::string_view reference = text.substr(0, cut), completion = text.substr(cut);

  for (const auto& answer : {ExtractStrict(completion), ExtractFlexible(completion)}) {
    CHECK(!answer.has_value() || completion.find(*answer) != absl::string_view::npos);
  }
  for (const auto& answer : {FindStrict(completion), FindFlexible(completion)}) {
    CHECK(!answer.has_value() || completion.find(answer->text) != absl::string_view::npos);
  }
  const auto number = CanonicalNumber(reference);
  if (number.has_value()) CHECK(CanonicalNumber(*number) == number) << *number;
  for (int kind = RewardSpec::Kind_MIN; kind <= RewardSpec::Kind_MAX; ++kind) {
    if (!RewardSpec::Kind_IsValid(kind)) continue;
    RewardSpec spec;
    spec.set_kind(static_cast<RewardSpec::Kind>(kind));
    const RewardValue value = ScoreAnswer(spec, completion, false, reference);
    CHECK(value.value() == 0 || value.value() == 1);
  }
  if (number.has_value()) {
    RewardSpec strict;
    strict.set_kind(RewardSpec::EXACT_MATCH_STRICT);
    CHECK(ScoreAnswer(strict, "#### " + *number, false, reference).value() == 1) << *number;
  }
  EquationKey(completion);
  return 0;
}
