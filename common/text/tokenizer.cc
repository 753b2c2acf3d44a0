#include "common/text/tokenizer.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/text/json.h"
#include "common/text/library_text.h"
#include "common/text/sentence_piece.h"
#include "common/text/utf8.h"

namespace reckon {
namespace {

// Bounds what one call holds; prompts and completions are far below.
constexpr size_t kMaxTextBytes = size_t{64} << 20;

class LibraryTokenizer final : public Tokenizer {
 public:
  // `file`: its name in errors.
  static absl::StatusOr<std::unique_ptr<Tokenizer>> Create(absl::string_view file,
                                                           absl::string_view json,
                                                           Utf8Repair repair,
                                                           std::string before_text = "") {
    const auto failed = [&](absl::string_view what) {
      return absl::InvalidArgumentError(absl::StrCat(file, ": ", OneLine(what)));
    };
    if (json.size() > kMaxJsonBytes) {
      return failed(absl::StrCat(json.size(), " bytes, at most ", kMaxJsonBytes));
    }
    std::string error;
    auto made = std::make_unique<LibraryTokenizer>();
    made->library_ = reckon_tokenizer_new(AsReckonText(json), AppendBytes, &error);
    if (made->library_ == nullptr) return failed(error);
    made->file_ = std::string(file);
    made->repair_ = repair;
    made->before_text_ = std::move(before_text);
    made->ReadTokens();
    // A vocabulary that lacks a token for unknown characters fails here, not in the middle of a
    // run.
    if (absl::Status status = made->Encode("\xee\x80\x80", false).status(); !status.ok())
      return status;
    return made;
  }
  LibraryTokenizer() = default;
  ~LibraryTokenizer() override { reckon_tokenizer_free(library_); }

  absl::StatusOr<std::vector<uint32_t>> Encode(absl::string_view text,
                                               bool parse_special) const override {
    return Ids(text, parse_special, /*beginning=*/false, {});
  }
  absl::StatusOr<std::vector<uint32_t>> EncodeBeginning(absl::string_view text) const override {
    return Ids(text, /*parse_special=*/false, /*beginning=*/true, prefix_);
  }
  absl::StatusOr<std::vector<uint32_t>> EncodeWhole(absl::string_view text) const override {
    return Ids(text, /*parse_special=*/true, /*beginning=*/true, {});
  }

  std::string Decode(absl::Span<const uint32_t> ids, bool skip_special) const override {
    std::string bytes;
    for (uint32_t id : ids) {
      if (id >= tokens_.size()) continue;
      if (tokens_[id].special && skip_special) continue;
      bytes += tokens_[id].bytes;
    }
    return RepairUtf8(bytes, repair_);
  }
  absl::string_view TokenBytes(uint32_t id) const override {
    if (id >= tokens_.size() || tokens_[id].special) return "";
    return tokens_[id].bytes;
  }
  std::optional<uint32_t> TokenId(absl::string_view token) const override {
    uint32_t id = 0;
    if (!reckon_tokenizer_id_of(library_, AsReckonText(token), &id)) return std::nullopt;
    return id;
  }
  size_t vocab_size() const override { return tokens_.size(); }
  bool HasToken(uint32_t id) const override { return id < tokens_.size() && tokens_[id].exists; }

 private:
  struct Token {
    std::string bytes;  // of a special token: its name
    bool special = false;
    bool exists = false;
  };

  void ReadTokens() {
    tokens_.resize(reckon_tokenizer_vocab_size(library_));
    for (uint32_t id = 0; id < tokens_.size(); ++id) {
      Token& token = tokens_[id];
      token.exists =
          reckon_tokenizer_token(library_, id, &token.special, AppendBytes, &token.bytes);
    }
    reckon_tokenizer_prefix(library_, AppendIds, &prefix_);
  }

  // `before`, then the ids of the text.
  absl::StatusOr<std::vector<uint32_t>> Ids(absl::string_view text, bool parse_special,
                                            bool beginning, std::vector<uint32_t> before) const {
    if (text.size() > kMaxTextBytes) {
      return absl::InvalidArgumentError(
          absl::StrCat("a text of ", text.size(), " bytes is above ", kMaxTextBytes));
    }
    std::string repaired, begun, error;
    if (beginning && !before_text_.empty() && !text.empty()) {
      begun = absl::StrCat(before_text_, text);
      text = begun;
    }
    if (!IsUtf8(text)) {
      repaired = RepairUtf8(text, repair_);
      text = repaired;
    }
    if (!reckon_tokenizer_encode(library_, AsReckonText(text), parse_special, beginning, AppendIds,
                                 &before, AppendBytes, &error)) {
      return absl::InvalidArgumentError(
          absl::StrCat(file_, ": cannot encode a text: ", OneLine(error)));
    }
    return before;
  }

  ReckonTokenizer* library_ = nullptr;
  std::string file_;
  Utf8Repair repair_ = Utf8Repair::kMaximalSubparts;
  std::string before_text_;
  std::vector<Token> tokens_;     // by id
  std::vector<uint32_t> prefix_;  // of a beginning
};

}  // namespace

absl::StatusOr<std::unique_ptr<Tokenizer>> Tokenizer::Create(absl::string_view tokenizer_json,
                                                             absl::string_view tokenizer_model) {
  if (!tokenizer_json.empty() || tokenizer_model.empty()) {
    return LibraryTokenizer::Create("tokenizer.json", tokenizer_json, Utf8Repair::kMaximalSubparts);
  }
  ASSIGN_OR_RETURN(const TranslatedSentencePiece translated,
                   TranslateSentencePiece(tokenizer_model));
  return LibraryTokenizer::Create("tokenizer.model", translated.tokenizer_json,
                                  Utf8Repair::kEachByte, translated.before_text);
}

absl::StatusOr<std::vector<std::pair<std::string, std::string>>> TrainMerges(
    absl::Span<const std::string> texts, size_t count) {
  std::vector<std::string> repaired;
  for (const std::string& text : texts) repaired.push_back(RepairUtf8(text));
  const std::vector<ReckonText> training = [&] {
    std::vector<ReckonText> list;
    for (const std::string& text : repaired) list.push_back(AsReckonText(text));
    return list;
  }();
  constexpr size_t kBytes = 256;
  std::string trained, error;
  if (!reckon_tokenizer_train(training.data(), training.size(), kBytes + count, AppendBytes,
                              &trained, AppendBytes, &error)) {
    return absl::InternalError(absl::StrCat("training a vocabulary: ", OneLine(error)));
  }
  ASSIGN_OR_RETURN(const nlohmann::json file, ParseJson(trained));
  ASSIGN_OR_RETURN(const nlohmann::json* model, GetObject(file, "model"));
  ASSIGN_OR_RETURN(const nlohmann::json* list, GetArray(*model, "merges"));
  return list->get<std::vector<std::pair<std::string, std::string>>>();
}

}  // namespace reckon
