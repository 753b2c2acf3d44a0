#include "common/base/machine_limits.h"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iterator>
#include <optional>
#include <thread>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace reckon {
namespace {

std::string Read(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// The number that a file holds. Nothing: there is no such file, or it says "max" or "-1".
std::optional<uint64_t> ReadNumber(const std::string& path) {
  uint64_t number = 0;
  const std::string text = Read(path);
  if (!absl::SimpleAtoi(absl::StripAsciiWhitespace(text), &number)) return std::nullopt;
  return number;
}

// The number after `name` at the begin of a line: "MemTotal:  4096 kB", "inactive_file 4096".
uint64_t Field(const std::string& text, absl::string_view name) {
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    if (!absl::ConsumePrefix(&line, name)) continue;
    absl::ConsumePrefix(&line, ":");
    line = absl::StripLeadingAsciiWhitespace(line);
    uint64_t number = 0;
    if (absl::SimpleAtoi(line.substr(0, line.find(' ')), &number)) return number;
  }
  return 0;
}

// The files of one kind of limit: where the groups are, and what the files are called.
struct Hierarchy {
  std::string mount;
  std::string group;  // of the process, below the mount: "/a/b"
  bool v2;
};

// The hierarchies that may limit `controller` ("memory" or "cpu"). Of v1, controllers may share a
// mount: "cpu,cpuacct".
std::vector<Hierarchy> FindHierarchies(const std::string& root, absl::string_view controller) {
  std::vector<Hierarchy> found;
  const std::string mounts = root + "/sys/fs/cgroup";
  const std::string groups = Read(root + "/proc/self/cgroup");
  for (absl::string_view line : absl::StrSplit(groups, '\n', absl::SkipEmpty())) {
    const std::vector<std::string> parts = absl::StrSplit(line, absl::MaxSplits(':', 2));
    if (parts.size() < 3) continue;
    if (parts[1].empty()) {
      found.push_back({mounts, parts[2], true});
      found.push_back({mounts + "/unified", parts[2], true});
      continue;
    }
    const std::vector<std::string> controllers = absl::StrSplit(parts[1], ',');
    if (std::find(controllers.begin(), controllers.end(), controller) == controllers.end())
      continue;
    found.push_back({absl::StrCat(mounts, "/", controller), parts[2], false});
    if (parts[1] != controller) found.push_back({mounts + "/" + parts[1], parts[2], false});
  }
  return found;
}

// Calls `each` with the folder of the process's group, of its parent, and so on to the mount.
template <typename Each>
void ForEachGroup(const Hierarchy& hierarchy, Each each) {
  std::string group = hierarchy.group;
  while (!group.empty() && group != "/") {
    each(hierarchy.mount + group);
    group.resize(group.rfind('/') == std::string::npos ? 0 : group.rfind('/'));
  }
  each(hierarchy.mount);
}

void LimitMemory(const Hierarchy& hierarchy, MachineLimits* limits) {
  ForEachGroup(hierarchy, [&](const std::string& folder) {
    const auto limit =
        ReadNumber(folder + (hierarchy.v2 ? "/memory.max" : "/memory.limit_in_bytes"));
    // v1 says "no limit" by a number near 2^63.
    if (!limit.has_value() || *limit >= limits->memory_bytes) return;
    limits->memory_bytes = *limit;
    limits->memory_is_limited = true;
  });
  ForEachGroup(hierarchy, [&](const std::string& folder) {
    const auto limit =
        ReadNumber(folder + (hierarchy.v2 ? "/memory.max" : "/memory.limit_in_bytes"));
    const auto used =
        ReadNumber(folder + (hierarchy.v2 ? "/memory.current" : "/memory.usage_in_bytes"));
    if (!limit.has_value() || !used.has_value()) return;
    const uint64_t cache = Field(Read(folder + "/memory.stat"),
                                 hierarchy.v2 ? "inactive_file" : "total_inactive_file");
    const uint64_t held = *used - std::min(*used, cache);
    limits->available_memory_bytes =
        std::min(limits->available_memory_bytes, *limit - std::min(*limit, held));
  });
}

// Microseconds of computing in a period: "max 100000", "150000 100000" (v2).
std::optional<double> CoresOf(const std::string& folder, bool v2) {
  double quota = 0, period = 0;
  if (v2) {
    const std::string text = Read(folder + "/cpu.max");
    const std::vector<absl::string_view> parts =
        absl::StrSplit(absl::StripAsciiWhitespace(text), ' ');
    if (parts.size() != 2 || !absl::SimpleAtod(parts[0], &quota) ||
        !absl::SimpleAtod(parts[1], &period)) {
      return std::nullopt;
    }
  } else {
    quota = static_cast<double>(ReadNumber(folder + "/cpu.cfs_quota_us").value_or(0));
    period = static_cast<double>(ReadNumber(folder + "/cpu.cfs_period_us").value_or(0));
  }
  if (!(quota > 0 && period > 0)) return std::nullopt;
  return quota / period;
}

void LimitCores(const Hierarchy& hierarchy, MachineLimits* limits) {
  ForEachGroup(hierarchy, [&](const std::string& folder) {
    const std::optional<double> cores = CoresOf(folder, hierarchy.v2);
    if (!cores.has_value() || *cores >= limits->cores) return;
    // Rounded up: half a core more is used by a thread that waits now and then.
    limits->cores = std::max(1, static_cast<int>(std::ceil(*cores)));
  });
}

}  // namespace

MachineLimits ReadMachineLimits(const std::string& root, int affine) {
  MachineLimits limits;
  limits.cores = std::max(1, affine);
  const std::string machine = Read(root + "/proc/meminfo");
  limits.memory_bytes = Field(machine, "MemTotal") * 1024;
  limits.available_memory_bytes = Field(machine, "MemAvailable") * 1024;
  for (const Hierarchy& hierarchy : FindHierarchies(root, "memory")) {
    LimitMemory(hierarchy, &limits);
  }
  for (const Hierarchy& hierarchy : FindHierarchies(root, "cpu")) LimitCores(hierarchy, &limits);
  return limits;
}

MachineLimits ReadMachineLimits() {
  cpu_set_t set;
  CPU_ZERO(&set);
  // More cores than a cpu_set_t has make it fail.
  const bool known = ::sched_getaffinity(0, sizeof(set), &set) == 0;
  return ReadMachineLimits(
      "", known ? CPU_COUNT(&set) : static_cast<int>(std::thread::hardware_concurrency()));
}

int UsableCores() {
  static const int cores = ReadMachineLimits().cores;
  return cores;
}

}  // namespace reckon
