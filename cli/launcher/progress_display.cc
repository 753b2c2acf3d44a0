#include "cli/launcher/progress_display.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace reckon {
namespace {

constexpr size_t kWaitingShown = 80;  // characters on a terminal

}  // namespace

std::string FormatSeconds(double seconds) {
  if (!(seconds >= 0 && seconds < 1e9)) return "?";
  auto total = static_cast<int64_t>(std::llround(seconds));
  int64_t hours = total / 3600, minutes = total / 60 % 60, rest = total % 60;
  return hours > 0 ? absl::StrFormat("%d:%02d:%02d", hours, minutes, rest)
                   : absl::StrFormat("%d:%02d", minutes, rest);
}

std::string FormatBytes(double bytes) {
  const char* const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  int unit = 0;
  while (bytes >= 1024 && unit < 4) {
    bytes /= 1024;
    ++unit;
  }
  return absl::StrFormat("%.*f %s", unit == 0 || bytes >= 100 ? 0 : 1, bytes, units[unit]);
}

std::string FormatCount(double count) {
  std::string digits = absl::StrFormat("%.0f", count);
  size_t first = digits[0] == '-' ? 1 : 0;
  for (size_t i = digits.size(); i > first + 3; i -= 3) digits.insert(i - 3, 1, ',');
  return digits;
}

std::string FormatProgress(const Progress& progress, int bar_width) {
  std::string out = progress.phase();
  double share =
      progress.total() > 0 ? std::clamp(progress.done() / progress.total(), 0.0, 1.0) : 0;
  if (bar_width > 0 && progress.total() > 0) {
    int full = static_cast<int>(share * bar_width);
    absl::StrAppend(&out, "  [", std::string(full, '#'), std::string(bar_width - full, ' '), "]");
  }
  if (progress.total() > 0) {
    absl::StrAppend(&out, "  ", FormatCount(progress.done()), "/", FormatCount(progress.total()),
                    " ", progress.unit());
  }
  if (progress.tokens_per_s() > 0) {
    absl::StrAppend(&out, "  ", FormatCount(progress.tokens_per_s()), " tok/s");
  }
  if (!progress.waiting_for().empty()) {
    const bool cut = bar_width > 0 && progress.waiting_for().size() > kWaitingShown;
    absl::StrAppend(
        &out, "  waiting for: ",
        cut ? progress.waiting_for().substr(0, kWaitingShown) + "..." : progress.waiting_for());
  } else if (share >= 1) {
    absl::StrAppend(&out, "  in ", FormatSeconds(progress.elapsed_s()));
  } else if (share > 0) {
    absl::StrAppend(&out, "  ", FormatSeconds(progress.elapsed_s() * (1 - share) / share), " left");
  }
  return out;
}

ProgressDisplay::ProgressDisplay(std::ostream* out, bool terminal, absl::Duration plain_every)
    : out_(out), terminal_(terminal), plain_every_(plain_every) {}

void ProgressDisplay::ClearBar() {
  if (!bar_.empty()) *out_ << "\r\x1b[K";
  bar_.clear();
}

void ProgressDisplay::Forget(const Progress& progress) {
  shown_lines_.insert(progress.lines().begin(), progress.lines().end());
}

void ProgressDisplay::Print(absl::string_view line) {
  std::string bar = bar_;
  ClearBar();
  *out_ << line << "\n";
  if (!bar.empty()) *out_ << bar;
  bar_ = bar;
  out_->flush();
}

void ProgressDisplay::Show(const Progress& progress, absl::Time now) {
  if (terminal_ && !phase_.empty() && progress.phase() != phase_ && !bar_.empty()) {
    *out_ << "\n";  // the finished phase keeps its bar
    bar_.clear();
  }
  const bool news = progress.phase() != phase_ ||
                    (progress.waiting_for() != waiting_for_ && !progress.waiting_for().empty());
  phase_ = progress.phase();
  waiting_for_ = progress.waiting_for();
  for (const std::string& line : progress.lines()) {
    if (shown_lines_.insert(line).second) Print(line);
  }
  if (progress.finished()) {  // its last phase is over, whatever its figures were
    ClearBar();
  } else if (terminal_) {
    std::string bar = FormatProgress(progress, 24);
    if (bar == bar_) return;
    ClearBar();
    *out_ << bar;
    bar_ = bar;
  } else if (!progress.phase().empty() && (news || now >= next_plain_)) {
    *out_ << FormatProgress(progress, 0) << "\n";
    next_plain_ = now + plain_every_;
  }
  out_->flush();
}

void ProgressDisplay::Finish() {
  if (!bar_.empty()) *out_ << "\n";
  bar_.clear();
  out_->flush();
}

}  // namespace reckon
