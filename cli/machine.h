#ifndef RECKON_CLI_MACHINE_H_
#define RECKON_CLI_MACHINE_H_

#include <cstdint>
#include <set>
#include <string>

namespace reckon {

// What this machine has, from /proc and statvfs. 0 or empty where it cannot be read.
uint64_t AvailableMemoryBytes();
// Free on the file system that `path` is on, or will be on once made.
uint64_t FreeDiskBytes(const std::string& path);
// Cores this process may use.
int UsableCores();
std::set<std::string> CpuFlags();
std::string CpuName();

}  // namespace reckon

#endif  // RECKON_CLI_MACHINE_H_
