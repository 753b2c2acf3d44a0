#ifndef RECKON_COMMON_TEXT_SENTENCE_PIECE_BPE_H_
#define RECKON_COMMON_TEXT_SENTENCE_PIECE_BPE_H_

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/text/added_tokens.h"
#include "common/text/bpe.h"
#include "common/text/tokenizer.h"

namespace reckon {

// SentencePiece's BPE (Kudo & Richardson 2018) as Llama 2 uses it: a space is written as U+2581,
// the pair whose result has the best score is joined first, and a character without a piece becomes
// its bytes. Equal to the `sentencepiece` package, whose C++ library is not used because Debian
// builds a second copy of protobuf into it.
//
// Encode adds no space before the text, because it continues another one. EncodeBeginning writes
// <s> and a space, unless the model says otherwise. Decode keeps that space. Immutable and
// thread-safe.
class SentencePieceBpe final : public Tokenizer {
 public:
  // `tokenizer_model`: a serialized SentencePiece ModelProto.
  static absl::StatusOr<std::unique_ptr<Tokenizer>> Create(absl::string_view tokenizer_model);

  std::vector<uint32_t> Encode(absl::string_view text, bool parse_special) const override;
  std::vector<uint32_t> EncodeBeginning(absl::string_view text) const override;
  std::string Decode(absl::Span<const uint32_t> ids, bool skip_special) const override;
  absl::string_view TokenBytes(uint32_t id) const override;
  std::optional<uint32_t> TokenId(absl::string_view token) const override;
  size_t vocab_size() const override { return pieces_.size(); }

 private:
  friend class SentencePieceReader;
  struct Piece {
    std::string name, bytes;  // as the model spells it, and as Decode writes it
    bool special = false;
  };
  struct Work;  // what one call of Encode writes

  SentencePieceBpe() = default;
  void EncodeText(absl::string_view text, Work* work) const;
  void EncodeEscaped(absl::string_view text, Work* work) const;

  std::vector<Piece> pieces_;
  absl::flat_hash_map<std::string, uint32_t> ids_;  // by name
  // The symbols that merges join: pieces by their ids, then characters that only occur in pieces.
  absl::flat_hash_map<std::string, uint32_t> symbols_;
  std::vector<std::string> parts_;  // those characters, from id pieces_.size() on
  BpeMerges merges_;
  AddedTokenTrie special_, user_defined_;
  std::array<uint32_t, 256> byte_ids_ = {};
  bool byte_fallback_ = false, dummy_prefix_ = true;
  uint32_t unknown_ = 0;
  std::optional<uint32_t> bos_;
};

}  // namespace reckon

#endif  // RECKON_COMMON_TEXT_SENTENCE_PIECE_BPE_H_
