#include "common/base/memory.h"

#include <cstdint>
#include <fstream>
#include <sstream>
#include <string>

#include "gtest/gtest.h"

namespace reckon {
namespace {

// Whether the kernel has noted that [address, address + 1) wants huge pages: "hg" among the flags
// of its mapping in /proc/self/smaps.
bool WantsHugePages(const void* address) {
  const auto wanted = reinterpret_cast<uintptr_t>(address);
  std::ifstream smaps("/proc/self/smaps");
  bool inside = false;
  for (std::string line; std::getline(smaps, line);) {
    uintptr_t first, last;
    char dash;
    std::istringstream range(line);
    if (range >> std::hex >> first >> dash >> last && dash == '-') {
      inside = first <= wanted && wanted < last;
    } else if (inside && line.starts_with("VmFlags:")) {
      return line.find(" hg") != std::string::npos;
    }
  }
  return false;
}

TEST(MemoryTest, LargeMemoryIsInHugePagesAndSmallInCacheLines) {
  if (!std::ifstream("/sys/kernel/mm/transparent_hugepage/enabled").good()) {
    GTEST_SKIP() << "needs a kernel with transparent huge pages";
  }
  const std::shared_ptr<char[]> large = AllocateBytes(5 << 20);
  EXPECT_TRUE(WantsHugePages(large.get()));
  EXPECT_TRUE(WantsHugePages(large.get() + (3 << 20)));
  const std::shared_ptr<char[]> small = AllocateBytes(100);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(small.get()) % 64, 0u);
}

TEST(MemoryTest, AHintForLessThanAHugePageDoesNothing) {
  const std::shared_ptr<char[]> memory(new char[4096]);
  UseHugePages(memory.get(), 4096);
  EXPECT_FALSE(WantsHugePages(memory.get()));
}

}  // namespace
}  // namespace reckon
