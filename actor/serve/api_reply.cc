#include "actor/serve/api_reply.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "actor/serve/api_error.h"
#include "common/text/utf8.h"

namespace reckon {
namespace {

// Texts of the engine are UTF-8; this is for whatever else.
std::string Dump(const nlohmann::ordered_json& json) {
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

nlohmann::ordered_json FinishText(FinishReason finish) {
  if (finish == FINISH_STOP) return "stop";
  if (finish == FINISH_LENGTH) return "length";
  return nullptr;
}

// As Python counts them, which is what readers of text_offset do.
int64_t Characters(absl::string_view text) {
  return std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; });
}

nlohmann::ordered_json Bytes(absl::string_view text) {
  nlohmann::ordered_json bytes = nlohmann::ordered_json::array();
  for (const char c : text) bytes.push_back(static_cast<unsigned char>(c));
  return bytes;
}

}  // namespace

ApiReply::ApiReply(const ServedModel& model, const ApiRequest& request, const std::string& id,
                   int64_t created)
    : model_(model),
      chat_(request.endpoint == Endpoint::kChat),
      include_usage_(request.include_usage),
      logprobs_(request.logprobs),
      ends_(request.generation.stop_token_ids),
      id_(absl::StrCat(chat_ ? "chatcmpl-" : "cmpl-", id)),
      created_(created),
      choices_(request.generation.prompts.size() * request.generation.samples) {
  for (const auto& prompt : request.generation.prompts) {
    prompt_tokens_ += static_cast<int64_t>(prompt.size());
  }
}

std::vector<GeneratedToken> ApiReply::Told(const ChoiceNews& news) {
  completion_tokens_ += static_cast<int64_t>(news.tokens.size());
  if (!logprobs_) return {};
  std::vector<GeneratedToken> told = news.tokens;
  if (news.finish == FINISH_STOP && !told.empty() &&
      std::find(ends_.begin(), ends_.end(), told.back().id) != ends_.end()) {
    told.pop_back();
  }
  return told;
}

std::string ApiReply::TokenText(uint32_t token) const {
  const absl::string_view bytes = model_.tokenizer->TokenBytes(token);
  return bytes.empty() ? model_.tokenizer->Decode({token}, /*skip_special=*/false)
                       : std::string(bytes);
}

ApiReply::Json ApiReply::Logprobs(const std::vector<GeneratedToken>& tokens,
                                  int64_t* characters) const {
  if (!logprobs_) return nullptr;
  if (chat_) {
    Json content = Json::array();
    const auto entry = [this](uint32_t token, float logprob) {
      const std::string text = TokenText(token);
      return Json{{"token", RepairUtf8(text)}, {"logprob", logprob}, {"bytes", Bytes(text)}};
    };
    for (const GeneratedToken& token : tokens) {
      Json each = entry(token.id, token.logprob);
      each["top_logprobs"] = Json::array();
      for (const RankedToken& other : token.ranked) {
        each["top_logprobs"].push_back(entry(other.token, other.logprob));
      }
      content.push_back(std::move(each));
    }
    return {{"content", std::move(content)}, {"refusal", nullptr}};
  }
  Json texts = Json::array(), logprobs = texts, top = texts, offsets = texts;
  for (const GeneratedToken& token : tokens) {
    const std::string text = RepairUtf8(TokenText(token.id));
    texts.push_back(text);
    logprobs.push_back(token.logprob);
    Json others = Json::object();
    for (const RankedToken& other : token.ranked) {
      // Two tokens of broken bytes may have one text; the likelier is first.
      others.emplace(RepairUtf8(TokenText(other.token)), other.logprob);
    }
    top.push_back(std::move(others));
    offsets.push_back(*characters);
    *characters += Characters(text);
  }
  return {{"tokens", std::move(texts)},
          {"token_logprobs", std::move(logprobs)},
          {"top_logprobs", std::move(top)},
          {"text_offset", std::move(offsets)}};
}

void ApiReply::Add(const std::vector<ChoiceNews>& news) {
  for (const ChoiceNews& each : news) {
    Choice& choice = choices_[each.choice];
    choice.text += each.text;
    std::vector<GeneratedToken> told = Told(each);
    choice.tokens.insert(choice.tokens.end(), std::make_move_iterator(told.begin()),
                         std::make_move_iterator(told.end()));
    if (each.finish != FINISH_UNSPECIFIED) choice.finish = each.finish;
  }
}

ApiReply::Json ApiReply::Frame(const char* object) const {
  return {{"id", id_}, {"object", object}, {"created", created_}, {"model", model_.name}};
}

ApiReply::Json ApiReply::Usage() const {
  return {{"prompt_tokens", prompt_tokens_},
          {"completion_tokens", completion_tokens_},
          {"total_tokens", prompt_tokens_ + completion_tokens_}};
}

std::string ApiReply::Whole() const {
  Json reply = Frame(chat_ ? "chat.completion" : "text_completion");
  reply["choices"] = Json::array();
  for (size_t i = 0; i < choices_.size(); ++i) {
    const Choice& choice = choices_[i];
    Json each = {{"index", i}};
    if (chat_) {
      each["message"] = {{"role", "assistant"}, {"content", choice.text}, {"refusal", nullptr}};
    } else {
      each["text"] = choice.text;
    }
    int64_t characters = 0;
    each["logprobs"] = Logprobs(choice.tokens, &characters);
    each["finish_reason"] = FinishText(choice.finish);
    reply["choices"].push_back(std::move(each));
  }
  reply["usage"] = Usage();
  return Dump(reply);
}

std::string ApiReply::Event(Json choice) const {
  Json event = Frame(chat_ ? "chat.completion.chunk" : "text_completion");
  event["choices"] = Json::array({std::move(choice)});
  if (include_usage_) event["usage"] = nullptr;
  return absl::StrCat("data: ", Dump(event), "\n\n");
}

std::string ApiReply::Events(const std::vector<ChoiceNews>& news) {
  std::string events;
  for (const ChoiceNews& each : news) {
    Choice& choice = choices_[each.choice];
    const std::vector<GeneratedToken> told = Told(each);
    const bool finished = each.finish != FINISH_UNSPECIFIED;
    if (!std::exchange(choice.begun, true) && chat_) {
      events += Event({{"index", each.choice},
                       {"delta", {{"role", "assistant"}, {"content", ""}}},
                       {"logprobs", nullptr},
                       {"finish_reason", nullptr}});
    }
    if (each.text.empty() && told.empty() && !finished) continue;
    Json out = {{"index", each.choice}};
    if (chat_) {
      out["delta"] = each.text.empty() ? Json::object() : Json{{"content", each.text}};
    } else {
      out["text"] = each.text;
    }
    out["logprobs"] = told.empty() ? Json() : Logprobs(told, &choice.characters);
    out["finish_reason"] = FinishText(each.finish);
    events += Event(std::move(out));
  }
  return events;
}

std::string ApiReply::LastEvents() const {
  std::string events;
  if (include_usage_) {
    Json event = Frame(chat_ ? "chat.completion.chunk" : "text_completion");
    event["choices"] = Json::array();
    event["usage"] = Usage();
    events = absl::StrCat("data: ", Dump(event), "\n\n");
  }
  return events + "data: [DONE]\n\n";
}

std::string ApiReply::ErrorEvent(const absl::Status& status) {
  return absl::StrCat("data: ", ErrorBody(status), "\n\n");
}

}  // namespace reckon
