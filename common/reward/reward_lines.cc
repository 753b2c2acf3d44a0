#include "common/reward/reward_lines.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/printable.h"
#include "common/text/json.h"

namespace reckon {
namespace {

using nlohmann::json;

constexpr size_t kShownBytes = 80;  // of a reply, in an error
constexpr size_t kMaxExtractedBytes = 4096;
constexpr int64_t kMaxSteps = 1 << 16;
constexpr double kSumTolerance = 1e-6;  // relative, between value and steps

FailedAttempt BadReply(std::string why) { return {RewardFailure::kBadReply, std::move(why)}; }

// ends[i]: the byte after the i-th character of UTF-8.
std::vector<uint32_t> CharacterEnds(absl::string_view text) {
  std::vector<uint32_t> ends;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool continues = (static_cast<unsigned char>(text[i]) & 0xC0) == 0x80;
    if (continues && !ends.empty()) {
      ends.back() = i + 1;
    } else {
      ends.push_back(i + 1);
    }
  }
  return ends;
}

// A field that is text, or absent.
bool ReadText(const json& object, absl::string_view name, std::string* text) {
  const json* field = FindField(object, name);
  if (field == nullptr) return true;
  if (!field->is_string()) return false;
  *text = field->get<std::string>();
  return true;
}

bool ReadSteps(const json& object, ScoreReply* reply) {
  const json* steps = FindField(object, "steps");
  if (steps == nullptr) return true;
  if (!steps->is_array()) return false;
  for (const json& from : *steps) {
    const json* end = FindField(from, "end");
    const json* value = FindField(from, "value");
    if (end == nullptr || value == nullptr || !end->is_number_unsigned() || !value->is_number() ||
        end->get<uint64_t>() > UINT32_MAX) {
      return false;
    }
    ScoreReply::Step* step = reply->add_steps();
    step->set_end(end->get<uint32_t>());
    step->set_value(value->get<double>());
  }
  return true;
}

}  // namespace

std::string RequestLine(const ScoreRequest& request) {
  json line = {{"id", request.id()},
               {"reward", request.reward()},
               {"prompt", request.prompt()},
               {"completion", request.completion()},
               {"reference", request.reference()},
               {"solution", request.solution()},
               {"tokens", request.tokens()},
               {"truncated", request.truncated()}};
  json columns = json::parse(request.columns(), nullptr, /*allow_exceptions=*/false);
  line["columns"] = columns.is_object() ? std::move(columns) : json::object();
  return line.dump(-1, ' ', false, json::error_handler_t::replace);
}

RewardOutcome ReadReplyLine(const ScoreRequest& request, absl::string_view line) {
  const absl::StatusOr<json> object = ParseJson(line);
  if (!object.ok() || !object->is_object()) {
    // As Python's json writes them, and JSON does not know them.
    if (absl::StartsWith(line, "{") &&
        (absl::StrContains(line, "NaN") || absl::StrContains(line, "Infinity"))) {
      return FailedAttempt{RewardFailure::kNoNumber,
                           absl::StrCat("replied ", Printable(line, kShownBytes))};
    }
    return BadReply(absl::StrCat("replied \"", Printable(line, kShownBytes),
                                 "\", which is no JSON object in one line; standard output is for "
                                 "replies alone, print other things to standard error"));
  }
  std::string id;
  if (!ReadText(*object, "id", &id) || id != request.id()) {
    return BadReply(absl::StrCat("replied to id \"", Printable(id, kShownBytes),
                                 "\" when asked for \"", request.id(), "\""));
  }
  if (const json* error = FindField(*object, "error"); error != nullptr) {
    if (!error->is_string()) return BadReply("\"error\" is no text");
    const std::string why = error->get<std::string>();
    return FailedAttempt{RewardFailure::kRefused,
                         why.empty() ? "refused without a reason" : Printable(why, 300)};
  }
  const json* value = FindField(*object, "value");
  if (value == nullptr || !value->is_number()) {
    return FailedAttempt{
        RewardFailure::kNoNumber,
        value == nullptr
            ? "the reply has no \"value\""
            : absl::StrCat("\"value\" is ",
                           Printable(value->dump(-1, ' ', true, json::error_handler_t::replace),
                                     kShownBytes))};
  }
  ScoreReply reply;
  reply.set_value(value->get<double>());
  if (!ReadText(*object, "verdict", reply.mutable_verdict()) ||
      !ReadText(*object, "extracted", reply.mutable_extracted())) {
    return BadReply("\"verdict\" or \"extracted\" is no text");
  }
  if (!ReadSteps(*object, &reply)) {
    return BadReply("\"steps\" is not a list of {\"end\": CHARACTERS, \"value\": NUMBER}");
  }
  return MakeRewardValue(request, reply);
}

RewardOutcome MakeRewardValue(const ScoreRequest& request, const ScoreReply& reply) {
  if (!std::isfinite(reply.value())) {
    return FailedAttempt{RewardFailure::kNoNumber, absl::StrCat("the value is ", reply.value())};
  }
  RewardValue value;
  value.set_value(reply.value());
  Verdict verdict = reply.value() == 1 ? CORRECT : WRONG;
  if (!reply.verdict().empty() &&
      (!Verdict_Parse(absl::AsciiStrToUpper(reply.verdict()), &verdict) ||
       verdict == VERDICT_UNSPECIFIED)) {
    return BadReply(absl::StrCat("verdict \"", Printable(reply.verdict(), kShownBytes),
                                 "\" is none of correct, wrong, unparsable, truncated and "
                                 "reference_unparsable"));
  }
  value.set_verdict(verdict);
  if (reply.extracted().size() > kMaxExtractedBytes) {
    return BadReply(absl::StrCat("\"extracted\" is above ", kMaxExtractedBytes, " bytes"));
  }
  value.set_extracted(reply.extracted());
  if (reply.steps().empty()) return value;
  if (reply.steps_size() > kMaxSteps)
    return BadReply(absl::StrCat("more than ", kMaxSteps, " steps"));
  const std::vector<uint32_t> ends = CharacterEnds(request.completion());
  double sum = 0;
  uint32_t before = 0;
  for (const ScoreReply::Step& from : reply.steps()) {
    if (from.end() <= before || from.end() > ends.size()) {
      return BadReply(absl::StrCat("a step ends after character ", from.end(),
                                   ", which is not after the step before it within the ",
                                   ends.size(), " of the completion"));
    }
    before = from.end();
    if (!std::isfinite(from.value())) {
      return FailedAttempt{RewardFailure::kNoNumber,
                           absl::StrCat("a step has the value ", from.value())};
    }
    sum += from.value();
    StepValue* step = value.add_steps();
    step->set_end(ends[from.end() - 1]);
    step->set_value(from.value());
  }
  if (std::abs(sum - reply.value()) > kSumTolerance * std::max(1.0, std::abs(reply.value()))) {
    return BadReply(absl::StrCat("the value is ", reply.value(), ", and its steps sum to ", sum));
  }
  return value;
}

}  // namespace reckon
