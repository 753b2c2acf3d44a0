#ifndef RECKON_TESTS_SUPPORT_TENSOR_FILE_H_
#define RECKON_TESTS_SUPPORT_TENSOR_FILE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "common/model/files/model_folder.h"

namespace reckon {

// Tensors of a safetensors file as a test wants them, also such as Reckon would not write.
struct StoredTensor {
  std::string name, dtype;
  std::vector<int64_t> shape;
  std::string bytes;
};

std::vector<StoredTensor> TensorsOf(const Weights& weights);
// The number, in each place of a tensor.
StoredTensor ConstantTensor(const std::string& name, std::vector<int64_t> shape, float value);
void WriteTensorFile(const std::string& path, const std::vector<StoredTensor>& tensors);

}  // namespace reckon

#endif  // RECKON_TESTS_SUPPORT_TENSOR_FILE_H_
