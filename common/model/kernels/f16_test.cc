#include <ATen/core/Tensor.h>
#include <c10/util/Half.h>

#include <cmath>

#include "common/model/kernels/dtype.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

// LibTorch's conversions are the oracle.
float Torch(uint16_t bits) { return c10::Half(bits, c10::Half::from_bits()); }
uint16_t TorchF16(float x) { return c10::Half(x).x; }

TEST(F16, EveryNumberIsReadExactly) {
  for (uint32_t bits = 0; bits < 1 << 16; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    if (std::isnan(Torch(half))) {
      EXPECT_TRUE(std::isnan(FromF16(half))) << bits;
      continue;
    }
    EXPECT_EQ(std::bit_cast<uint32_t>(FromF16(half)), std::bit_cast<uint32_t>(Torch(half))) << bits;
    EXPECT_EQ(ToF16(FromF16(half)), half) << bits;
  }
}

TEST(F16, IsRoundedToTheNearestWithTiesToEven) {
  for (uint32_t bits = 0; bits < 0x7f800000; bits += 4093) {  // and so every exponent
    for (const uint32_t sign : {0u, 0x80000000u}) {
      const auto x = std::bit_cast<float>(bits | sign);
      ASSERT_EQ(ToF16(x), TorchF16(x)) << x;
    }
  }
  for (uint32_t half = 0; half < 0x7bff; ++half) {  // halfway between neighbours
    const float x =
        (Torch(static_cast<uint16_t>(half)) + Torch(static_cast<uint16_t>(half + 1))) / 2;
    for (const float near : {x, std::nextafter(x, 0.0f), std::nextafter(x, 1e9f)}) {
      ASSERT_EQ(ToF16(near), TorchF16(near)) << near;
    }
  }
  EXPECT_EQ(ToF16(65504), 0x7bff);
  EXPECT_EQ(ToF16(65519.99f), 0x7bff);
  EXPECT_EQ(ToF16(65520), 0x7c00);
}

}  // namespace
}  // namespace reckon
