#ifndef RECKON_COMMON_TEXT_RUST_RECKON_TEXT_H_
#define RECKON_COMMON_TEXT_RUST_RECKON_TEXT_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The C interface of the Rust library beside this file: Hugging Face's `tokenizers`, `minijinja`
// and Arrow's `parquet`. Only tokenizer.cc, chat_template.cc and parquet_rows.cc of common/text use
// it.
//
// A result is passed to a sink while the call that makes it lasts, so neither side frees what the
// other allocated. Functions that can fail pass one line to their error sink and return null or
// false. Panics become errors. Objects but ReckonParquet are immutable: threads may share them.

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ReckonTokenizer ReckonTokenizer;
typedef struct ReckonTemplate ReckonTemplate;
typedef struct ReckonParquet ReckonParquet;

typedef struct {
  const char* data;
  size_t size;
} ReckonText;

// `data` has `size` bytes, or `size` ids of 32 bits from functions that give ids.
typedef void (*ReckonSink)(void* context, const void* data, size_t size);

// `json`: a tokenizer.json. Its truncation, padding and dropout are not applied.
ReckonTokenizer* reckon_tokenizer_new(ReckonText json, ReckonSink error, void* error_context);
void reckon_tokenizer_free(ReckonTokenizer* tokenizer);
// One above the largest id.
size_t reckon_tokenizer_vocab_size(const ReckonTokenizer* tokenizer);
// The ids that the post-processor puts before a text.
void reckon_tokenizer_prefix(const ReckonTokenizer* tokenizer, ReckonSink ids, void* ids_context);
bool reckon_tokenizer_id_of(const ReckonTokenizer* tokenizer, ReckonText token, uint32_t* id);
// What decoding writes for an id, possibly a part of a character; of a special token its name.
// False: no token has this id.
bool reckon_tokenizer_token(const ReckonTokenizer* tokenizer, uint32_t id, bool* special,
                            ReckonSink bytes, void* bytes_context);
// `text` is UTF-8. Without `parse_special`, special tokens in it are ordinary text. With
// `beginning` it begins a text, so that a tokenizer that writes a space before texts does.
bool reckon_tokenizer_encode(const ReckonTokenizer* tokenizer, ReckonText text, bool parse_special,
                             bool beginning, ReckonSink ids, void* ids_context, ReckonSink error,
                             void* error_context);
// Trains byte-level BPE on UTF-8 texts and gives the tokenizer.json.
bool reckon_tokenizer_train(const ReckonText* texts, size_t num_texts, size_t vocab_size,
                            ReckonSink json, void* json_context, ReckonSink error,
                            void* error_context);

ReckonTemplate* reckon_template_new(ReckonText source, ReckonSink error, void* error_context);
void reckon_template_free(ReckonTemplate* chat_template);
// `variables`: a JSON object.
bool reckon_template_render(const ReckonTemplate* chat_template, ReckonText variables,
                            ReckonSink text, void* text_context, ReckonSink error,
                            void* error_context);

// The rows of a Parquet file, in order; not for several threads. Of a path, or of a content, which
// is copied.
ReckonParquet* reckon_parquet_open(ReckonText path, ReckonSink error, void* error_context);
ReckonParquet* reckon_parquet_new(ReckonText content, ReckonSink error, void* error_context);
void reckon_parquet_free(ReckonParquet* rows);
// Gives the next row as a JSON object; gives none at the end. After an error there are none.
bool reckon_parquet_next(ReckonParquet* rows, ReckonSink json, void* json_context, ReckonSink error,
                         void* error_context);

#ifdef __cplusplus
}
#endif

#endif  // RECKON_COMMON_TEXT_RUST_RECKON_TEXT_H_
