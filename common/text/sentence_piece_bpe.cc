#include "common/text/sentence_piece_bpe.h"

#include <cmath>
#include <limits>
#include <map>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "common/base/printable.h"
#include "common/base/status_macros.h"
#include "common/text/utf8.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/wire_format_lite.h"
#include "proto/sentence_piece.pb.h"

namespace reckon {
namespace {

constexpr size_t kMaxPieces = 500000;
constexpr size_t kMaxPieceBytes = 256;     // bounds the search for its parts
constexpr size_t kMaxSearched = 4096;      // pieces that are looked for in the text
constexpr char kSpace[] = "\xe2\x96\x81";  // U+2581
constexpr char kReplacement[] = "\xef\xbf\xbd";
constexpr uint32_t kNoSymbol = std::numeric_limits<uint32_t>::max();

template <typename... T>
absl::Status InvalidModel(const T&... what) {
  return absl::InvalidArgumentError(absl::StrCat("tokenizer.model: ", what...));
}

absl::Status UnknownModel(absl::string_view what) {
  return absl::UnimplementedError(
      absl::StrCat("tokenizer.model: ", what,
                   " is not known to Reckon; it knows SentencePiece BPE as Llama 2 uses it"));
}

// Repairs as SentencePiece does: one U+FFFD for each byte that is not part of a character.
template <typename Take>
void EachCharacter(absl::string_view text, Take take) {
  for (size_t at = 0; at < text.size();) {
    const Utf8Char character = Utf8At(text, at);
    const bool valid = character.code != Utf8Char::kInvalid;
    const size_t length = valid ? character.length : 1;
    take(valid ? text.substr(at, length) : absl::string_view(kReplacement));
    at += length;
  }
}

// Counted before they are parsed, because an empty piece takes two bytes of the file and fifty of
// memory.
size_t CountPieces(absl::string_view model) {
  google::protobuf::io::CodedInputStream in(reinterpret_cast<const uint8_t*>(model.data()),
                                            static_cast<int>(model.size()));
  size_t pieces = 0;
  while (const uint32_t tag = in.ReadTag()) {
    using google::protobuf::internal::WireFormatLite;
    pieces += WireFormatLite::GetTagFieldNumber(tag) == SentencePieceModel::kPiecesFieldNumber;
    if (!WireFormatLite::SkipField(&in, tag)) break;
  }
  return pieces;
}

}  // namespace

// Turns a parsed model into a tokenizer, checking all it uses.
class SentencePieceReader {
 public:
  explicit SentencePieceReader(const SentencePieceModel& model)
      : model_(model), out_(absl::WrapUnique(new SentencePieceBpe())) {}

  absl::StatusOr<std::unique_ptr<Tokenizer>> Read() {
    RETURN_IF_ERROR(CheckSpecs());
    RETURN_IF_ERROR(ReadPieces());
    AddMerges();
    return std::move(out_);
  }

 private:
  using Piece = SentencePieceModel::Piece;

  absl::Status CheckSpecs() {
    const auto& trainer = model_.trainer_spec();
    if (trainer.model_type() != SentencePieceModel::TrainerSpec::BPE) {
      return UnknownModel(
          absl::StrCat("trainer_spec.model_type ",
                       SentencePieceModel::TrainerSpec::ModelType_Name(trainer.model_type())));
    }
    if (trainer.treat_whitespace_as_suffix()) return UnknownModel("treat_whitespace_as_suffix");
    const auto& normalizer = model_.normalizer_spec();
    if (!normalizer.precompiled_charsmap().empty() ||
        !model_.denormalizer_spec().precompiled_charsmap().empty()) {
      return UnknownModel("a normalizer with a charsmap");
    }
    if (normalizer.remove_extra_whitespaces()) return UnknownModel("remove_extra_whitespaces");
    if (!normalizer.escape_whitespaces()) return UnknownModel("escape_whitespaces false");
    out_->dummy_prefix_ = normalizer.add_dummy_prefix();
    out_->byte_fallback_ = trainer.byte_fallback();
    return absl::OkStatus();
  }

  absl::Status ReadPieces() {
    const size_t size = model_.pieces_size();
    if (size == 0) return InvalidModel("pieces: none");
    bool has_unknown = false;
    size_t bytes = 0;
    for (size_t id = 0; id < size; ++id) {
      const Piece& piece = model_.pieces(static_cast<int>(id));
      const std::string where = absl::StrCat("pieces[", id, "]");
      const std::string& name = piece.piece();
      if (name.empty() || name.size() > kMaxPieceBytes || !IsUtf8(name)) {
        return InvalidModel(where, ": should be 1 to ", kMaxPieceBytes, " bytes of UTF-8");
      }
      if (!out_->ids_.emplace(name, id).second) {
        return InvalidModel(where, ": \"", Printable(name), "\" appears twice");
      }
      if (!std::isfinite(piece.score())) return InvalidModel(where, ": score is not finite");
      if (piece.type() == Piece::UNUSED) return UnknownModel(where + ": type UNUSED");
      if (piece.type() == Piece::UNKNOWN && std::exchange(has_unknown, true)) {
        return InvalidModel(where, ": a second piece of type UNKNOWN");
      }
      out_->pieces_.push_back({name, "", false});
      if (piece.type() == Piece::BYTE) {
        RETURN_IF_ERROR(ReadByte(where, name, static_cast<uint32_t>(id)));
        ++bytes;
      } else {
        RETURN_IF_ERROR(ReadText(piece, static_cast<uint32_t>(id)));
      }
    }
    if (!has_unknown) return InvalidModel("pieces: none has type UNKNOWN");
    if (bytes != (out_->byte_fallback_ ? 256 : 0)) {
      return InvalidModel("pieces: ", bytes, " of type BYTE, should be ",
                          out_->byte_fallback_ ? 256 : 0);
    }
    if (auto bos = out_->ids_.find("<s>"); bos != out_->ids_.end()) {
      if (out_->pieces_[bos->second].special) out_->bos_ = bos->second;
    }
    return absl::OkStatus();
  }

  absl::Status ReadByte(absl::string_view where, const std::string& name, uint32_t id) {
    for (int byte = 0; byte < 256; ++byte) {
      if (name != absl::StrFormat("<0x%02X>", byte)) continue;
      out_->byte_ids_[byte] = id;
      out_->pieces_[id].bytes = static_cast<char>(byte);
      return absl::OkStatus();
    }
    return InvalidModel(where, ": \"", Printable(name), "\" names no byte, as <0x0A> does");
  }

  absl::Status ReadText(const Piece& piece, uint32_t id) {
    SentencePieceBpe::Piece& entry = out_->pieces_[id];
    const bool searched = piece.type() != Piece::NORMAL;
    if (searched && ++searched_ > kMaxSearched) {
      return InvalidModel("pieces: above ", kMaxSearched, " that are not of type NORMAL or BYTE");
    }
    switch (piece.type()) {
      case Piece::UNKNOWN:
      case Piece::CONTROL:
        entry.special = true;
        out_->special_.Add(entry.name, id);
        if (piece.type() == Piece::UNKNOWN) out_->unknown_ = id;
        return absl::OkStatus();
      case Piece::USER_DEFINED:
        out_->user_defined_.Add(entry.name, id);
        break;
      default:
        out_->symbols_.emplace(entry.name, id);
    }
    entry.bytes = absl::StrReplaceAll(entry.name, {{kSpace, " "}});
    return absl::OkStatus();
  }

  // Every way to make a piece of two symbols, ranked by the piece's score. Pieces of equal scores
  // share a rank: of these the leftmost in the text is made first.
  void AddMerges() {
    const int size = model_.pieces_size();
    std::map<float, uint32_t, std::greater<>> rank_of;
    for (int id = 0; id < size; ++id) {
      if (model_.pieces(id).type() == Piece::NORMAL) rank_of[model_.pieces(id).score()] = 0;
    }
    uint32_t next = 0;
    for (auto& [score, rank] : rank_of) rank = next++;
    for (int id = 0; id < size; ++id) {
      if (model_.pieces(id).type() == Piece::NORMAL) AddCharacters(model_.pieces(id).piece());
    }
    for (int id = 0; id < size; ++id) {
      const Piece& piece = model_.pieces(id);
      if (piece.type() != Piece::NORMAL) continue;
      const absl::string_view name = piece.piece();
      for (size_t cut = 1; cut < name.size(); ++cut) {
        auto left = out_->symbols_.find(name.substr(0, cut));
        if (left == out_->symbols_.end()) continue;
        auto right = out_->symbols_.find(name.substr(cut));
        if (right == out_->symbols_.end()) continue;
        out_->merges_.Add(left->second, right->second, rank_of[piece.score()],
                          static_cast<uint32_t>(id));
      }
    }
  }

  void AddCharacters(absl::string_view name) {
    EachCharacter(name, [&](absl::string_view character) {
      const size_t id = out_->pieces_.size() + out_->parts_.size();
      if (out_->symbols_.try_emplace(character, id).second) out_->parts_.emplace_back(character);
    });
  }

  const SentencePieceModel& model_;
  std::unique_ptr<SentencePieceBpe> out_;
  size_t searched_ = 0;
};

absl::StatusOr<std::unique_ptr<Tokenizer>> SentencePieceBpe::Create(
    absl::string_view tokenizer_model) {
  if (tokenizer_model.size() > size_t{std::numeric_limits<int>::max()}) {
    return InvalidModel("is not a SentencePiece model");
  }
  if (const size_t pieces = CountPieces(tokenizer_model); pieces > kMaxPieces) {
    return InvalidModel("pieces: ", pieces, ", should be 1 to ", kMaxPieces);
  }
  SentencePieceModel model;
  if (!model.ParseFromArray(tokenizer_model.data(), static_cast<int>(tokenizer_model.size()))) {
    return InvalidModel("is not a SentencePiece model");
  }
  return SentencePieceReader(model).Read();
}

struct SentencePieceBpe::Work {
  std::vector<uint32_t> ids, word, joined;
  size_t begin = 0;                          // of the ids of this text, between special tokens
  std::vector<absl::string_view> strangers;  // characters that no merge knows, in order
  BpeMerges::Scratch scratch;
};

std::vector<uint32_t> SentencePieceBpe::Encode(absl::string_view text, bool parse_special) const {
  Work work;
  size_t start = 0;
  while (auto match = parse_special ? special_.Find(text, start) : std::nullopt) {
    EncodeText(text.substr(start, match->start - start), &work);
    work.ids.push_back(match->id);
    start = match->start + match->length;
  }
  EncodeText(text.substr(start), &work);
  return std::move(work.ids);
}

std::vector<uint32_t> SentencePieceBpe::EncodeBeginning(absl::string_view text) const {
  Work work;
  if (bos_.has_value()) work.ids.push_back(*bos_);
  const bool prefix = dummy_prefix_ && !text.empty();
  EncodeText(prefix ? absl::StrCat(" ", text) : std::string(text), &work);
  return std::move(work.ids);
}

void SentencePieceBpe::EncodeText(absl::string_view text, Work* work) const {
  work->begin = work->ids.size();
  std::string escaped;
  EachCharacter(text, [&](absl::string_view character) {
    absl::StrAppend(&escaped, character == " " ? kSpace : character);
  });
  size_t start = 0;
  while (auto match = user_defined_.Find(escaped, start)) {
    EncodeEscaped(absl::string_view(escaped).substr(start, match->start - start), work);
    work->ids.push_back(match->id);
    start = match->start + match->length;
  }
  EncodeEscaped(absl::string_view(escaped).substr(start), work);
}

void SentencePieceBpe::EncodeEscaped(absl::string_view text, Work* work) const {
  work->word.clear();
  work->joined.clear();
  work->strangers.clear();
  EachCharacter(text, [&](absl::string_view character) {
    auto symbol = symbols_.find(character);
    work->word.push_back(symbol == symbols_.end() ? kNoSymbol : symbol->second);
    if (symbol == symbols_.end()) work->strangers.push_back(character);
  });
  merges_.Apply(work->word, &work->scratch, &work->joined);
  size_t stranger = 0;
  for (uint32_t id : work->joined) {
    if (id < pieces_.size()) {
      work->ids.push_back(id);
      continue;
    }
    const absl::string_view character = id == kNoSymbol
                                            ? work->strangers[stranger++]
                                            : absl::string_view(parts_[id - pieces_.size()]);
    if (byte_fallback_) {
      for (char byte : character) work->ids.push_back(byte_ids_[static_cast<uint8_t>(byte)]);
    } else if (work->ids.size() == work->begin || work->ids.back() != unknown_) {
      work->ids.push_back(unknown_);  // one for a run of them
    }
  }
}

std::string SentencePieceBpe::Decode(absl::Span<const uint32_t> ids, bool skip_special) const {
  std::string bytes, text;
  for (uint32_t id : ids) {
    if (id >= pieces_.size()) continue;
    bytes += pieces_[id].special && !skip_special ? pieces_[id].name : pieces_[id].bytes;
  }
  EachCharacter(bytes, [&](absl::string_view character) { absl::StrAppend(&text, character); });
  return text;
}

absl::string_view SentencePieceBpe::TokenBytes(uint32_t id) const {
  return id < pieces_.size() ? absl::string_view(pieces_[id].bytes) : "";
}

std::optional<uint32_t> SentencePieceBpe::TokenId(absl::string_view token) const {
  auto id = ids_.find(token);
  if (id == ids_.end()) return std::nullopt;
  return id->second;
}

}  // namespace reckon
