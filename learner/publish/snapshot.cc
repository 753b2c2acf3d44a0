#include "learner/publish/snapshot.h"

#include <algorithm>
#include <cstring>
#include <map>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/base/thread_pool.h"
#include "common/model/files/manifest.h"
#include "common/model/files/weight_bytes.h"
#include "common/model/kernels/dtype.h"
#include "learner/publish/exported_texts.h"

namespace reckon {
namespace {

constexpr int64_t kBlock = 1 << 16;  // elements of one thread's share

// Parameters are never NaN, which ToBf16 could not round: PolicyUpdate takes no step of a gradient
// that is not finite.
void RoundToBf16(const at::Tensor& from, char* to) {
  const float* source = from.const_data_ptr<float>();
  auto* target = reinterpret_cast<uint16_t*>(to);
  const int64_t n = from.numel();
  ParallelFor((n + kBlock - 1) / kBlock, [&](int64_t block) {
    const int64_t first = block * kBlock;
    ToBf16(source + first, std::min(kBlock, n - first), target + first);
  });
}

}  // namespace

absl::Status WriteSnapshot(const std::string& folder, const Weights& base, Dtype compute,
                           const NamedTensors& parameters, SnapshotAdditions additions) {
  const bool bf16 = compute == Dtype::kBf16;
  std::map<std::string, at::Tensor> by_name(parameters.begin(), parameters.end());
  WeightManifest manifest = base.manifest;
  for (TensorEntry& tensor : *manifest.mutable_tensors()) tensor.set_dtype(bf16 ? "BF16" : "F32");
  RETURN_IF_ERROR(LayOut(&manifest));
  ASSIGN_OR_RETURN(std::shared_ptr<WeightBytes> bytes, WeightBytes::OfSize(manifest.total_bytes()));
  for (const TensorEntry& tensor : manifest.tensors()) {
    auto parameter = by_name.find(tensor.name());
    if (parameter == by_name.end()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "tensor ", tensor.name(), " of the model folder is not a parameter of the model"));
    }
    const at::Tensor values = parameter->second.to(at::kCPU, at::kFloat);
    char* to = bytes->data() + tensor.offset();
    if (bf16) {
      RoundToBf16(values, to);
    } else {
      std::memcpy(to, values.const_data_ptr(), values.nbytes());
    }
  }
  SideFiles side_files = base.side_files;
  RETURN_IF_ERROR(SetTrainedFacts({.dtype = bf16 ? "bfloat16" : "float32",
                                   .end_ids = additions.end_ids,
                                   .end_token = additions.end_token},
                                  &manifest, &side_files));
  side_files.merge(additions.files);
  return WriteModelFolder(folder, manifest, bytes->bytes(), side_files);
}

}  // namespace reckon
