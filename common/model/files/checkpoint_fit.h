#ifndef RECKON_COMMON_MODEL_FILES_CHECKPOINT_FIT_H_
#define RECKON_COMMON_MODEL_FILES_CHECKPOINT_FIT_H_

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/model/config.h"
#include "common/model/files/safetensors_file.h"
#include "proto/weights.pb.h"

namespace reckon {

// Which tensors of a checkpoint are those of the model that its config.json describes. Made from
// the headers of the files alone, so that a wrong folder is refused before anything is started.
//
// Programs that save models differ in what they add and how they call it. What is accepted:
//   another prefix than "model."   base models are saved without it ("layers.0...."), language
//   models
//                                  of larger ones with more ("language_model.model.layers.0....")
//   tensors that follow from       rotary frequencies and causal masks, which are not parameters;
//   they config.json                    are left out both ends of tied embeddings   the head is
//   left out; its bytes must be the embedding's the head alone of tied ones    it is the embedding
struct CheckpointFit {
  struct Source {
    size_t file = 0;     // index of the file that stores it
    TensorEntry tensor;  // named as ModelConfig::Tensors does; the offset is in the file's data
  };
  std::vector<Source> tensors;      // those of ModelConfig::Tensors, in the order of the files
  std::optional<Source> tied_head;  // stored, although it is the embedding
  std::vector<std::string> notes;   // what was left out or renamed, a line each
};

// `listing` is the file that lists the tensors (an index, or the one file), for errors. An error,
// INVALID_ARGUMENT, is one line that names the file and the first tensor that is missing, of no
// use, of another shape than config.json asks for, or of a type that is not read.
absl::StatusOr<CheckpointFit> FitCheckpoint(const ModelConfig& config,
                                            absl::Span<const SafetensorsFile> files,
                                            const std::string& listing);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_FILES_CHECKPOINT_FIT_H_
