#include "cli/bench/process_usage.h"

#include <unistd.h>

#include <fstream>
#include <sstream>
#include <string>

#include "absl/strings/str_cat.h"

namespace reckon {

ProcessUsage ReadProcessUsage(pid_t pid) {
  ProcessUsage usage;
  std::ifstream stat(absl::StrCat("/proc/", pid, "/stat"));
  std::string line;
  // The program's name may hold spaces; it ends with the last parenthesis, and state is field 3.
  if (std::getline(stat, line) && line.rfind(')') != std::string::npos) {
    std::istringstream fields(line.substr(line.rfind(')') + 1));
    std::string skipped;
    for (int field = 3; field < 14; ++field) fields >> skipped;
    double user = 0, system = 0;
    fields >> user >> system;
    usage.cpu_seconds = (user + system) / static_cast<double>(::sysconf(_SC_CLK_TCK));
  }
  std::ifstream statm(absl::StrCat("/proc/", pid, "/statm"));
  int64_t size = 0, resident = 0, shared = 0;
  if (statm >> size >> resident >> shared) {
    const int64_t page = ::sysconf(_SC_PAGESIZE);
    usage.resident_bytes = resident * page;
    usage.anonymous_bytes = (resident - shared) * page;
  }
  return usage;
}

}  // namespace reckon
