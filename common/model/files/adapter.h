#ifndef RECKON_COMMON_MODEL_FILES_ADAPTER_H_
#define RECKON_COMMON_MODEL_FILES_ADAPTER_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/model/files/adapter_config.h"
#include "common/model/files/safetensors_file.h"
#include "proto/weights.pb.h"

namespace reckon {

// An adapter folder as PEFT saves it: adapter_config.json and adapter_model.safetensors, low-rank
// changes to the weights of a base model that is in another folder (Hu et al. 2021). A tensor is
// "base_model.model." and the base's name with lora_A or lora_B in it; one without is given whole,
// as those of modules_to_save are, and embeddings whose layer is adapted.
//
// Fit checks names, shapes and types from the header; MergeInto then changes the base's weights:
// W + scale * B A, computed in fp32 and rounded once to W's type. Errors name the folder's file and
// the tensor.
class AdapterFolder {
 public:
  // Whether it is an adapter folder and not a model folder, which may contain an adapter as well.
  static bool Is(const std::string& folder);
  static absl::StatusOr<AdapterFolder> Open(const std::string& folder);

  // The folder of the base model: `given` unless empty, else what adapter_config.json names, from
  // here or from the adapter folder. NOT_FOUND says what the folder is and what to do.
  absl::StatusOr<std::string> BaseFolder(const std::string& given) const;
  // Pairs the tensors with those of the base. INVALID_ARGUMENT: one does not fit.
  absl::Status Fit(const WeightManifest& base);
  // After Fit. `bytes`: the base's weights, laid out as its manifest says.
  absl::Status MergeInto(const WeightManifest& base, char* bytes) const;

 private:
  // What becomes of one tensor of the base.
  struct Change {
    TensorEntry target;
    const TensorEntry* a = nullptr;
    const TensorEntry* b = nullptr;
    const TensorEntry* whole = nullptr;
    double scale = 0;
  };
  AdapterFolder(std::string folder, AdapterConfig config, SafetensorsFile file)
      : folder_(std::move(folder)), config_(std::move(config)), file_(std::move(file)) {}
  absl::Status Wrong(absl::string_view tensor, absl::string_view what) const;
  absl::Status CheckChange(Change* change) const;
  absl::StatusOr<std::vector<float>> ReadFloats(const TensorEntry& tensor) const;
  absl::Status Merge(const Change& change, char* weight) const;

  std::string folder_;
  AdapterConfig config_;
  SafetensorsFile file_;
  std::vector<Change> changes_;
};

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_FILES_ADAPTER_H_
