#include "common/task/dataset/dataset.h"

#include <algorithm>
#include <filesystem>
#include <limits>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/log.h"
#include "common/base/printable.h"
#include "common/base/rng.h"
#include "common/base/status_macros.h"
#include "common/task/answer/boxed.h"
#include "common/task/answer/math_answer.h"
#include "common/task/builtin/builtin.h"
#include "common/task/dataset/record_reader.h"
#include "common/task/dataset/word_problem.h"
#include "common/task/reward/number.h"
#include "common/text/json.h"

namespace reckon {
namespace {

constexpr absl::string_view kBuiltin = "builtin";
constexpr absl::string_view kTrainSetting = "data.train";
constexpr absl::string_view kAnswerMark = "####";
constexpr size_t kShownAnswers = 8;  // in a warning
constexpr size_t kMaxColumnBytes = 256 << 10;

absl::Status Bad(absl::string_view what) { return absl::InvalidArgumentError(what); }

// Returns the field, or an error that lists the keys of the record and names the setting.
absl::StatusOr<const nlohmann::json*> Field(const nlohmann::json& line, const std::string& key,
                                            absl::string_view setting) {
  if (const nlohmann::json* field = FindField(line, key)) return field;
  if (line.contains(key)) {  // FindField takes null for nothing
    return Bad(absl::StrCat("the field \"", Printable(key, 40), "\" (", setting, ") is null"));
  }
  std::vector<std::string> keys;
  for (const auto& [name, value] : line.items()) {
    if (keys.size() < 8) keys.push_back(absl::StrCat("\"", Printable(name, 40), "\""));
  }
  return Bad(absl::StrCat("no key \"", key, "\" (", setting, "); the record has ",
                          keys.empty() ? "none" : absl::StrJoin(keys, ", ")));
}

absl::StatusOr<std::string> Text(const nlohmann::json& record, const std::string& key,
                                 absl::string_view setting) {
  ASSIGN_OR_RETURN(const nlohmann::json* field, Field(record, key, setting));
  if (!field->is_string()) {
    return Bad(absl::StrCat("the ", key == "question" ? key : absl::StrCat("field \"", key, "\""),
                            " must be a string, not ", field->type_name()));
  }
  return std::string(absl::StripAsciiWhitespace(field->get_ref<const std::string&>()));
}

absl::Status ReadAnswerText(const std::string& text, Problem* problem) {
  const absl::string_view trimmed = absl::StripAsciiWhitespace(text);
  if (trimmed.empty()) return Bad("the answer is empty");
  if (const auto boxed = FindBoxed(trimmed); boxed.has_value()) {
    if (boxed->empty()) return Bad("the answer's \\boxed{} is empty");
    problem->solution = std::string(trimmed);
    problem->answer = std::string(*boxed);
    return absl::OkStatus();
  }
  const size_t mark = trimmed.rfind(kAnswerMark);
  if (mark == absl::string_view::npos) {
    problem->answer = std::string(trimmed);
    return absl::OkStatus();
  }
  problem->solution = std::string(trimmed);
  // All that follows on the line, never a part of it: if "1/2" were read as 1, wrong answers would
  // be paid. What is no number as a whole counts as a reference without one.
  const absl::string_view last =
      absl::StripAsciiWhitespace(trimmed.substr(mark + kAnswerMark.size()));
  if (last.empty()) return Bad("nothing follows the answer's ####");
  problem->answer = std::string(absl::StripAsciiWhitespace(last.substr(0, last.find('\n'))));
  return absl::OkStatus();
}

absl::Status ReadAnswer(const nlohmann::json& answer, Problem* problem) {
  if (answer.is_string()) return ReadAnswerText(answer.get_ref<const std::string&>(), problem);
  if (!answer.is_number()) {
    return Bad(absl::StrCat("the answer must be a string or a number, not ", answer.type_name()));
  }
  problem->answer = answer.dump();
  // A number that JSON writes with an exponent was rounded when it was read.
  if (absl::StrContains(problem->answer, 'e') || !CanonicalNumber(problem->answer).has_value()) {
    return Bad(absl::StrCat("the answer ", problem->answer,
                            " cannot be read exactly; write it as a string of digits"));
  }
  return absl::OkStatus();
}

absl::StatusOr<Problem> ReadByKeys(const DataSettings& data, const nlohmann::json& record) {
  Problem problem;
  ASSIGN_OR_RETURN(problem.question, Text(record, data.question_key(), "data.question_key"));
  ASSIGN_OR_RETURN(const nlohmann::json* answer,
                   Field(record, data.answer_key(), "data.answer_key"));
  if (data.has_body_key()) {
    ASSIGN_OR_RETURN(const std::string body, Text(record, data.body_key(), "data.body_key"));
    problem.question = JoinBody(body, problem.question);
  }
  if (problem.question.empty()) return Bad("the question is empty");
  RETURN_IF_ERROR(ReadAnswer(*answer, &problem));
  return problem;
}

// Whether equality with the answer can be decided.
bool Decidable(const DataSettings& data, const std::string& answer) {
  if (data.answers() == DataSettings::NUMBERS) return CanonicalNumber(answer).has_value();
  return ReadMathAnswer(answer).kind != MathAnswer::kOpaque;
}

bool HasEquation(const nlohmann::json& record) { return IsSvamp(record) || IsMawps(record); }

absl::StatusOr<Problem> ReadRecord(const DataSettings& data, const nlohmann::json& record) {
  if (IsSvamp(record)) return ReadSvamp(record);
  if (IsMawps(record)) return ReadMawps(record);
  return ReadByKeys(data, record);
}

// Whether a problem is in the validation split; see LoadProblems.
bool HeldOut(const DataSettings& data, const Problem& problem) {
  const uint64_t key = StreamKey(data.validation_seed(), problem.question);
  return CounterRng(key).Uniform(0) < data.validation_fraction();
}

struct Source {
  std::string path;
  absl::string_view setting;
  std::optional<bool> held_out;  // only these problems of the file
  uint64_t limit = std::numeric_limits<uint64_t>::max();
  bool own_rewards = false;
};

// A work item holds them, and its size is bounded.
absl::Status KeepColumns(const nlohmann::json& record, Problem* problem) {
  problem->columns =
      record.dump(-1, ' ', /*ensure_ascii=*/false, nlohmann::json::error_handler_t::replace);
  if (problem->columns.size() <= kMaxColumnBytes) return absl::OkStatus();
  return Bad(absl::StrCat("the record has ", problem->columns.size(),
                          " bytes, of which a reward of your own can be told ", kMaxColumnBytes));
}

absl::StatusOr<std::vector<Problem>> LoadFile(const DataSettings& data, const Source& source) {
  const std::string& path = source.path;
  absl::StatusOr<std::unique_ptr<RecordReader>> reader = OpenRecords(path);
  if (!reader.ok()) {
    return absl::Status(reader.status().code(),
                        absl::StrCat(source.setting, ": ", reader.status().message()));
  }
  const std::string file = std::filesystem::path(path).filename().string();
  const bool train = source.setting == kTrainSetting;
  std::vector<Problem> problems;
  std::vector<std::string> left_out, undecided;
  bool any = false;
  while (problems.size() < source.limit) {
    ASSIGN_OR_RETURN(const std::optional<Record> record, (*reader)->Next());
    if (!record.has_value()) break;
    absl::StatusOr<Problem> problem = ReadRecord(data, record->fields);
    if (problem.ok() && source.own_rewards) {
      if (absl::Status kept = KeepColumns(record->fields, &*problem); !kept.ok()) problem = kept;
    }
    if (!problem.ok()) {
      return Bad(absl::StrCat(path, ":", record->line, ": ", problem.status().message()));
    }
    any = true;
    if (source.held_out.has_value() && HeldOut(data, *problem) != *source.held_out) continue;
    problem->source = absl::StrCat(file, ":", record->line);
    // Nothing is learned from a wrong label; published results are counted over all of a test file.
    if (train && HasEquation(record->fields) && problem->solution.empty()) {
      left_out.push_back(problem->source);
      continue;
    }
    if (!source.own_rewards && !Decidable(data, problem->answer)) {
      undecided.push_back(
          absl::StrCat(problem->source, " \"", Printable(problem->answer, 40), "\""));
    }
    problems.push_back(*std::move(problem));
  }
  if (!any) return Bad(absl::StrCat(path, ": the file has no problems"));
  if (left_out.size() > problems.size() / 20) {
    return Bad(absl::StrCat(left_out.front(),
                            ": the equation does not give the answer, here and in ",
                            left_out.size() - 1, " more problems"));
  }
  if (!left_out.empty()) {
    LOG(WARNING) << path << ": skipped, because equation and answer differ: "
                 << absl::StrJoin(left_out, ", ");
  }
  if (problems.empty()) {
    return Bad(absl::StrCat("data.validation_fraction: ", data.validation_fraction(), " of ", path,
                            " leaves no problems for ", source.setting));
  }
  if (data.answers() == DataSettings::NUMBERS && undecided.size() == problems.size()) {
    return Bad(absl::StrCat(path, ":1: none of the ", problems.size(),
                            " answers is a number or ends in \"#### N\", so no completion could "
                            "ever be right (data.answer_key is \"",
                            data.answer_key(), "\"; data.answers: BOXED takes others); the first: ",
                            undecided.front()));
  }
  if (!undecided.empty()) {
    const size_t count = undecided.size();
    undecided.resize(std::min(count, kShownAnswers));
    LOG(WARNING) << path << ": " << count << " of " << problems.size()
                 << (data.answers() == DataSettings::NUMBERS
                         ? " answers are no number as a whole, so no completion is right there "
                         : " answers cannot be compared, so only the same text is right there ")
                 << "(verdict reference_unparsable): " << absl::StrJoin(undecided, ", ")
                 << (count > kShownAnswers ? ", ..." : "");
  }
  return problems;
}

}  // namespace

absl::StatusOr<std::vector<Problem>> LoadProblems(const DataSettings& data, Split split,
                                                  bool own_rewards) {
  const bool train = split == Split::kTrain;
  const bool hold_out = data.eval().empty() && data.validation_fraction() > 0;
  Source source{train ? data.train() : data.eval(), train ? kTrainSetting : "data.eval"};
  // The generator has both splits; a file has one split, unless a part of it is held out.
  if (source.path.empty() && !train && (hold_out || data.train() == kBuiltin)) {
    source.path = data.train();
  }
  if (source.path.empty()) {
    return absl::NotFoundError(absl::StrCat(
        source.setting, " is not set; set it to a JSONL, JSON or CSV file or to builtin"));
  }
  if (hold_out) source.held_out = !train;
  source.own_rewards = own_rewards;
  if (train && data.limit_train() > 0) source.limit = data.limit_train();
  if (source.path == kBuiltin) {
    const uint64_t count = train ? data.builtin().train_problems() : data.builtin().eval_problems();
    return MakeBuiltinProblems(data.builtin(), split, std::min(count, source.limit));
  }
  return LoadFile(data, source);
}

}  // namespace reckon
