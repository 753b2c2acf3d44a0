// A header that is accepted covers its data exactly, and is written and read back as the same.
#include "common/model/files/safetensors.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace reckon;
  const auto header = ParseSafetensorsHeader(TextOf(data, size), size);
  if (!header.ok()) return CheckRefusal(header.status()), 0;
  CHECK(header->data_begin + header->data_bytes == size);
  WeightManifest manifest;
  uint64_t offset = 0;
  for (const TensorEntry& tensor : header->tensors) {
    CHECK(tensor.offset() == offset);
    offset += *StoredBytes(tensor);
    *manifest.add_tensors() = tensor;
  }
  CHECK(offset == header->data_bytes);
  manifest.set_total_bytes(offset);

  const std::string file = FormatSafetensorsHeader(manifest) + std::string(offset, 'x');
  const auto again = ParseSafetensorsHeader(file, file.size());
  CHECK(again.ok()) << again.status();
  CHECK(again->tensors.size() == header->tensors.size());
  for (size_t i = 0; i < header->tensors.size(); ++i) {
    CHECK(again->tensors[i].SerializeAsString() == header->tensors[i].SerializeAsString());
  }
  return 0;
}
