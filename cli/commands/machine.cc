#include "cli/commands/machine.h"

#include <sys/statvfs.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "absl/strings/match.h"

namespace reckon {
namespace {

// The text after "name :" in the first such line of a file of /proc.
std::string ProcField(const char* path, const std::string& name) {
  std::ifstream file(path);
  std::string line;
  while (std::getline(file, line)) {
    size_t colon = line.find(':');
    if (colon == std::string::npos || !absl::StartsWith(line, name)) continue;
    size_t begin = line.find_first_not_of(" \t", colon + 1);
    return begin == std::string::npos ? "" : line.substr(begin);
  }
  return "";
}

}  // namespace

uint64_t FreeDiskBytes(const std::string& path) {
  std::error_code error;
  std::filesystem::path there = std::filesystem::absolute(path, error);
  while (!std::filesystem::exists(there, error) && there.has_relative_path()) {
    there = there.parent_path();
  }
  struct statvfs info;
  if (::statvfs(there.c_str(), &info) != 0) return 0;
  return static_cast<uint64_t>(info.f_bavail) * info.f_frsize;
}

std::set<std::string> CpuFlags() {
  std::istringstream text(ProcField("/proc/cpuinfo", "flags"));
  std::set<std::string> flags;
  for (std::string flag; text >> flag;) flags.insert(flag);
  return flags;
}

std::string CpuName() { return ProcField("/proc/cpuinfo", "model name"); }

}  // namespace reckon
