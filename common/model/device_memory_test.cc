#include "common/model/device_memory.h"

#include <ATen/ops/empty.h>

#ifdef __GLIBC__
#include <malloc.h>
#endif

#include <memory>
#include <vector>

#include "gtest/gtest.h"

namespace reckon {
namespace {

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST(DeviceMemoryTest, TheMemoryThatTensorsLeaveHoldsTheNextOnes) {
  PrepareHostMemory();
  std::vector<at::Tensor> tensors;
  std::vector<std::unique_ptr<char[]>> small;  // take what is left around a tensor
  const auto add = [&] { tensors.push_back(at::empty({3 << 20}, at::kByte)); };
  for (int i = 0; i < 20; ++i) {
    add();
    for (int j = 0; j < 20; ++j) {
      for (const size_t size : {24, 40, 56, 300}) small.push_back(std::make_unique<char[]>(size));
    }
  }
  tensors.clear();
  const size_t before = mallinfo2().arena;
  for (int i = 0; i < 20; ++i) add();
  EXPECT_EQ(mallinfo2().arena, before);
}
#endif

}  // namespace
}  // namespace reckon
