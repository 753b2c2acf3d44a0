#include "common/task/dataset.h"

#include <algorithm>
#include <filesystem>
#include <limits>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status_macros.h"
#include "common/task/answer.h"
#include "common/task/builtin.h"
#include "common/task/line_reader.h"
#include "common/text/json.h"

namespace reckon {
namespace {

constexpr absl::string_view kBuiltin = "builtin";
constexpr size_t kMaxLineBytes = 1 << 20;
constexpr int kMaxLineDepth = 16;
constexpr absl::string_view kAnswerMark = "####";

absl::Status Bad(absl::string_view what) { return absl::InvalidArgumentError(what); }

// The field, or an error that says which keys there are and which setting picks one.
absl::StatusOr<const nlohmann::json*> Field(const nlohmann::json& line, const std::string& key,
                                            absl::string_view setting) {
  if (const nlohmann::json* field = FindField(line, key)) return field;
  std::vector<std::string> keys;
  for (const auto& [name, value] : line.items()) {
    if (keys.size() < 8) keys.push_back(absl::StrCat("\"", absl::CHexEscape(name), "\""));
  }
  return Bad(absl::StrCat("no key \"", key, "\" (", setting, "); the line has ",
                          keys.empty() ? "none" : absl::StrJoin(keys, ", ")));
}

absl::Status ReadAnswerText(const std::string& text, Problem* problem) {
  const absl::string_view trimmed = absl::StripAsciiWhitespace(text);
  if (trimmed.empty()) return Bad("the answer is empty");
  const size_t mark = trimmed.rfind(kAnswerMark);
  if (mark == absl::string_view::npos) {
    problem->answer = std::string(trimmed);
    return absl::OkStatus();
  }
  problem->solution = std::string(trimmed);
  // As GSM8K's own rule reads it. What that cannot read stays as written, and is counted as a
  // reference without a number.
  const absl::string_view last =
      absl::StripAsciiWhitespace(trimmed.substr(mark + kAnswerMark.size()));
  if (last.empty()) return Bad("nothing follows the answer's ####");
  problem->answer = ExtractStrict(trimmed).value_or(std::string(last));
  return absl::OkStatus();
}

absl::Status ReadAnswer(const nlohmann::json& answer, Problem* problem) {
  if (answer.is_string()) return ReadAnswerText(answer.get_ref<const std::string&>(), problem);
  if (!answer.is_number()) {
    return Bad(absl::StrCat("the answer must be a string or a number, not ", answer.type_name()));
  }
  problem->answer = answer.dump();
  if (!CanonicalNumber(problem->answer).has_value()) {
    return Bad(absl::StrCat("the answer ", problem->answer,
                            " cannot be read exactly; write it as a string of digits"));
  }
  return absl::OkStatus();
}

absl::StatusOr<Problem> ReadLine(const DataSettings& data, absl::string_view text) {
  ASSIGN_OR_RETURN(const nlohmann::json line, ParseJson(text, kMaxLineDepth, kMaxLineBytes));
  if (!line.is_object()) {
    return Bad(absl::StrCat("expected one JSON object a line, not ", line.type_name()));
  }
  Problem problem;
  ASSIGN_OR_RETURN(const nlohmann::json* question,
                   Field(line, data.question_key(), "data.question_key"));
  ASSIGN_OR_RETURN(const nlohmann::json* answer, Field(line, data.answer_key(), "data.answer_key"));
  if (!question->is_string()) {
    return Bad(absl::StrCat("the question must be a string, not ", question->type_name()));
  }
  problem.question =
      std::string(absl::StripAsciiWhitespace(question->get_ref<const std::string&>()));
  if (problem.question.empty()) return Bad("the question is empty");
  RETURN_IF_ERROR(ReadAnswer(*answer, &problem));
  return problem;
}

absl::StatusOr<std::vector<Problem>> LoadFile(const DataSettings& data, const std::string& path,
                                              absl::string_view setting, uint64_t limit) {
  absl::StatusOr<LineReader> reader = LineReader::Open(path, kMaxLineBytes);
  if (!reader.ok()) {
    return absl::Status(reader.status().code(),
                        absl::StrCat(setting, ": ", reader.status().message()));
  }
  const std::string file = std::filesystem::path(path).filename().string();
  std::vector<Problem> problems;
  bool any_number = false;
  while (problems.size() < limit) {
    ASSIGN_OR_RETURN(const auto line, reader->Next());
    if (!line.has_value()) break;
    if (absl::StripAsciiWhitespace(*line).empty()) continue;
    absl::StatusOr<Problem> problem = ReadLine(data, *line);
    if (!problem.ok()) {
      return Bad(absl::StrCat(path, ":", reader->line_number(), ": ", problem.status().message()));
    }
    problem->source = absl::StrCat(file, ":", reader->line_number());
    any_number = any_number || CanonicalNumber(problem->answer).has_value();
    problems.push_back(*std::move(problem));
  }
  if (problems.empty()) return Bad(absl::StrCat(path, ": there are no problems in this file"));
  if (!any_number) {
    return Bad(absl::StrCat(path, ":1: none of the ", problems.size(),
                            " answers is a number or ends in \"#### N\", so no completion could "
                            "ever be right (data.answer_key is \"",
                            data.answer_key(), "\")"));
  }
  return problems;
}

}  // namespace

absl::StatusOr<std::vector<Problem>> LoadProblems(const DataSettings& data, Split split) {
  const bool train = split == Split::kTrain;
  const absl::string_view setting = train ? "data.train" : "data.eval";
  std::string path = train ? data.train() : data.eval();
  // The generator has both splits, a file only its own.
  if (!train && path.empty() && data.train() == kBuiltin) path = std::string(kBuiltin);
  if (path.empty()) {
    return absl::NotFoundError(
        absl::StrCat(setting, " is not set; set it to a JSONL file or to builtin"));
  }
  const uint64_t limit =
      train && data.limit_train() > 0 ? data.limit_train() : std::numeric_limits<uint64_t>::max();
  if (path == kBuiltin) {
    const uint64_t count = train ? data.builtin().train_problems() : data.builtin().eval_problems();
    return MakeBuiltinProblems(data.builtin(), split, std::min(count, limit));
  }
  return LoadFile(data, path, setting, limit);
}

}  // namespace reckon
