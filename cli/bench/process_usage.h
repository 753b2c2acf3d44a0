#ifndef RECKON_CLI_BENCH_PROCESS_USAGE_H_
#define RECKON_CLI_BENCH_PROCESS_USAGE_H_

#include <sys/types.h>

#include <cstdint>

namespace reckon {

// What the kernel says that a process has used (/proc/PID/stat and statm); zeros when it has ended.
struct ProcessUsage {
  double cpu_seconds = 0;       // of all its threads, user and system
  int64_t resident_bytes = 0;   // now
  int64_t anonymous_bytes = 0;  // now, without pages of files, which the kernel may drop
};
ProcessUsage ReadProcessUsage(pid_t pid);

}  // namespace reckon

#endif  // RECKON_CLI_BENCH_PROCESS_USAGE_H_
