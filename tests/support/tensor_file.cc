#include "tests/support/tensor_file.h"

#include <cstring>
#include <utility>

#include "common/base/files.h"
#include "common/model/files/safetensors.h"
// Last.
#include "common/base/log.h"

namespace reckon {

std::vector<StoredTensor> TensorsOf(const Weights& weights) {
  std::vector<StoredTensor> out;
  for (const TensorEntry& tensor : weights.manifest.tensors()) {
    out.push_back(
        {tensor.name(),
         tensor.dtype(),
         {tensor.shape().begin(), tensor.shape().end()},
         std::string(weights.bytes->bytes().data() + tensor.offset(), *TensorBytes(tensor))});
  }
  return out;
}

StoredTensor ConstantTensor(const std::string& name, std::vector<int64_t> shape, float value) {
  int64_t count = 1;
  for (int64_t n : shape) count *= n;
  const std::vector<float> values(count, value);
  std::string bytes(4 * count, '\0');
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return {name, "F32", std::move(shape), std::move(bytes)};
}

void WriteTensorFile(const std::string& path, const std::vector<StoredTensor>& tensors) {
  WeightManifest manifest;
  std::string data;
  for (const StoredTensor& tensor : tensors) {
    TensorEntry* entry = manifest.add_tensors();
    entry->set_name(tensor.name);
    entry->set_dtype(tensor.dtype);
    for (int64_t n : tensor.shape) entry->add_shape(n);
    entry->set_offset(data.size());
    data += tensor.bytes;
  }
  manifest.set_total_bytes(data.size());
  const absl::Status written = WriteFileAtomically(path, FormatSafetensorsHeader(manifest) + data);
  CHECK(written.ok()) << written;
}

}  // namespace reckon
