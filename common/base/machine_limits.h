#ifndef RECKON_COMMON_BASE_MACHINE_LIMITS_H_
#define RECKON_COMMON_BASE_MACHINE_LIMITS_H_

#include <cstdint>
#include <string>

namespace reckon {

// What this process may use of the machine, which in a container is less than the machine has. The
// kernel tells it in files:
//
//   /proc/meminfo        MemTotal, MemAvailable      the machine's
//   /proc/self/cgroup    the process's groups        "0::/a/b" (v2), "4:memory:/a/b" (v1)
//   /sys/fs/cgroup       a folder for each group     memory.max, memory.current, cpu.max (v2);
//                                                    memory/ with memory.limit_in_bytes and
//                                                    memory.usage_in_bytes, cpu/ with
//                                                    cpu.cfs_quota_us and cpu.cfs_period_us (v1)
//
// A limit of a group holds for the groups below it too, so every folder from the process's group up
// to the root counts and the least decides. A container often sees its own group as the root: a
// folder that does not exist is passed over. Page cache that the kernel can drop is counted as
// available, as MemAvailable does. What cannot be read limits nothing.
struct MachineLimits {
  uint64_t memory_bytes = 0;            // in all; 0: unknown
  uint64_t available_memory_bytes = 0;  // that can still be allocated without swapping; 0: unknown
  bool memory_is_limited = false;       // by a group, below the machine's
  int cores = 1;                        // that computing threads should be made for
};

// Of this process. `root` is the folder in which proc/ and sys/ are; tests have their own.
// `affine`: cores that sched_getaffinity allows, which follows a cpuset of either version.
MachineLimits ReadMachineLimits(const std::string& root, int affine);
// The same for this machine. Reads files, so not for inner loops.
MachineLimits ReadMachineLimits();

// The cores of ReadMachineLimits, read once.
int UsableCores();

}  // namespace reckon

#endif  // RECKON_COMMON_BASE_MACHINE_LIMITS_H_
