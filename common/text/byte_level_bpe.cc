#include "common/text/byte_level_bpe.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/text/byte_alphabet.h"
#include "common/text/nfc.h"
#include "common/text/utf8.h"

namespace reckon {

struct ByteLevelBpe::Work {
  bool parse_special;
  std::vector<uint32_t> ids;
  std::vector<uint32_t> word;
  BpeMerges::Scratch scratch;
};

std::vector<uint32_t> ByteLevelBpe::Encode(absl::string_view text, bool parse_special) const {
  Work work{.parse_special = parse_special};
  EncodeAround(parts_.first_added, text, &work);
  return std::move(work.ids);
}

std::vector<uint32_t> ByteLevelBpe::EncodeBeginning(absl::string_view text) const {
  std::vector<uint32_t> ids = Encode(text, /*parse_special=*/false);
  if (parts_.bos.has_value()) ids.insert(ids.begin(), *parts_.bos);
  return ids;
}

void ByteLevelBpe::EncodeAround(const AddedTokenTrie& added, absl::string_view text,
                                Work* work) const {
  auto encode_between = [&](absl::string_view piece) {
    if (piece.empty()) return;
    if (&added == &parts_.first_added) {
      EncodeAround(parts_.second_added, parts_.nfc ? ToNfc(piece) : piece, work);
    } else {
      EncodeText(piece, work);
    }
  };
  size_t start = 0;
  size_t from = 0;
  while (auto match = added.Find(text, from)) {
    from = match->start + match->length;
    if (parts_.special[match->id] && !work->parse_special) continue;
    encode_between(text.substr(start, match->start - start));
    work->ids.push_back(match->id);
    start = from;
  }
  encode_between(text.substr(start));
}

void ByteLevelBpe::EncodeText(absl::string_view text, Work* work) const {
  SplitWords(parts_.pre_tokenizer, text, [&](absl::string_view word) { EncodeWord(word, work); });
}

void ByteLevelBpe::EncodeWord(absl::string_view word, Work* work) const {
  if (parts_.ignore_merges) {
    std::string spelled;
    for (char c : word) absl::StrAppend(&spelled, LetterOfByte(static_cast<uint8_t>(c)));
    auto id = parts_.ids.find(spelled);
    if (id != parts_.ids.end() && id->second < parts_.model_size) {
      work->ids.push_back(id->second);
      return;
    }
  }
  work->word.clear();
  for (char c : word) {
    const uint32_t id = parts_.byte_ids[static_cast<uint8_t>(c)];
    if (id != kNoId) work->word.push_back(id);
  }
  parts_.merges.Apply(work->word, &work->scratch, &work->ids);
}

std::string ByteLevelBpe::Decode(absl::Span<const uint32_t> ids, bool skip_special) const {
  std::string bytes;
  for (uint32_t id : ids) {
    if (id >= parts_.bytes.size() || (skip_special && parts_.special[id])) continue;
    bytes += parts_.bytes[id];
  }
  return RepairUtf8(bytes);
}

absl::string_view ByteLevelBpe::TokenBytes(uint32_t id) const {
  if (id >= parts_.bytes.size() || parts_.special[id]) return "";
  return parts_.bytes[id];
}

std::optional<uint32_t> ByteLevelBpe::TokenId(absl::string_view token) const {
  auto id = parts_.ids.find(token);
  if (id == parts_.ids.end()) return std::nullopt;
  return id->second;
}

}  // namespace reckon
