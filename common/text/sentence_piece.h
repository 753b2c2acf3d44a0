#ifndef RECKON_COMMON_TEXT_SENTENCE_PIECE_H_
#define RECKON_COMMON_TEXT_SENTENCE_PIECE_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace reckon {

// Translates a tokenizer.model (a serialized SentencePiece ModelProto; Kudo & Richardson 2018) into
// a tokenizer.json of equal ids, as `transformers` converts slow tokenizers:
//
//   pieces           vocabulary; of BPE also the merges, by descending score of their result
//   user-defined     added tokens, found before anything else
//   control, unknown special tokens
//   normaliser       the precompiled map, runs of spaces, a space as U+2581
//   dummy prefix     before_text, which is not in the file: inside a text there is none. With a
//                    normaliser that changes texts a Prepend, which Tokenizer leaves out there
//
// BPE and Unigram. Not exact: pieces of BPE that hold a character without a piece of its own are
// never made, and pieces of one score are joined in the order of the vocabulary. INVALID_ARGUMENT
// or UNIMPLEMENTED "tokenizer.model: field: what is wrong".
struct TranslatedSentencePiece {
  std::string tokenizer_json;
  std::string before_text;  // written before the beginning of a text that is not empty
};
absl::StatusOr<TranslatedSentencePiece> TranslateSentencePiece(absl::string_view tokenizer_model);

}  // namespace reckon

#endif  // RECKON_COMMON_TEXT_SENTENCE_PIECE_H_
