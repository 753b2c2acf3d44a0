#include "learner/report/reporter.h"

#include <utility>

#include "absl/time/clock.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"

namespace reckon {

Reporter::Reporter(std::string run_dir, std::unique_ptr<MetricsWriter> metrics,
                   std::vector<std::string> lines)
    : run_dir_(std::move(run_dir)), metrics_(std::move(metrics)) {
  absl::MutexLock lock(&mu_);
  progress_.lines = std::move(lines);
  phase_begin_ = absl::Now();
  shown_ = absl::InfinitePast();
}

std::unique_ptr<Reporter> Reporter::Silent() {
  return std::unique_ptr<Reporter>(new Reporter("", nullptr, {}));
}

absl::StatusOr<std::unique_ptr<Reporter>> Reporter::Create(const std::string& run_dir, int64_t step,
                                                           std::vector<std::string> lines) {
  ASSIGN_OR_RETURN(std::unique_ptr<MetricsWriter> metrics, MetricsWriter::Open(run_dir, step));
  return std::unique_ptr<Reporter>(new Reporter(run_dir, std::move(metrics), std::move(lines)));
}

void Reporter::BeginPhase(const std::string& phase, double total, const std::string& unit) {
  absl::MutexLock lock(&mu_);
  progress_.phase = phase;
  progress_.done = 0;
  progress_.total = total;
  progress_.unit = unit;
  progress_.tokens_per_s = 0;
  phase_begin_ = absl::Now();
  Show(true);
}

void Reporter::Update(double done, double tokens_per_s) {
  absl::MutexLock lock(&mu_);
  progress_.done = done;
  progress_.tokens_per_s = tokens_per_s;
  Show(false);
}

void Reporter::AddLine(const std::string& line) {
  absl::MutexLock lock(&mu_);
  progress_.lines.push_back(line);
  Show(true);
}

void Reporter::Finish() {
  absl::MutexLock lock(&mu_);
  progress_.phase = "finished";
  progress_.done = progress_.total;
  progress_.finished = true;
  Show(true);
}

absl::Status Reporter::Write(const std::map<std::string, double>& values, int64_t* step) {
  if (metrics_ != nullptr) RETURN_IF_ERROR(metrics_->Write(*step, values));
  ++*step;
  return absl::OkStatus();
}

std::vector<std::string> Reporter::lines() const {
  absl::MutexLock lock(&mu_);
  return progress_.lines;
}

void Reporter::Show(bool now) {
  if (run_dir_.empty()) return;
  absl::Time time = absl::Now();
  if (!now && time - shown_ < absl::Milliseconds(300)) return;
  shown_ = time;
  progress_.elapsed_s = absl::ToDoubleSeconds(time - phase_begin_);
  absl::Status written = WriteProgress(run_dir_, progress_);
  if (!written.ok()) LOG(WARNING) << "progress: " << written.message();
}

}  // namespace reckon
