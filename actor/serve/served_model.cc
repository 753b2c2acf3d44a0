#include "actor/serve/served_model.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "actor/serve/api_error.h"
#include "common/base/status_macros.h"
#include "common/model/config.h"
#include "common/task/prompt/completion_end.h"
#include "common/text/end_tokens.h"

namespace reckon {
namespace {

// Text that no conversation contains, in the place of message `i`.
std::string Placeholder(size_t i) { return absl::StrCat("@reckon-message-", i, "@"); }

absl::StatusOr<bool> SpellsSpecial(const Tokenizer& tokenizer, const std::string& text) {
  ASSIGN_OR_RETURN(const std::vector<uint32_t> plain, tokenizer.Encode(text, false));
  ASSIGN_OR_RETURN(const std::vector<uint32_t> parsed, tokenizer.Encode(text, true));
  return plain != parsed;
}

// Encodes a rendered conversation piece by piece: what the template wrote with its special tokens,
// what the messages said as plain text. `around`: the same with placeholders for the messages.
absl::StatusOr<std::vector<uint32_t>> EncodeAround(const Tokenizer& tokenizer,
                                                   absl::string_view rendered,
                                                   absl::string_view around,
                                                   const std::vector<ChatMessage>& messages) {
  std::vector<uint32_t> ids;
  const auto append = [&ids](const std::vector<uint32_t>& more) {
    ids.insert(ids.end(), more.begin(), more.end());
  };
  for (size_t i = 0; i <= messages.size(); ++i) {
    const size_t at = i < messages.size() ? around.find(Placeholder(i)) : around.size();
    const absl::string_view written = around.substr(0, at);
    absl::string_view said;
    if (at != absl::string_view::npos && absl::StartsWith(rendered, written) &&
        i < messages.size()) {
      // A template may strip a message.
      const absl::string_view rest = rendered.substr(at);
      for (const absl::string_view form : {absl::string_view(messages[i].content),
                                           absl::StripAsciiWhitespace(messages[i].content)}) {
        if (absl::StartsWith(rest, form)) {
          said = form;
          break;
        }
      }
    }
    const bool found = at != absl::string_view::npos && absl::StartsWith(rendered, written) &&
                       (i == messages.size() || !said.empty() ||
                        absl::StripAsciiWhitespace(messages[i].content).empty());
    if (!found) {
      return FieldError("messages",
                        "a message spells a special token of the model, and the chat template "
                        "changes messages, so it cannot be encoded as plain text");
    }
    ASSIGN_OR_RETURN(const std::vector<uint32_t> special,
                     i == 0 ? tokenizer.EncodeWhole(written) : tokenizer.Encode(written, true));
    append(special);
    ASSIGN_OR_RETURN(const std::vector<uint32_t> plain, tokenizer.Encode(said, false));
    append(plain);
    rendered.remove_prefix(written.size() + said.size());
    if (i < messages.size()) around.remove_prefix(at + Placeholder(i).size());
  }
  return ids;
}

}  // namespace

absl::StatusOr<ServedModel> ServedModel::Load(const FolderTexts& texts, std::string name,
                                              const std::string& chat_template_kwargs) {
  ServedModel model;
  model.name = std::move(name);
  model.created = absl::ToUnixSeconds(absl::Now());
  ASSIGN_OR_RETURN(const ModelConfig config, ModelConfig::Parse(texts.config_json()));
  model.max_positions = config.max_positions;
  ASSIGN_OR_RETURN(model.tokenizer,
                   Tokenizer::Create(texts.tokenizer_json(), texts.tokenizer_model()));
  ASSIGN_OR_RETURN(const EndTokens ends, FindEndTokens(texts, *model.tokenizer));
  ASSIGN_OR_RETURN(model.plain_ends, CompletionEnds(ends, *model.tokenizer, nullptr));
  absl::StatusOr<ChatTemplate> chat =
      ChatTemplate::Create(texts.tokenizer_config_json(), chat_template_kwargs);
  if (absl::IsNotFound(chat.status())) {
    model.chat_refused = "the model has no chat template; use /v1/completions";
    return model;
  }
  RETURN_IF_ERROR(chat.status());
  model.chat = *std::move(chat);
  ASSIGN_OR_RETURN(model.chat_ends, CompletionEnds(ends, *model.tokenizer, &*model.chat));
  return model;
}

absl::StatusOr<std::vector<uint32_t>> ServedModel::ChatPrompt(
    const std::vector<ChatMessage>& messages) const {
  if (!chat.has_value()) return FieldError("messages", chat_refused);
  const absl::StatusOr<std::string> text = chat->Render(messages, /*add_generation_prompt=*/true);
  if (!text.ok()) return FieldError("messages", text.status().message());
  bool spells = false;
  std::vector<ChatMessage> placeholders = messages;
  for (size_t i = 0; i < messages.size() && !spells; ++i) {
    ASSIGN_OR_RETURN(spells, SpellsSpecial(*tokenizer, messages[i].content));
  }
  if (!spells) return tokenizer->EncodeWhole(*text);
  for (size_t i = 0; i < messages.size(); ++i) placeholders[i].content = Placeholder(i);
  const absl::StatusOr<std::string> around =
      chat->Render(placeholders, /*add_generation_prompt=*/true);
  if (!around.ok()) return FieldError("messages", around.status().message());
  return EncodeAround(*tokenizer, *text, *around, messages);
}

}  // namespace reckon
