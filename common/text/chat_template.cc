#include "common/text/chat_template.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/printable.h"
#include "common/base/status_macros.h"
#include "common/text/json.h"
#include "common/text/library_text.h"

namespace reckon {
namespace {

using nlohmann::json;

constexpr size_t kMaxTemplateBytes = 1 << 20;
constexpr size_t kMaxKwargsBytes = 1 << 16;
constexpr int kMaxKwargsDepth = 16;
constexpr size_t kMaxNames = 8;  // of templates, in an error
// Variables that Render and Create set.
constexpr absl::string_view kReserved[] = {"messages", "add_generation_prompt", "tools",
                                           "documents"};

absl::Status InConfig(absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("tokenizer_config.json: ", what));
}

absl::StatusOr<std::string> TemplateOf(const json& config) {
  const json* field = FindField(config, "chat_template");
  if (field == nullptr) {
    return absl::NotFoundError(
        "tokenizer_config.json: there is no chat_template: the model was not trained to chat; use "
        "the format plain or few-shot");
  }
  if (field->is_string()) return field->get<std::string>();
  std::vector<std::string> names;
  const json* chosen = nullptr;  // the last of the name counts
  const auto add = [&](const std::string& name, const json* text) {
    if (name == "default") chosen = text;
    if (names.size() < kMaxNames) names.push_back(Printable(name, /*max_length=*/40));
  };
  if (field->is_object()) {
    for (const auto& [name, text] : field->items()) add(name, &text);
  } else if (field->is_array()) {
    for (const json& entry : *field) {
      ASSIGN_OR_RETURN(const std::string name, GetStringOr(entry, "name", ""));
      add(name, FindField(entry, "template"));
    }
  } else {
    return InConfig("chat_template: should be a text, or several by their names");
  }
  if (chosen != nullptr && chosen->is_string()) return chosen->get<std::string>();
  return InConfig(absl::StrCat("chat_template: the model has the templates ",
                               absl::StrJoin(names, ", "), ", and none named default"));
}

// Special tokens by name: bos_token, eos_token, others that end in _token, and those of
// extra_special_tokens. A token is a text, or an object whose content it is.
void AddSpecialTokens(const json& config, json* variables) {
  if (!config.is_object()) return;
  const auto add = [&](const std::string& name, const json& value) {
    if (value.is_string()) (*variables)[name] = value;
    const json* content = FindField(value, "content");
    if (content != nullptr && content->is_string()) (*variables)[name] = *content;
  };
  for (const auto& [name, value] : config.items()) {
    if (absl::EndsWith(name, "_token")) add(name, value);
  }
  // Written by older versions of transformers under the second name.
  for (const char* list : {"extra_special_tokens", "additional_special_tokens"}) {
    const json* extra = FindField(config, list);
    if (extra == nullptr || extra->empty()) continue;
    if (extra->is_object()) {
      for (const auto& [name, value] : extra->items()) add(name, value);
    }
    break;
  }
}

absl::StatusOr<json> ParseKwargs(absl::string_view kwargs_json) {
  if (kwargs_json.empty()) return json::object();
  absl::StatusOr<json> kwargs = ParseJson(kwargs_json, kMaxKwargsDepth, kMaxKwargsBytes);
  const auto wrong = [](absl::string_view what) {
    return absl::InvalidArgumentError(absl::StrCat("data.chat_template_kwargs: ", what,
                                                   "; an example is {\"enable_thinking\": false}"));
  };
  if (!kwargs.ok()) return wrong(kwargs.status().message());
  if (!kwargs->is_object())
    return wrong(absl::StrCat("is ", kwargs->type_name(), ", not an object"));
  for (absl::string_view name : kReserved) {
    if (kwargs->contains(std::string(name))) {
      return wrong(absl::StrCat("\"", name, "\" is set by Reckon"));
    }
  }
  return kwargs;
}

}  // namespace

absl::StatusOr<ChatTemplate> ChatTemplate::Create(absl::string_view tokenizer_config_json,
                                                  absl::string_view kwargs_json) {
  absl::StatusOr<json> config = ParseJson(tokenizer_config_json);
  if (!config.ok()) return InConfig(config.status().message());
  ASSIGN_OR_RETURN(const std::string source, TemplateOf(*config));
  if (source.size() > kMaxTemplateBytes) {
    return InConfig(
        absl::StrCat("chat_template: ", source.size(), " bytes, at most ", kMaxTemplateBytes));
  }
  ASSIGN_OR_RETURN(const json kwargs, ParseKwargs(kwargs_json));
  std::string error;
  ReckonTemplate* library = reckon_template_new(AsReckonText(source), AppendBytes, &error);
  if (library == nullptr) return InConfig(absl::StrCat("chat_template: ", OneLine(error)));
  ChatTemplate made;
  made.library_ = std::shared_ptr<const ReckonTemplate>(library, [](const ReckonTemplate* it) {
    reckon_template_free(const_cast<ReckonTemplate*>(it));
  });
  json variables = {{"tools", nullptr}, {"documents", nullptr}};
  AddSpecialTokens(*config, &variables);
  variables.update(kwargs);
  made.variables_ = std::make_shared<const json>(std::move(variables));
  return made;
}

absl::StatusOr<std::string> ChatTemplate::Render(const std::vector<ChatMessage>& messages,
                                                 bool add_generation_prompt) const {
  using Ordered = nlohmann::ordered_json;  // a template may print a message as JSON
  Ordered variables = *variables_;
  Ordered list = Ordered::array();
  for (const ChatMessage& message : messages) {
    list.push_back(Ordered{{"role", message.role}, {"content", message.content}});
  }
  variables["messages"] = std::move(list);
  variables["add_generation_prompt"] = add_generation_prompt;
  // Bytes of the data that are not UTF-8 are replaced.
  const std::string input = variables.dump(-1, ' ', false, Ordered::error_handler_t::replace);
  std::string text, error;
  if (!reckon_template_render(library_.get(), AsReckonText(input), AppendBytes, &text, AppendBytes,
                              &error)) {
    return absl::InvalidArgumentError(absl::StrCat("the chat template: ", OneLine(error)));
  }
  return text;
}

}  // namespace reckon
