#include "learner/report/reporter.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "common/base/status_macros.h"
#include "common/telemetry/figures.h"
#include "common/telemetry/metrics_file.h"
#include "learner/report/learner_metrics.h"
// Last.
#include "common/base/log.h"

namespace reckon {
namespace {

// Steps are shown by who looks a few times a second.
constexpr int kStepLines = 256, kTrend = 32;

// Keeps the newest `most` of a repeated field.
template <typename Field>
void KeepNewest(int most, Field* field) {
  if (field->size() > most) field->erase(field->begin(), field->end() - most);
}

}  // namespace

Reporter::Reporter(std::string run_dir, std::unique_ptr<MetricsWriter> metrics, int64_t step,
                   std::vector<std::string> lines)
    : run_dir_(std::move(run_dir)), metrics_(std::move(metrics)), step_(step), begin_(absl::Now()) {
  absl::MutexLock lock(&mu_);
  progress_.mutable_lines()->Assign(lines.begin(), lines.end());
  progress_.set_step(static_cast<uint32_t>(step));
  phase_begin_ = begin_;
  shown_ = absl::InfinitePast();
}

std::unique_ptr<Reporter> Reporter::Silent() {
  return std::unique_ptr<Reporter>(new Reporter("", nullptr, 0, {}));
}

absl::StatusOr<std::unique_ptr<Reporter>> Reporter::Create(const std::string& run_dir, int64_t step,
                                                           std::vector<std::string> lines) {
  ASSIGN_OR_RETURN(std::unique_ptr<MetricsWriter> metrics, MetricsWriter::Open(run_dir, step));
  auto reporter =
      std::unique_ptr<Reporter>(new Reporter(run_dir, std::move(metrics), step, std::move(lines)));
  ASSIGN_OR_RETURN(const std::vector<MetricsLine> earlier, ReadMetrics(run_dir));
  if (!earlier.empty()) {
    reporter->samples_ = earlier.back().Get("total/num_samples");
    reporter->tokens_ = earlier.back().Get("total/num_tokens");
    reporter->earlier_s_ = earlier.back().Get("timing_s/total");
  }
  return reporter;
}

void Reporter::BeginPhase(const std::string& phase, double total, const std::string& unit) {
  absl::MutexLock lock(&mu_);
  EndPhase();
  progress_.set_phase(phase);
  progress_.set_done(0);
  progress_.set_total(total);
  progress_.set_unit(unit);
  progress_.set_tokens_per_s(0);
  phase_begin_ = absl::Now();
  Show(true);
}

void Reporter::Update(double done, double tokens_per_s) {
  absl::MutexLock lock(&mu_);
  progress_.set_done(done);
  progress_.set_tokens_per_s(tokens_per_s);
  Show(false);
}

void Reporter::SetWaitingFor(const std::string& what) {
  absl::MutexLock lock(&mu_);
  if (what == progress_.waiting_for()) return;
  progress_.set_waiting_for(what);
  LOG_IF(INFO, !what.empty()) << "waiting for: " << what;
  Show(true);
}

void Reporter::AddLine(const std::string& line) {
  absl::MutexLock lock(&mu_);
  progress_.add_lines(line);
  Show(true);
}

void Reporter::AddStep(const std::string& line, const std::string& figure, double value) {
  absl::MutexLock lock(&mu_);
  progress_.set_figure(figure);
  progress_.add_trend(value);
  KeepNewest(kTrend, progress_.mutable_trend());
  Progress::StepLine& step = *progress_.add_step_lines();
  step.set_text(line);
  step.set_after(progress_.lines_size());
  KeepNewest(kStepLines, progress_.mutable_step_lines());
}

void Reporter::EndPhase() {
  if (progress_.figure().empty()) return;
  progress_.add_lines(
      absl::StrCat(progress_.phase(), ": ", FormatCount(progress_.done()), "/",
                   FormatCount(progress_.total()), " ", progress_.unit(), "  ", progress_.figure(),
                   absl::StrFormat(" %.4g", *progress_.trend().rbegin()), "  ",
                   FormatCount(progress_.tokens_per_s()), " tok/s  in ",
                   FormatSeconds(absl::ToDoubleSeconds(absl::Now() - phase_begin_))));
  progress_.clear_figure();
  progress_.clear_trend();
}

void Reporter::Finish() {
  absl::MutexLock lock(&mu_);
  EndPhase();
  progress_.set_phase("finished");
  progress_.set_done(progress_.total());
  progress_.set_finished(true);
  Show(true);
}

void Reporter::CountSamples(double samples, double tokens) {
  samples_ += samples;
  tokens_ += tokens;
}

void Reporter::AddToNext(const std::map<std::string, double>& values) {
  for (const auto& [name, value] : values) next_[name] = value;
}

absl::Status Reporter::Write(const std::map<std::string, double>& values) {
  std::map<std::string, double> all = values;
  all.merge(std::exchange(next_, {}));
  all["total/num_samples"] = samples_;
  all["total/num_tokens"] = tokens_;
  all["timing_s/total"] = earlier_s_ + absl::ToDoubleSeconds(absl::Now() - begin_);
  if (metrics_ != nullptr) {
    RETURN_IF_ERROR(metrics_->Write(step_, all));
    LearnerMetrics::Process().ShowLine(step_, all);
  }
  ++step_;
  absl::MutexLock lock(&mu_);
  progress_.set_step(static_cast<uint32_t>(step_));
  return absl::OkStatus();
}

std::vector<std::string> Reporter::lines() const {
  absl::MutexLock lock(&mu_);
  return {progress_.lines().begin(), progress_.lines().end()};
}

void Reporter::Show(bool at_once) {
  if (run_dir_.empty()) return;
  const absl::Time time = absl::Now();
  if (!at_once && time - shown_ < absl::Milliseconds(50)) return;
  shown_ = time;
  progress_.set_elapsed_s(absl::ToDoubleSeconds(time - phase_begin_));
  const absl::Status written = WriteProgress(run_dir_, progress_);
  if (!written.ok()) LOG(WARNING) << "progress.json: " << written.message();
}

}  // namespace reckon
