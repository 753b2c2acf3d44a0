#include "common/base/machine_limits.h"

#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "common/testing/temp_folder.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

constexpr uint64_t kGiB = uint64_t{1} << 30;

// A tree of files as the kernel shows them, on a machine of 64 GiB, of which 40 are available, and
// 16 cores.
class MachineLimitsTest : public testing::Test {
 protected:
  void SetUp() override {
    Write("proc/meminfo",
          absl::StrCat("MemTotal:       ", 64 * kGiB / 1024, " kB\n", "MemFree:        1 kB\n",
                       "MemAvailable:   ", 40 * kGiB / 1024, " kB\n"));
  }

  void Write(const std::string& path, const std::string& text) {
    const std::filesystem::path file = root_ + "/" + path;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text << "\n";
  }
  void Group(const std::string& path, const std::string& file, const std::string& text) {
    Write("sys/fs/cgroup/" + path + "/" + file, text);
  }
  MachineLimits Limits(int affine = 16) { return ReadMachineLimits(root_, affine); }

  const TempFolder temp_;
  const std::string& root_ = temp_.path();
};

TEST_F(MachineLimitsTest, WithoutGroupsTheMachineIsTheLimit) {
  const MachineLimits limits = Limits();
  EXPECT_EQ(limits.memory_bytes, 64 * kGiB);
  EXPECT_EQ(limits.available_memory_bytes, 40 * kGiB);
  EXPECT_FALSE(limits.memory_is_limited);
  EXPECT_EQ(limits.cores, 16);
  EXPECT_EQ(Limits(3).cores, 3) << "taskset, or a cpuset";
}

TEST_F(MachineLimitsTest, Version2FollowsTheLeastOfTheGroupAndThoseAboveIt) {
  Write("proc/self/cgroup", "0::/pod/container");
  Group("pod", "memory.max", absl::StrCat(8 * kGiB));
  Group("pod", "memory.current", absl::StrCat(5 * kGiB));
  Group("pod", "memory.stat", absl::StrCat("anon 1\ninactive_file ", kGiB));
  Group("pod", "cpu.max", "250000 100000");
  Group("pod/container", "memory.max", "max");
  Group("pod/container", "memory.current", absl::StrCat(kGiB));
  Group("pod/container", "cpu.max", "max 100000");
  const MachineLimits limits = Limits();
  EXPECT_EQ(limits.memory_bytes, 8 * kGiB);
  EXPECT_EQ(limits.available_memory_bytes, 4 * kGiB) << "8 - (5 - 1 that can be dropped)";
  EXPECT_TRUE(limits.memory_is_limited);
  EXPECT_EQ(limits.cores, 3);
}

TEST_F(MachineLimitsTest, Version2InAContainerThatSeesItsGroupAsTheRoot) {
  Write("proc/self/cgroup", "0::/some/path/of/the/host");
  Group("", "memory.max", absl::StrCat(2 * kGiB));
  Group("", "memory.current", absl::StrCat(3 * kGiB));
  Group("", "cpu.max", "50000 100000");
  EXPECT_EQ(Limits().memory_bytes, 2 * kGiB);
  EXPECT_EQ(Limits().available_memory_bytes, 0) << "more is used than allowed";
  EXPECT_EQ(Limits().cores, 1);
}

TEST_F(MachineLimitsTest, Version1) {
  Write("proc/self/cgroup", "5:cpu,cpuacct:/docker/x\n4:memory:/docker/x\n1:name=systemd:/\n0::/");
  Group("memory/docker/x", "memory.limit_in_bytes", absl::StrCat(6 * kGiB));
  Group("memory/docker/x", "memory.usage_in_bytes", absl::StrCat(2 * kGiB));
  Group("memory/docker/x", "memory.stat", absl::StrCat("total_inactive_file ", kGiB));
  Group("memory", "memory.limit_in_bytes", "9223372036854771712");
  Group("memory", "memory.usage_in_bytes", absl::StrCat(50 * kGiB));
  Group("cpu,cpuacct/docker/x", "cpu.cfs_quota_us", "400000");
  Group("cpu,cpuacct/docker/x", "cpu.cfs_period_us", "100000");
  Group("cpu,cpuacct", "cpu.cfs_quota_us", "-1");
  Group("cpu,cpuacct", "cpu.cfs_period_us", "100000");
  const MachineLimits limits = Limits();
  EXPECT_EQ(limits.memory_bytes, 6 * kGiB);
  EXPECT_EQ(limits.available_memory_bytes, 5 * kGiB);
  EXPECT_EQ(limits.cores, 4);
}

TEST_F(MachineLimitsTest, TheMachineStaysTheLimitWhenAGroupAllowsMore) {
  Write("proc/self/cgroup", "0::/a");
  Group("a", "memory.max", absl::StrCat(1000 * kGiB));
  Group("a", "memory.current", absl::StrCat(kGiB));
  Group("a", "cpu.max", "6400000 100000");
  EXPECT_EQ(Limits().memory_bytes, 64 * kGiB);
  EXPECT_EQ(Limits().available_memory_bytes, 40 * kGiB);
  EXPECT_FALSE(Limits().memory_is_limited);
  EXPECT_EQ(Limits().cores, 16);
}

TEST_F(MachineLimitsTest, DamagedFilesLimitNothing) {
  Write("proc/self/cgroup", "x\n0:\n7:memory\n0::a\n4:memory:\n");
  Group("", "memory.max", "-5");
  Group("", "cpu.max", "0 0");
  Group("memory", "memory.limit_in_bytes", "lots");
  EXPECT_EQ(Limits().memory_bytes, 64 * kGiB);
  EXPECT_EQ(Limits().cores, 16);
  std::filesystem::remove_all(root_);
  EXPECT_EQ(Limits().memory_bytes, 0u);
  EXPECT_EQ(Limits().cores, 16);
}

TEST(MachineLimits, ThisMachineHasSome) {
  EXPECT_GE(UsableCores(), 1);
  EXPECT_GT(ReadMachineLimits().memory_bytes, 0u);
  EXPECT_LE(ReadMachineLimits().available_memory_bytes, ReadMachineLimits().memory_bytes);
}

}  // namespace
}  // namespace reckon
