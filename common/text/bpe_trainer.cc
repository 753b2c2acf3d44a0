#include "common/text/bpe_trainer.h"

#include <cstdint>
#include <map>

#include "absl/container/flat_hash_map.h"
#include "common/text/pre_tokenizer.h"

namespace reckon {
namespace {

struct Word {
  std::vector<uint32_t> ids;
  uint64_t occurrences = 0;
};

std::vector<Word> CountWords(absl::Span<const std::string> texts) {
  std::map<std::string, uint64_t> counts;
  for (const std::string& text : texts) {
    SplitWords(PreTokenizer::kDigitsThenGpt2, text,
               [&](absl::string_view word) { ++counts[std::string(word)]; });
  }
  std::vector<Word> words;
  for (const auto& [text, occurrences] : counts) {
    Word word{{}, occurrences};
    for (char c : text) word.ids.push_back(static_cast<uint8_t>(c));
    words.push_back(std::move(word));
  }
  return words;
}

uint64_t PairKey(uint32_t left, uint32_t right) { return uint64_t{left} << 32 | right; }

void Join(uint64_t pair, uint32_t result, std::vector<uint32_t>* ids) {
  size_t out = 0;
  for (size_t i = 0; i < ids->size(); ++i) {
    const bool match = i + 1 < ids->size() && PairKey((*ids)[i], (*ids)[i + 1]) == pair;
    (*ids)[out++] = match ? result : (*ids)[i];
    if (match) ++i;
  }
  ids->resize(out);
}

}  // namespace

std::vector<std::pair<std::string, std::string>> TrainMerges(absl::Span<const std::string> texts,
                                                             size_t count) {
  std::vector<Word> words = CountWords(texts);
  std::vector<std::string> tokens;
  for (int byte = 0; byte < 256; ++byte) tokens.emplace_back(1, static_cast<char>(byte));
  absl::flat_hash_map<std::string, uint32_t> ids;  // of what merges made
  std::vector<std::pair<std::string, std::string>> merges;
  while (merges.size() < count) {
    absl::flat_hash_map<uint64_t, uint64_t> frequency;
    for (const Word& word : words) {
      for (size_t i = 0; i + 1 < word.ids.size(); ++i) {
        frequency[PairKey(word.ids[i], word.ids[i + 1])] += word.occurrences;
      }
    }
    uint64_t best = 0, most = 1;
    for (const auto& [pair, times] : frequency) {
      if (times > most || (times == most && most > 1 && pair < best)) {
        best = pair;
        most = times;
      }
    }
    if (most < 2) break;
    merges.emplace_back(tokens[best >> 32], tokens[best & 0xffffffff]);
    // Another merge may have made the same token from other parts.
    const auto [token, is_new] =
        ids.try_emplace(merges.back().first + merges.back().second, tokens.size());
    if (is_new) tokens.push_back(token->first);
    for (Word& word : words) Join(best, token->second, &word.ids);
  }
  return merges;
}

}  // namespace reckon
