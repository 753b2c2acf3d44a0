#ifndef RECKON_CLI_COMMANDS_MACHINE_H_
#define RECKON_CLI_COMMANDS_MACHINE_H_

#include <cstdint>
#include <set>
#include <string>

namespace reckon {

inline constexpr double kGiB = double{1 << 30};  // bytes

// Properties of this machine, from /proc and statvfs; memory and cores are in
// common/base/machine_limits.h. 0 or empty when they cannot be read.

// Free space of the file system that holds `path`, or its nearest folder that exists.
uint64_t FreeDiskBytes(const std::string& path);
// Instruction sets, as "avx512_bf16".
std::set<std::string> CpuFlags();
std::string CpuName();

}  // namespace reckon

#endif  // RECKON_CLI_COMMANDS_MACHINE_H_
