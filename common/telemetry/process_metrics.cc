#include "common/telemetry/process_metrics.h"

#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "absl/time/clock.h"
// Last.
#include "common/base/log.h"

namespace reckon {
namespace {

double CpuSeconds() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

double ResidentBytes() {
  std::ifstream file("/proc/self/statm");
  double pages = 0, resident = 0;
  file >> pages >> resident;
  return resident * static_cast<double>(sysconf(_SC_PAGESIZE));
}

}  // namespace

// glog calls it for every line that is logged.
class ProcessMetrics::LogCounter : public google::LogSink {
 public:
  explicit LogCounter(Registry* registry)
      : warnings_(Declare("warning", registry)), errors_(Declare("error", registry)) {
    google::AddLogSink(this);
  }
  ~LogCounter() override { google::RemoveLogSink(this); }

  void send(google::LogSeverity severity, const char*, const char*, int,
            const google::LogMessageTime&, const char*, size_t) override {
    if (severity == google::GLOG_WARNING) warnings_.Increment();
    if (severity >= google::GLOG_ERROR) errors_.Increment();
  }

 private:
  static Counter& Declare(const std::string& severity, Registry* registry) {
    return registry->AddCounter("reckon_log_lines_total",
                                "Lines of the log that warn or tell of an error",
                                {{"severity", severity}});
  }

  Counter& warnings_;
  Counter& errors_;
};

ProcessMetrics::ProcessMetrics(const std::string& role, Registry* registry)
    : logged_(std::make_unique<LogCounter>(registry)) {
  registry
      ->AddGauge("reckon_build_info", "1; the labels say which program and version it is",
                 {{"role", role}, {"version", RECKON_VERSION}})
      .Set(1);
  registry->AddGauge("process_start_time_seconds", "Start of the process, since 1970")
      .Set(absl::ToDoubleSeconds(absl::Now() - absl::UnixEpoch()));
  Counter& cpu = registry->AddCounter("process_cpu_seconds_total", "CPU time of all its threads");
  Gauge& memory =
      registry->AddGauge("process_resident_memory_bytes", "Memory that the process uses");
  refresh_ = registry->OnCollect([&cpu, &memory] {
    MirrorTotal(CpuSeconds(), &cpu);
    memory.Set(ResidentBytes());
  });
}

ProcessMetrics::~ProcessMetrics() = default;

Registry::Handle WatchDisk(const std::string& folder, Registry* registry) {
  Gauge& free = registry->AddGauge("reckon_disk_free_bytes",
                                   "Free space of the file system of the store or run folder");
  Gauge& size = registry->AddGauge("reckon_disk_size_bytes",
                                   "Size of the file system of the store or run folder");
  return registry->OnCollect([folder, &free, &size] {
    std::error_code error;
    const std::filesystem::space_info space = std::filesystem::space(folder, error);
    if (error) return;
    free.Set(static_cast<double>(space.available));
    size.Set(static_cast<double>(space.capacity));
  });
}

}  // namespace reckon
