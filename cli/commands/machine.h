#ifndef RECKON_CLI_COMMANDS_MACHINE_H_
#define RECKON_CLI_COMMANDS_MACHINE_H_

#include <cstdint>
#include <set>
#include <string>

namespace reckon {

// Properties of this machine, from /proc, statvfs and sched_getaffinity. 0 or empty when they
// cannot be read.

// Memory that programs can still allocate without swapping (MemAvailable).
uint64_t AvailableMemoryBytes();
// Free space of the file system that holds `path`, or its nearest folder that exists.
uint64_t FreeDiskBytes(const std::string& path);
// Cores that this process may use.
int UsableCores();
// Instruction sets, as "avx512_bf16".
std::set<std::string> CpuFlags();
std::string CpuName();

}  // namespace reckon

#endif  // RECKON_CLI_COMMANDS_MACHINE_H_
