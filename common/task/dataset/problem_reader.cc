#include "common/task/dataset/problem_reader.h"

#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/printable.h"
#include "common/base/status_macros.h"
#include "common/task/answer/boxed.h"
#include "common/task/answer/math_answer.h"
#include "common/task/answer/text_answer.h"
#include "common/task/dataset/chat_record.h"
#include "common/task/dataset/word_problem.h"
#include "common/task/reward/number.h"

namespace reckon {
namespace {

constexpr absl::string_view kAnswerMark = "####";
constexpr size_t kMaxColumnBytes = 256 << 10;

absl::Status Bad(absl::string_view what) { return absl::InvalidArgumentError(what); }

// Returns the field, or an error that lists the keys of the record and names the setting.
absl::StatusOr<const nlohmann::json*> Field(const nlohmann::json& line, const std::string& key,
                                            absl::string_view setting) {
  if (const nlohmann::json* field = FindPath(line, key)) return field;
  if (line.contains(key)) {  // FindPath takes null for nothing
    return Bad(absl::StrCat("the field \"", Printable(key, 40), "\" (", setting, ") is null"));
  }
  std::vector<std::string> keys;
  for (const auto& [name, value] : line.items()) {
    if (keys.size() < 8) keys.push_back(absl::StrCat("\"", Printable(name, 40), "\""));
  }
  // The names that chat data have.
  const bool chat = setting == "data.question_key" && FindField(line, "messages") != nullptr;
  return Bad(absl::StrCat("no key \"", Printable(key, 80), "\" (", setting, "); the record has ",
                          keys.empty() ? "none" : absl::StrJoin(keys, ", "),
                          chat ? "; for a chat set data.question_key: \"messages\"" : ""));
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

absl::Status ReadAnswerText(DataSettings::Answers answers, const std::string& text,
                            Problem* problem) {
  const absl::string_view trimmed = absl::StripAsciiWhitespace(text);
  if (trimmed.empty()) return Bad("the answer is empty");
  if (const auto boxed = FindBoxed(trimmed); boxed.has_value() && answers != DataSettings::TEXT) {
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

absl::Status ReadAnswer(DataSettings::Answers answers, const nlohmann::json& answer,
                        Problem* problem) {
  if (answer.is_string()) {
    return ReadAnswerText(answers, answer.get_ref<const std::string&>(), problem);
  }
  if (answers == DataSettings::TEXT && answer.is_boolean()) {
    problem->answer = answer.dump();
    return absl::OkStatus();
  }
  if (!answer.is_number()) {
    return Bad(absl::StrCat("the answer must be a string or a number, not ", answer.type_name()));
  }
  problem->answer = answer.dump();
  if (answers == DataSettings::TEXT) return absl::OkStatus();
  // A number that JSON writes with an exponent was rounded when it was read.
  if (absl::StrContains(problem->answer, 'e') || !CanonicalNumber(problem->answer).has_value()) {
    return Bad(absl::StrCat("the answer ", problem->answer,
                            " cannot be read exactly; write it as a string of digits"));
  }
  return absl::OkStatus();
}

// A key of the user's choice is meant to be there.
bool NeedsAnswer(const DataSettings& data, AnswerUse use) {
  return use != AnswerUse::kNone || data.answer_key() != DataSettings().answer_key();
}

// A chat asks by all of its messages, and its reply is the worked solution. The record may say the
// answer alone as well.
absl::StatusOr<Problem> ReadChatProblem(const DataSettings& data, const nlohmann::json& record,
                                        const nlohmann::json& messages, AnswerUse use) {
  absl::StatusOr<ChatRecord> chat = ReadChat(messages);
  if (!chat.ok()) {
    return Bad(absl::StrCat("\"", Printable(data.question_key(), 40),
                            "\" (data.question_key): ", chat.status().message()));
  }
  if (data.has_body_key()) return Bad("data.body_key is for questions that are texts, not chats");
  Problem problem;
  problem.question = std::string(absl::StripAsciiWhitespace(QuestionOf(chat->prompt)));
  problem.messages = std::move(chat->prompt);
  const nlohmann::json* answer = FindPath(record, data.answer_key());
  if (answer != nullptr) {
    RETURN_IF_ERROR(ReadAnswer(data.answers(), *answer, &problem));
  } else if (chat->reply.has_value()) {
    RETURN_IF_ERROR(ReadAnswerText(data.answers(), *chat->reply, &problem));
  } else if (NeedsAnswer(data, use)) {
    return Field(record, data.answer_key(), "data.answer_key").status();
  }
  if (chat->reply.has_value()) {
    problem.solution = std::string(absl::StripAsciiWhitespace(*chat->reply));
  }
  return problem;
}

absl::StatusOr<Problem> ReadByKeys(const DataSettings& data, const nlohmann::json& record,
                                   AnswerUse use) {
  Problem problem;
  const nlohmann::json* asked = FindPath(record, data.question_key());
  if (asked != nullptr && asked->is_array()) {
    return ReadChatProblem(data, record, *asked, use);
  }
  ASSIGN_OR_RETURN(problem.question, Text(record, data.question_key(), "data.question_key"));
  const nlohmann::json* answer = FindPath(record, data.answer_key());
  if (answer != nullptr || NeedsAnswer(data, use)) {
    ASSIGN_OR_RETURN(answer, Field(record, data.answer_key(), "data.answer_key"));
  }
  if (data.has_body_key()) {
    ASSIGN_OR_RETURN(const std::string body, Text(record, data.body_key(), "data.body_key"));
    problem.question = JoinBody(body, problem.question);
  }
  if (problem.question.empty()) return Bad("the question is empty");
  if (answer != nullptr) RETURN_IF_ERROR(ReadAnswer(data.answers(), *answer, &problem));
  return problem;
}

absl::StatusOr<Problem> ReadAny(const DataSettings& data, const nlohmann::json& record,
                                AnswerUse use) {
  if (IsSvamp(record)) return ReadSvamp(record);
  if (IsMawps(record)) return ReadMawps(record);
  return ReadByKeys(data, record, use);
}

// A work item holds them, and its size is bounded.
absl::Status KeepColumns(const nlohmann::json& record, Problem* problem) {
  problem->columns =
      record.dump(-1, ' ', /*ensure_ascii=*/false, nlohmann::json::error_handler_t::replace);
  if (problem->columns.size() <= kMaxColumnBytes) return absl::OkStatus();
  return Bad(absl::StrCat("the record has ", problem->columns.size(),
                          " bytes, of which a reward of your own can be told ", kMaxColumnBytes));
}

}  // namespace

absl::StatusOr<Problem> ReadProblem(const DataSettings& data, const nlohmann::json& record,
                                    AnswerUse use) {
  ASSIGN_OR_RETURN(Problem problem, ReadAny(data, record, use));
  if (use != AnswerUse::kCompared) RETURN_IF_ERROR(KeepColumns(record, &problem));
  return problem;
}

bool HasEquation(const nlohmann::json& record) { return IsSvamp(record) || IsMawps(record); }

bool IsDecidable(DataSettings::Answers answers, const std::string& answer) {
  if (answers == DataSettings::TEXT) return !CanonicalText(answer).empty();
  if (answers == DataSettings::NUMBERS) return CanonicalNumber(answer).has_value();
  return ReadMathAnswer(answer).kind != MathAnswer::kOpaque;
}

}  // namespace reckon
