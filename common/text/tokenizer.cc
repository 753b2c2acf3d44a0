#include "common/text/tokenizer.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/printable.h"
#include "common/base/status_macros.h"
#include "common/text/byte_alphabet.h"
#include "common/text/byte_level_bpe.h"
#include "common/text/json.h"
#include "common/text/nfc.h"
#include "common/text/post_processor.h"
#include "common/text/sentence_piece_bpe.h"

namespace reckon {
namespace {

using nlohmann::json;
using Parts = ByteLevelBpe::Parts;

constexpr size_t kMaxVocab = 1000000;
constexpr size_t kMaxAddedTokenBytes = 256;  // bounds the search for added tokens
constexpr size_t kMaxAddedTokens = 4096;

absl::Status Invalid(absl::string_view field, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("tokenizer.json: ", field, ": ", what));
}

absl::Status Unknown(absl::string_view field, absl::string_view what) {
  return absl::UnimplementedError(
      absl::StrCat("tokenizer.json: ", field, ": ", what,
                   " is not known to Reckon; it knows byte-level BPE as GPT-2 and SmolLM2 use it"));
}

// Adds the place to an error of a getter.
absl::Status In(absl::string_view field, const absl::Status& status) {
  return absl::Status(status.code(),
                      absl::StrCat("tokenizer.json: ", field, ": ", status.message()));
}

std::string Quoted(absl::string_view token) { return absl::StrCat("\"", Printable(token), "\""); }

absl::Status RefuseUnlessNull(const json& object, absl::string_view where, absl::string_view name) {
  const json* value = FindField(object, name);
  if (value == nullptr) return absl::OkStatus();
  std::string type = value->is_object() ? GetStringOr(*value, "type", "").value_or("") : "";
  return Unknown(absl::StrCat(where, name), type.empty() ? "a value" : Quoted(type));
}

absl::Status RefuseIfTrue(const json& object, absl::string_view where, absl::string_view name) {
  auto value = GetBoolOr(object, name, false);
  if (!value.ok()) return In(where, value.status());
  return *value ? Unknown(absl::StrCat(where, ".", name), "true") : absl::OkStatus();
}

// `name` may be null or of type ByteLevel.
absl::Status CheckByteLevelOrNull(const json& root, absl::string_view name) {
  const json* part = FindField(root, name);
  if (part == nullptr) return absl::OkStatus();
  auto type = GetString(*part, "type");
  if (!type.ok()) return In(name, type.status());
  return *type == "ByteLevel" ? absl::OkStatus()
                              : Unknown(name, absl::StrCat("type ", Quoted(*type)));
}

// Reads everything except vocabulary, merges and added tokens that can change ids or text.
absl::Status CheckComponents(const json& root, const json& model) {
  for (absl::string_view name : {"truncation", "padding"}) {
    RETURN_IF_ERROR(RefuseUnlessNull(root, "", name));
  }
  if (FindField(root, "decoder") == nullptr) return Unknown("decoder", "null");
  RETURN_IF_ERROR(CheckByteLevelOrNull(root, "decoder"));

  auto type = GetString(model, "type");
  if (!type.ok()) return In("model", type.status());
  if (*type != "BPE") return Unknown("model.type", Quoted(*type));
  if (const json* dropout = FindField(model, "dropout"); dropout != nullptr && *dropout != 0.0) {
    return Unknown("model.dropout", "a value");
  }
  for (absl::string_view name : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    auto affix = GetStringOr(model, name, "");
    if (!affix.ok()) return In("model", affix.status());
    if (!affix->empty()) return Unknown(absl::StrCat("model.", name), Quoted(*affix));
  }
  return RefuseIfTrue(model, "model", "byte_fallback");
}

absl::Status ReadVocab(const json& model, Parts* parts) {
  auto vocab = GetObject(model, "vocab");
  if (!vocab.ok()) return In("model", vocab.status());
  const size_t size = (*vocab)->size();
  if (size == 0 || size > kMaxVocab) {
    return Invalid("model.vocab", absl::StrCat(size, " tokens, should be 1 to ", kMaxVocab));
  }
  parts->model_size = static_cast<uint32_t>(size);
  parts->bytes.resize(size);
  parts->special.resize(size);
  std::vector<bool> seen(size);
  for (const auto& [token, value] : (*vocab)->items()) {
    const bool is_id = value.is_number_unsigned() && value.get<uint64_t>() < size;
    const size_t id = is_id ? value.get<size_t>() : 0;
    if (!is_id || seen[id]) {
      return Invalid(
          "model.vocab",
          absl::StrCat(Quoted(token), is_id ? " has an id that another has too" : " has no id",
                       ", ids should be 0 to ", size - 1));
    }
    seen[id] = true;
    parts->ids[token] = static_cast<uint32_t>(id);
    parts->bytes[id] = BytesOfLetters(token).value_or(token);
  }
  bool all_bytes = true;
  for (int byte = 0; byte < 256; ++byte) {
    auto id = parts->ids.find(LetterOfByte(static_cast<uint8_t>(byte)));
    parts->byte_ids[byte] = id == parts->ids.end() ? ByteLevelBpe::kNoId : id->second;
    all_bytes = all_bytes && id != parts->ids.end();
  }
  if (FindField(model, "unk_token") != nullptr && !all_bytes) {
    return Unknown("model.unk_token", "a value (with bytes missing in the vocabulary)");
  }
  return absl::OkStatus();
}

// A merge is "a b" or ["a", "b"].
absl::Status ReadMerges(const json& model, Parts* parts) {
  auto merges = GetArray(model, "merges");
  if (!merges.ok()) return In("model", merges.status());
  for (size_t rank = 0; rank < (*merges)->size(); ++rank) {
    const json& merge = (**merges)[rank];
    const std::string where = absl::StrCat("model.merges[", rank, "]");
    std::string left, right;
    if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
      left = merge[0].get<std::string>();
      right = merge[1].get<std::string>();
    } else if (merge.is_string()) {
      const auto& text = merge.get_ref<const std::string&>();
      const size_t space = text.find(' ');
      if (space == std::string::npos || text.find(' ', space + 1) != std::string::npos) {
        return Invalid(where, "should be two tokens with a space between");
      }
      left = text.substr(0, space);
      right = text.substr(space + 1);
    } else {
      return Invalid(where, "should be \"a b\" or [\"a\", \"b\"]");
    }
    uint32_t ids[3];
    size_t n = 0;
    for (const std::string& token : {left, right, left + right}) {
      auto id = parts->ids.find(token);
      if (id == parts->ids.end()) {
        return Invalid(where, absl::StrCat(Quoted(token), " is not in the vocabulary"));
      }
      ids[n++] = id->second;
    }
    if (left.empty() || right.empty()) return Invalid(where, "joins an empty token");
    parts->merges.Add(ids[0], ids[1], static_cast<uint32_t>(rank), ids[2]);
  }
  return absl::OkStatus();
}

absl::Status ReadAddedToken(const json& added, absl::string_view where, Parts* parts) {
  auto content = GetString(added, "content");
  if (!content.ok()) return In(where, content.status());
  if (content->empty() || content->size() > kMaxAddedTokenBytes) {
    return Invalid(where, absl::StrCat("content of ", content->size(), " bytes, should be 1 to ",
                                       kMaxAddedTokenBytes));
  }
  for (absl::string_view name : {"single_word", "lstrip", "rstrip"}) {
    RETURN_IF_ERROR(RefuseIfTrue(added, where, name));
  }
  auto special = GetBool(added, "special");
  if (!special.ok()) return In(where, special.status());
  auto normalized = GetBoolOr(added, "normalized", !*special);
  if (!normalized.ok()) return In(where, normalized.status());
  auto id = GetInt(added, "id");
  if (!id.ok()) return In(where, id.status());
  // Where these differ the package assigns ids of its own, so such a file is refused.
  auto [known, is_new] =
      parts->ids.try_emplace(*content, static_cast<uint32_t>(parts->bytes.size()));
  if (*id != known->second) {
    return Invalid(
        where, absl::StrCat(Quoted(*content), " has id ", *id, ", should have ", known->second));
  }
  if (is_new) {
    parts->bytes.push_back(BytesOfLetters(*content).value_or(*content));
    parts->special.push_back(false);
  }
  if (*special) parts->special[known->second] = true;
  if (*normalized) {
    parts->second_added.Add(parts->nfc ? ToNfc(*content) : *content, known->second);
  } else {
    parts->first_added.Add(*content, known->second);
  }
  return absl::OkStatus();
}

absl::Status ReadAddedTokens(const json& root, Parts* parts) {
  if (FindField(root, "added_tokens") == nullptr) return absl::OkStatus();
  auto added = GetArray(root, "added_tokens");
  if (!added.ok()) return In("added_tokens", added.status());
  if ((*added)->size() > kMaxAddedTokens) {
    return Invalid("added_tokens", absl::StrCat((*added)->size(), ", at most ", kMaxAddedTokens));
  }
  for (size_t i = 0; i < (*added)->size(); ++i) {
    RETURN_IF_ERROR(ReadAddedToken((**added)[i], absl::StrCat("added_tokens[", i, "]"), parts));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Tokenizer>> Tokenizer::Create(absl::string_view tokenizer_json,
                                                             absl::string_view tokenizer_model) {
  if (!tokenizer_model.empty()) return SentencePieceBpe::Create(tokenizer_model);
  auto root = ParseJson(tokenizer_json);
  if (!root.ok()) return In("file", root.status());
  auto model = GetObject(*root, "model");
  if (!model.ok()) return In("file", model.status());
  RETURN_IF_ERROR(CheckComponents(*root, **model));

  Parts parts;
  const json* pre_tokenizer = FindField(*root, "pre_tokenizer");
  if (pre_tokenizer == nullptr) return Unknown("pre_tokenizer", "null");
  auto known = ReadPreTokenizer(*pre_tokenizer);
  if (!known.ok()) return In("pre_tokenizer", known.status());
  parts.pre_tokenizer = *known;
  if (const json* normalizer = FindField(*root, "normalizer"); normalizer != nullptr) {
    parts.nfc = GetStringOr(*normalizer, "type", "").value_or("") == "NFC";
    if (!parts.nfc) RETURN_IF_ERROR(RefuseUnlessNull(*root, "", "normalizer"));
  }
  auto ignore_merges = GetBoolOr(**model, "ignore_merges", false);
  if (!ignore_merges.ok()) return In("model", ignore_merges.status());
  parts.ignore_merges = *ignore_merges;
  RETURN_IF_ERROR(ReadVocab(**model, &parts));
  RETURN_IF_ERROR(ReadMerges(**model, &parts));
  RETURN_IF_ERROR(ReadAddedTokens(*root, &parts));
  auto first = ReadPostProcessor(FindField(*root, "post_processor"));
  if (!first.ok()) return In("post_processor", first.status());
  if (first->has_value()) {
    auto id = parts.ids.find(**first);
    if (id == parts.ids.end()) {
      return Invalid("post_processor", absl::StrCat(Quoted(**first), " is not in the vocabulary"));
    }
    parts.bos = id->second;
  }
  return std::make_unique<ByteLevelBpe>(std::move(parts));
}

}  // namespace reckon
