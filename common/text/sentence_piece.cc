#include "common/text/sentence_piece.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/printable.h"
#include "common/base/status_macros.h"
#include "common/text/json.h"
#include "common/text/utf8.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/wire_format_lite.h"
#include "proto/sentence_piece.pb.h"

namespace reckon {
namespace {

using nlohmann::json;
using Piece = SentencePieceModel::Piece;
using TrainerSpec = SentencePieceModel::TrainerSpec;

constexpr size_t kMaxPieces = 500000;
constexpr size_t kMaxPieceBytes = 256;  // bounds the search for its parts
constexpr size_t kMaxMerges = 4000000;
constexpr char kSpace[] = "\xe2\x96\x81";  // U+2581

template <typename... T>
absl::Status InvalidModel(const T&... what) {
  return absl::InvalidArgumentError(absl::StrCat("tokenizer.model: ", what...));
}

template <typename... T>
absl::Status UnknownModel(const T&... what) {
  return absl::UnimplementedError(absl::StrCat("tokenizer.model: ", what...,
                                               " is not known to Reckon; save the model's ",
                                               "tokenizer.json beside it, as transformers does"));
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

bool NamesByte(const std::string& name) {
  for (int byte = 0; byte < 256; ++byte) {
    if (name == absl::StrFormat("<0x%02X>", byte)) return true;
  }
  return false;
}

class Translator {
 public:
  explicit Translator(const SentencePieceModel& model) : model_(model) {}

  absl::StatusOr<TranslatedSentencePiece> Translate() {
    RETURN_IF_ERROR(CheckSpecs());
    RETURN_IF_ERROR(ReadPieces());
    json library_model;
    if (model_.trainer_spec().model_type() == TrainerSpec::UNIGRAM) {
      library_model = Unigram();
    } else {
      ASSIGN_OR_RETURN(library_model, Bpe());
    }
    const json file = {{"version", "1.0"},
                       {"added_tokens", AddedTokens()},
                       {"normalizer", Normalizer()},
                       {"pre_tokenizer", nullptr},
                       {"post_processor", PostProcessor()},
                       {"decoder", Decoder()},
                       {"model", std::move(library_model)}};
    return TranslatedSentencePiece{.tokenizer_json = file.dump(),
                                   .before_text = AddsSpace() && KeepsText() ? " " : ""};
  }

 private:
  absl::Status CheckSpecs() const {
    const TrainerSpec& trainer = model_.trainer_spec();
    if (trainer.model_type() != TrainerSpec::BPE && trainer.model_type() != TrainerSpec::UNIGRAM) {
      return UnknownModel("trainer_spec.model_type ",
                          TrainerSpec::ModelType_Name(trainer.model_type()));
    }
    if (trainer.treat_whitespace_as_suffix()) return UnknownModel("treat_whitespace_as_suffix");
    if (!model_.denormalizer_spec().precompiled_charsmap().empty()) {
      return UnknownModel("a denormalizer with a charsmap");
    }
    if (!model_.normalizer_spec().escape_whitespaces()) {
      return UnknownModel("escape_whitespaces false");
    }
    return absl::OkStatus();
  }

  absl::Status ReadPieces() {
    if (model_.pieces_size() == 0) return InvalidModel("pieces: none");
    size_t bytes = 0;
    for (int id = 0; id < model_.pieces_size(); ++id) {
      const Piece& piece = model_.pieces(id);
      const std::string where = absl::StrCat("pieces[", id, "]");
      const std::string& name = piece.piece();
      if (name.empty() || name.size() > kMaxPieceBytes || !IsUtf8(name)) {
        return InvalidModel(where, ": should be 1 to ", kMaxPieceBytes, " bytes of UTF-8");
      }
      if (!ids_.emplace(name, id).second) {
        return InvalidModel(where, ": \"", Printable(name), "\" appears twice");
      }
      if (!std::isfinite(piece.score())) return InvalidModel(where, ": score is not finite");
      if (piece.type() == Piece::UNKNOWN && std::exchange(unknown_, id) >= 0) {
        return InvalidModel(where, ": a second piece of type UNKNOWN");
      }
      if (piece.type() == Piece::BYTE && !NamesByte(name)) {
        return InvalidModel(where, ": \"", Printable(name), "\" names no byte, as <0x0A> does");
      }
      bytes += piece.type() == Piece::BYTE;
      if (piece.type() == Piece::NORMAL) lowest_ = std::min<double>(lowest_, piece.score());
    }
    if (unknown_ < 0) return InvalidModel("pieces: none has type UNKNOWN");
    const size_t wanted = model_.trainer_spec().byte_fallback() ? 256 : 0;
    if (bytes == wanted) return absl::OkStatus();
    return InvalidModel("pieces: ", bytes, " of type BYTE, should be ", wanted);
  }

  // The library joins pairs in the order of its list, SentencePiece by the score of what they make.
  absl::StatusOr<json> Bpe() const {
    struct Merge {
      float score;
      int left, right, result;  // ids
      int left_bytes;
    };
    std::vector<Merge> merges;
    for (int id = 0; id < model_.pieces_size(); ++id) {
      const Piece& piece = model_.pieces(id);
      if (piece.type() != Piece::NORMAL) continue;
      const absl::string_view name = piece.piece();
      for (size_t cut = 1; cut < name.size(); ++cut) {
        const auto left = ids_.find(name.substr(0, cut)), right = ids_.find(name.substr(cut));
        if (left == ids_.end() || right == ids_.end()) continue;
        if (!IsNormal(left->second) || !IsNormal(right->second)) continue;
        merges.push_back({piece.score(), left->second, right->second, id, static_cast<int>(cut)});
      }
      if (merges.size() > kMaxMerges)
        return InvalidModel("pieces: more than ", kMaxMerges, " merges");
    }
    std::sort(merges.begin(), merges.end(), [](const Merge& a, const Merge& b) {
      return std::make_tuple(-a.score, a.left, a.right) <
             std::make_tuple(-b.score, b.left, b.right);
    });
    json list = json::array(), vocab = json::object();
    for (const Merge& merge : merges) {
      const std::string& name = model_.pieces(merge.result).piece();
      list.push_back({name.substr(0, merge.left_bytes), name.substr(merge.left_bytes)});
    }
    for (const auto& [name, id] : ids_) vocab[name] = id;
    return json{{"type", "BPE"},
                {"unk_token", model_.pieces(unknown_).piece()},
                {"fuse_unk", true},
                {"byte_fallback", model_.trainer_spec().byte_fallback()},
                {"vocab", std::move(vocab)},
                {"merges", std::move(list)}};
  }

  json Unigram() const {
    // SentencePiece never finds control and byte pieces in a text. The library does, so they score
    // far below any way to write their names with other pieces.
    constexpr double kNever = 1e5;
    json vocab = json::array();
    for (const Piece& piece : model_.pieces()) {
      const double score = piece.type() == Piece::NORMAL ? piece.score() : lowest_ - kNever;
      vocab.push_back({piece.piece(), score});
    }
    return {{"type", "Unigram"},
            {"unk_id", unknown_},
            {"byte_fallback", model_.trainer_spec().byte_fallback()},
            {"vocab", std::move(vocab)}};
  }

  json AddedTokens() const {
    json added = json::array();
    for (int id = 0; id < model_.pieces_size(); ++id) {
      const Piece& piece = model_.pieces(id);
      const bool special = piece.type() == Piece::CONTROL || piece.type() == Piece::UNKNOWN;
      if (!special && piece.type() != Piece::USER_DEFINED) continue;
      // User-defined pieces are looked for where spaces are U+2581 already, so one that spells a
      // space is never found.
      if (!special && absl::StrContains(piece.piece(), ' ')) continue;
      const bool normalized = !special && KeepsText();
      added.push_back({{"id", id},
                       {"content", piece.piece()},
                       {"single_word", false},
                       {"lstrip", false},
                       {"rstrip", false},
                       {"normalized", normalized},
                       {"special", special}});
    }
    return added;
  }

  json Normalizer() const {
    const auto& spec = model_.normalizer_spec();
    json parts = json::array();
    const auto replace = [&](json pattern, const std::string& content) {
      parts.push_back({{"type", "Replace"}, {"pattern", std::move(pattern)}, {"content", content}});
    };
    if (!spec.precompiled_charsmap().empty()) {
      parts.push_back({{"type", "Precompiled"},
                       {"precompiled_charsmap", absl::Base64Escape(spec.precompiled_charsmap())}});
    }
    if (spec.remove_extra_whitespaces()) {
      parts.push_back({{"type", "Strip"}, {"strip_left", true}, {"strip_right", true}});
      replace({{"Regex", " {2,}"}}, " ");
    }
    if (AddsSpace() && !KeepsText()) parts.push_back({{"type", "Prepend"}, {"prepend", kSpace}});
    replace({{"String", " "}}, kSpace);
    return {{"type", "Sequence"}, {"normalizers", std::move(parts)}};
  }

  // <s> begins a text if the model has it.
  json PostProcessor() const {
    const auto bos = ids_.find("<s>");
    if (bos == ids_.end() || model_.pieces(bos->second).type() != Piece::CONTROL) return nullptr;
    const json token = {{"SpecialToken", {{"id", "<s>"}, {"type_id", 0}}}};
    const auto sequence = [](const char* name, int type) {
      return json{{"Sequence", {{"id", name}, {"type_id", type}}}};
    };
    return {{"type", "TemplateProcessing"},
            {"single", json::array({token, sequence("A", 0)})},
            {"pair", json::array({token, sequence("A", 0), sequence("B", 1)})},
            {"special_tokens",
             {{"<s>", {{"id", "<s>"}, {"ids", {bos->second}}, {"tokens", {"<s>"}}}}}}};
  }

  static json Decoder() {
    return {{"type", "Sequence"},
            {"decoders",
             {{{"type", "Replace"}, {"pattern", {{"String", kSpace}}}, {"content", " "}},
              {{"type", "ByteFallback"}},
              {{"type", "Fuse"}}}}};
  }

  bool AddsSpace() const { return model_.normalizer_spec().add_dummy_prefix(); }
  // Whether normalising changes nothing but spaces to U+2581. If not, the space before a text must
  // be written afterwards, which the library does for each piece between added tokens.
  bool KeepsText() const {
    const auto& spec = model_.normalizer_spec();
    return spec.precompiled_charsmap().empty() && !spec.remove_extra_whitespaces();
  }
  bool IsNormal(int id) const { return model_.pieces(id).type() == Piece::NORMAL; }

  const SentencePieceModel& model_;
  absl::flat_hash_map<std::string, int> ids_;  // by name
  int unknown_ = -1;
  double lowest_ = 0;  // score of a normal piece
};

}  // namespace

absl::StatusOr<TranslatedSentencePiece> TranslateSentencePiece(absl::string_view tokenizer_model) {
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
  return Translator(model).Translate();
}

}  // namespace reckon
