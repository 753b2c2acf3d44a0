#include "learner/publish/snapshot.h"

#include <algorithm>
#include <cstring>
#include <map>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/model/ops/thread_pool.h"
#include "common/weights/mapped_bytes.h"
#include "common/weights/model_folder.h"

namespace reckon {
namespace {

constexpr int64_t kBlock = 1 << 16;

// Round to nearest, ties to even; parameters are finite (PolicyUpdate sees to it).
uint16_t ToBf16(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  return static_cast<uint16_t>((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
}

void Round(const at::Tensor& from, char* to) {
  const float* source = from.const_data_ptr<float>();
  auto* target = reinterpret_cast<uint16_t*>(to);
  int64_t n = from.numel();
  ParallelFor((n + kBlock - 1) / kBlock, [&](int64_t block) {
    for (int64_t i = block * kBlock; i < std::min(n, (block + 1) * kBlock); ++i) {
      target[i] = ToBf16(source[i]);
    }
  });
}

}  // namespace

absl::Status WriteSnapshot(const std::string& folder, const WeightManifest& base, Compute compute,
                           const NamedTensors& parameters) {
  std::map<std::string, at::Tensor> by_name(parameters.begin(), parameters.end());
  WeightManifest manifest;
  manifest.set_config_json(base.config_json());
  manifest.set_tokenizer_json(base.tokenizer_json());
  manifest.set_tokenizer_config_json(base.tokenizer_config_json());
  manifest.set_tokenizer_model(base.tokenizer_model());
  for (const TensorEntry& tensor : base.tensors()) {
    *manifest.add_tensors() = tensor;
    manifest.mutable_tensors()->rbegin()->set_dtype(compute == Compute::kBf16 ? "BF16" : "F32");
  }
  RETURN_IF_ERROR(LayOut(&manifest));
  ASSIGN_OR_RETURN(std::shared_ptr<MappedBytes> bytes, MappedBytes::OfSize(manifest.total_bytes()));
  for (const TensorEntry& tensor : manifest.tensors()) {
    auto parameter = by_name.find(tensor.name());
    if (parameter == by_name.end()) {
      return absl::InvalidArgumentError(
          absl::StrCat("tensor ", tensor.name(), " of the model folder is no parameter"));
    }
    const at::Tensor values = parameter->second.to(at::kCPU);
    char* to = bytes->data() + tensor.offset();
    if (compute == Compute::kBf16) {
      Round(values, to);
    } else {
      std::memcpy(to, values.const_data_ptr(), values.nbytes());
    }
  }
  return WriteModelFolder(folder, manifest, bytes->bytes());
}

}  // namespace reckon
