#include "common/task/prompt/completion_end.h"

#include <cstring>
#include <optional>
#include <string>

namespace reckon {
namespace {

// Text that no template contains.
constexpr char kAnswer[] = "@answer@";

// The first special token after an answer: "<|im_end|>" of "answer<|im_end|>\n".
std::optional<uint32_t> TurnEnd(const ChatTemplate& chat, const Tokenizer& tokenizer) {
  const absl::StatusOr<std::string> text =
      chat.Render({{"user", "question"}, {"assistant", kAnswer}}, /*add_generation_prompt=*/false);
  const size_t at = text.ok() ? text->rfind(kAnswer) : std::string::npos;
  if (at == std::string::npos) return std::nullopt;
  const absl::StatusOr<std::vector<uint32_t>> ids =
      tokenizer.Encode(text->substr(at + std::strlen(kAnswer)), /*parse_special=*/true);
  if (!ids.ok()) return std::nullopt;
  for (uint32_t id : *ids) {
    if (tokenizer.TokenBytes(id).empty()) return id;
  }
  return std::nullopt;
}

}  // namespace

absl::StatusOr<std::vector<uint32_t>> CompletionEnds(const EndTokens& ends,
                                                     const Tokenizer& tokenizer,
                                                     const ChatTemplate* chat) {
  std::optional<uint32_t> trained;
  if (chat != nullptr) trained = TurnEnd(*chat, tokenizer);
  if (!trained.has_value()) trained = ends.of_tokenizer;
  if (!trained.has_value() && !ends.ids.empty()) trained = ends.ids.front();
  if (!trained.has_value()) {
    return absl::FailedPreconditionError(
        "no completion could end: neither generation_config.json (eos_token_id), config.json "
        "(eos_token_id) nor tokenizer_config.json (eos_token) names a token of the tokenizer");
  }
  std::vector<uint32_t> out = {*trained};
  for (uint32_t id : ends.ids) {
    if (id != *trained) out.push_back(id);
  }
  return out;
}

}  // namespace reckon
