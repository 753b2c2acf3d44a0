#include "actor/serve/api_request.h"

#include <algorithm>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "actor/serve/api_error.h"
#include "common/base/printable.h"
#include "common/base/status_macros.h"
#include "common/config/ranges.h"
#include "common/text/json.h"

namespace reckon {
namespace {

using nlohmann::json;

constexpr int kMaxStops = 16;
constexpr size_t kMaxStopBytes = 256;
constexpr size_t kMaxMessages = 4096;
// Without max_tokens. Of completions it is OpenAI's. Of chats it is a long answer and not the whole
// context: memory for all of it is reserved, and must leave room for other requests.
constexpr int64_t kCompletionTokens = 16, kChatTokens = 2048;

const char* const kRead[] = {
    "model",       "prompt", "messages",       "max_tokens", "max_completion_tokens",
    "temperature", "top_p",  "top_k",          "n",          "seed",
    "stop",        "stream", "stream_options", "logprobs",   "top_logprobs"};
// Nothing here depends on them.
const char* const kIgnored[] = {"user",
                                "metadata",
                                "store",
                                "service_tier",
                                "safety_identifier",
                                "prompt_cache_key",
                                "parallel_tool_calls"};
// What this server does not do, with the one value that asks for nothing.
struct Undone {
  const char* name;
  const char* nothing;
};
const Undone kUndone[] = {{"echo", "false"},
                          {"best_of", "1"},
                          {"suffix", "\"\""},
                          {"presence_penalty", "0"},
                          {"frequency_penalty", "0"},
                          {"logit_bias", "{}"},
                          {"tools", "[]"},
                          {"tool_choice", "\"none\""},
                          {"functions", "[]"},
                          {"function_call", "\"none\""},
                          {"response_format", "{\"type\":\"text\"}"},
                          {"modalities", "[\"text\"]"}};

bool OneOf(absl::string_view name, absl::Span<const char* const> names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

absl::Status Named(absl::string_view field, const absl::Status& status) {
  return status.ok() ? status : FieldError(field, status.message());
}

absl::StatusOr<int64_t> IntIn(const json& body, const char* field, int64_t otherwise, int64_t least,
                              int64_t most) {
  const absl::StatusOr<int64_t> value = GetIntOr(body, field, otherwise);
  if (!value.ok()) return Named(field, value.status());
  if (FindField(body, field) != nullptr && (*value < least || *value > most)) {
    return FieldError(field,
                      absl::StrCat(field, " is ", *value, "; allowed: ", least, " to ", most));
  }
  return *value;
}

absl::StatusOr<bool> BoolOf(const json& body, const char* field) {
  const absl::StatusOr<bool> value = GetBoolOr(body, field, false);
  return value.ok() ? value : Named(field, value.status());
}

absl::Status CheckFields(const json& body, const ServedModel& model, Endpoint endpoint) {
  for (const auto& [name, value] : body.items()) {
    const auto undone = std::find_if(std::begin(kUndone), std::end(kUndone),
                                     [&name = name](const Undone& u) { return name == u.name; });
    if (undone != std::end(kUndone)) {
      if (value.is_null() || value == json::parse(undone->nothing)) continue;
      return FieldError(name, absl::StrCat(name, " is not supported; leave it out"));
    }
    if (!OneOf(name, kRead) && !OneOf(name, kIgnored)) {
      const std::string shown = Printable(name).substr(0, 100);
      return FieldError(shown, absl::StrCat(shown, ": no such field"));
    }
  }
  const absl::StatusOr<std::string> name = GetStringOr(body, "model", model.name);
  if (!name.ok()) return Named("model", name.status());
  if (*name != model.name) {
    return NotFoundWithCode("model",
                            absl::StrCat("there is no model '", Printable(*name).substr(0, 100),
                                         "' here; this server has '", model.name, "'"),
                            "model_not_found");
  }
  const bool chat = endpoint == Endpoint::kChat;
  const char* const others = chat ? "prompt" : "messages";
  if (FindField(body, others) != nullptr) {
    return FieldError(others, absl::StrCat(others, " is a field of ",
                                           chat ? "/v1/completions" : "/v1/chat/completions"));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<uint32_t>> TokensOf(const json& ids, const Tokenizer& tokenizer) {
  std::vector<uint32_t> tokens;
  for (const json& id : ids) {
    if (!id.is_number_integer() || id.get<int64_t>() < 0 ||
        id.get<int64_t>() >= static_cast<int64_t>(tokenizer.vocab_size()) ||
        !tokenizer.HasToken(static_cast<uint32_t>(id.get<int64_t>()))) {
      return FieldError("prompt", absl::StrCat("prompt: ", Printable(id.dump()).substr(0, 40),
                                               " is no token of the model"));
    }
    tokens.push_back(id.get<uint32_t>());
  }
  return tokens;
}

// A text, a list of texts, a list of token ids, or a list of such lists.
absl::StatusOr<std::vector<std::vector<uint32_t>>> ReadPrompts(const json& body,
                                                               const ServedModel& model) {
  const json* prompt = FindField(body, "prompt");
  if (prompt == nullptr) return FieldError("prompt", "prompt is missing");
  const bool one = !prompt->is_array() || (!prompt->empty() && prompt->front().is_number());
  const json list = one ? json::array({*prompt}) : *prompt;
  std::vector<std::vector<uint32_t>> prompts;
  for (const json& each : list) {
    absl::StatusOr<std::vector<uint32_t>> tokens;
    if (each.is_string()) {
      tokens = model.tokenizer->EncodeBeginning(each.get<std::string>());
    } else if (each.is_array()) {
      tokens = TokensOf(each, *model.tokenizer);
    } else {
      tokens = FieldError("prompt", "prompt must be a text, a list of texts or of token ids");
    }
    if (!tokens.ok()) return FieldError("prompt", tokens.status().message());
    if (tokens->empty())
      return FieldError("prompt", "prompt is empty; it needs one token at least");
    prompts.push_back(*std::move(tokens));
  }
  if (prompts.empty()) return FieldError("prompt", "prompt has no entries");
  return prompts;
}

// A text, or a list of parts of which each is {"type": "text", "text": ...}.
absl::StatusOr<std::string> ContentOf(const json& message, const std::string& field) {
  const json* content = FindField(message, "content");
  if (content == nullptr) return FieldError(field, absl::StrCat(field, " is missing"));
  if (content->is_string()) return content->get<std::string>();
  std::string text;
  bool texts = content->is_array();
  for (size_t i = 0; texts && i < content->size(); ++i) {
    const json& part = (*content)[i];
    const absl::StatusOr<std::string> type = GetStringOr(part, "type", "");
    const absl::StatusOr<std::string> said = GetString(part, "text");
    texts = type.ok() && *type == "text" && said.ok();
    if (texts) absl::StrAppend(&text, *said);
  }
  if (!texts) {
    return FieldError(field,
                      absl::StrCat(field, " must be a text, or a list of parts of type text"));
  }
  return text;
}

absl::StatusOr<std::vector<ChatMessage>> ReadMessages(const json& body) {
  const absl::StatusOr<const json*> list = GetArray(body, "messages");
  if (!list.ok()) return Named("messages", list.status());
  if ((*list)->empty()) return FieldError("messages", "messages is empty");
  if ((*list)->size() > kMaxMessages) {
    return FieldError("messages", absl::StrCat("messages has ", (*list)->size(),
                                               " entries; allowed: ", kMaxMessages));
  }
  std::vector<ChatMessage> messages;
  for (size_t i = 0; i < (*list)->size(); ++i) {
    const json& message = (**list)[i];
    const std::string field = absl::StrCat("messages[", i, "]");
    const absl::StatusOr<std::string> role = GetString(message, "role");
    if (!role.ok()) return Named(field + ".role", role.status());
    if (!OneOf(*role, {"system", "developer", "user", "assistant"})) {
      return FieldError(field + ".role",
                        absl::StrCat(field, ".role is '", Printable(*role).substr(0, 40),
                                     "'; allowed: system, developer, user, assistant"));
    }
    ASSIGN_OR_RETURN(std::string content, ContentOf(message, field + ".content"));
    // Templates know the older of the two names.
    messages.push_back({*role == "developer" ? "system" : *role, std::move(content)});
  }
  return messages;
}

absl::Status ReadStops(const json& body, GenerationRequest* out) {
  const json* stop = FindField(body, "stop");
  if (stop == nullptr) return absl::OkStatus();
  for (const json& each : stop->is_array() ? *stop : json::array({*stop})) {
    if (!each.is_string() || each.get_ref<const std::string&>().empty() ||
        each.get_ref<const std::string&>().size() > kMaxStopBytes) {
      return FieldError("stop", absl::StrCat("stop must be a text of 1 to ", kMaxStopBytes,
                                             " bytes, or a list of them"));
    }
    out->stop_strings.push_back(each.get<std::string>());
  }
  if (out->stop_strings.size() > kMaxStops) {
    return FieldError("stop", absl::StrCat("stop has ", out->stop_strings.size(),
                                           " entries; allowed: ", kMaxStops));
  }
  return absl::OkStatus();
}

absl::Status ReadSampling(const json& body, SamplingParams* out) {
  for (const char* field : {"temperature", "top_p"}) {
    const absl::StatusOr<double> value = GetDoubleOr(body, field, 1);
    if (!value.ok()) return Named(field, value.status());
    const auto* descriptor = SamplingParams::descriptor()->FindFieldByName(field);
    if (!InRange(*descriptor, *value)) {
      return FieldError(
          field, absl::StrCat(field, " is ", *value, "; allowed: ", DescribeRange(*descriptor)));
    }
    out->GetReflection()->SetDouble(out, descriptor, *value);
  }
  // -1 is "off" in other servers.
  ASSIGN_OR_RETURN(const int64_t top_k, IntIn(body, "top_k", 0, -1, 1 << 30));
  out->set_top_k(static_cast<uint32_t>(std::max<int64_t>(top_k, 0)));
  return absl::OkStatus();
}

absl::Status ReadLogprobs(const json& body, Endpoint endpoint, ApiRequest* out) {
  if (endpoint == Endpoint::kCompletions) {
    if (FindField(body, "top_logprobs") != nullptr) {
      return FieldError("top_logprobs",
                        "top_logprobs is a field of /v1/chat/completions; here logprobs is the "
                        "number of tokens");
    }
    ASSIGN_OR_RETURN(const int64_t count, IntIn(body, "logprobs", -1, 0, kMaxTopLogprobs));
    out->logprobs = count >= 0;
    out->generation.ranked = static_cast<uint32_t>(std::max<int64_t>(count, 0));
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(out->logprobs, BoolOf(body, "logprobs"));
  ASSIGN_OR_RETURN(const int64_t count, IntIn(body, "top_logprobs", 0, 0, kMaxTopLogprobs));
  if (count > 0 && !out->logprobs) {
    return FieldError("top_logprobs", "top_logprobs needs \"logprobs\": true");
  }
  out->generation.ranked = static_cast<uint32_t>(count);
  return absl::OkStatus();
}

// Also checks that prompts and completions fit.
absl::Status ReadLength(const json& body, Endpoint endpoint, const ServedModel& model,
                        int64_t longest_choice, GenerationRequest* out) {
  const char* field = "max_tokens";
  if (FindField(body, "max_completion_tokens") != nullptr) field = "max_completion_tokens";
  if (endpoint == Endpoint::kCompletions && absl::string_view(field) != "max_tokens") {
    return FieldError(field, "max_completion_tokens is a field of /v1/chat/completions");
  }
  const char* const from = endpoint == Endpoint::kChat ? "messages" : "prompt";
  int64_t longest = 0;
  for (const auto& prompt : out->prompts) {
    longest = std::max(longest, static_cast<int64_t>(prompt.size()));
  }
  const int64_t left = model.max_positions - longest;
  if (left < 1) {
    return FieldError(from,
                      absl::StrCat("the model's context is ", model.max_positions, " tokens, and ",
                                   from, " has ", longest),
                      "context_length_exceeded");
  }
  const bool given = FindField(body, field) != nullptr;
  const int64_t unasked = endpoint == Endpoint::kChat ? kChatTokens : kCompletionTokens;
  ASSIGN_OR_RETURN(const int64_t count, IntIn(body, field, unasked, 1, 1 << 17));
  if (given && count > left) {
    return FieldError(field,
                      absl::StrCat("the model's context is ", model.max_positions, " tokens; ",
                                   from, " has ", longest, " and ", field, " is ", count),
                      "context_length_exceeded");
  }
  const int64_t fits = std::max<int64_t>(std::min(left, longest_choice - longest), 1);
  out->sampling.set_max_new_tokens(static_cast<uint32_t>(given ? count : std::min(count, fits)));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ApiRequest> ReadApiRequest(Endpoint endpoint, absl::string_view text,
                                          const ServedModel& model, int64_t longest_choice) {
  const absl::StatusOr<json> body = ParseJson(text);
  if (!body.ok()) {
    return FieldError("", absl::StrCat("the body is not JSON: ", body.status().message()));
  }
  if (!body->is_object()) return FieldError("", "the body must be a JSON object");
  RETURN_IF_ERROR(CheckFields(*body, model, endpoint));
  ApiRequest request;
  request.endpoint = endpoint;
  GenerationRequest& out = request.generation;
  ASSIGN_OR_RETURN(request.stream, BoolOf(*body, "stream"));
  if (const json* options = FindField(*body, "stream_options"); options != nullptr) {
    const absl::StatusOr<bool> usage = GetBoolOr(*options, "include_usage", false);
    if (!options->is_object() || !usage.ok() || !request.stream) {
      return FieldError("stream_options",
                        "stream_options must be {\"include_usage\": true or false}, and needs "
                        "\"stream\": true");
    }
    request.include_usage = *usage;
  }
  ASSIGN_OR_RETURN(const int64_t n, IntIn(*body, "n", 1, 1, 128));
  out.samples = static_cast<uint32_t>(n);
  RETURN_IF_ERROR(ReadSampling(*body, &out.sampling));
  RETURN_IF_ERROR(ReadStops(*body, &out));
  RETURN_IF_ERROR(ReadLogprobs(*body, endpoint, &request));
  const absl::StatusOr<int64_t> seed = GetIntOr(*body, "seed", 0);
  if (!seed.ok()) return Named("seed", seed.status());
  out.seed = static_cast<uint64_t>(*seed);
  if (FindField(*body, "seed") == nullptr) {
    std::random_device random;
    out.seed = uint64_t{random()} << 32 | random();
  }
  if (endpoint == Endpoint::kChat) {
    ASSIGN_OR_RETURN(const std::vector<ChatMessage> messages, ReadMessages(*body));
    ASSIGN_OR_RETURN(std::vector<uint32_t> prompt, model.ChatPrompt(messages));
    out.prompts.push_back(std::move(prompt));
    out.stop_token_ids = model.chat_ends;
  } else {
    ASSIGN_OR_RETURN(out.prompts, ReadPrompts(*body, model));
    out.stop_token_ids = model.plain_ends;
  }
  if (out.prompts.size() * out.samples > kMaxChoices) {
    return FieldError(
        "n", absl::StrCat(out.prompts.size(), " prompts with n = ", n, " are ",
                          out.prompts.size() * out.samples, " choices; allowed: ", kMaxChoices));
  }
  RETURN_IF_ERROR(ReadLength(*body, endpoint, model, longest_choice, &out));
  return request;
}

}  // namespace reckon
