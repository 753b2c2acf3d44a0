#include "cli/sweep/sweep_display.h"

#include "absl/strings/str_cat.h"
#include "cli/launcher/progress_display.h"

namespace reckon {
namespace {

constexpr int kRunBar = 16;

}  // namespace

std::string SweepCounts::Text() const {
  return absl::StrCat(finished, " finished, ", running, " running, ", failed, " failed, ", waiting,
                      " waiting");
}

SweepDisplay::SweepDisplay(std::ostream* out, bool terminal, int columns,
                           absl::Duration plain_every)
    : out_(out),
      terminal_(terminal),
      columns_(columns < 20 ? 80 : static_cast<size_t>(columns)),
      plain_every_(plain_every) {}

void SweepDisplay::Clear() {
  if (drawn_ > 0) *out_ << "\x1b[" << drawn_ << "F\x1b[J";
  drawn_ = 0;
}

void SweepDisplay::Draw() {
  for (const std::string& line : lines_) *out_ << line.substr(0, columns_ - 1) << "\n";
  if (terminal_) drawn_ = lines_.size();
  out_->flush();
}

void SweepDisplay::Print(absl::string_view line) {
  if (!terminal_) {
    *out_ << line << std::endl;
    return;
  }
  Clear();
  *out_ << line << "\n";
  Draw();
}

void SweepDisplay::Show(const std::vector<std::pair<std::string, Progress>>& running,
                        const SweepCounts& counts, absl::Time now) {
  if (!terminal_ && now < next_plain_) return;
  next_plain_ = now + plain_every_;
  std::vector<std::string> lines;
  for (const auto& [name, progress] : running) {
    lines.push_back(absl::StrCat(
        name, ": ",
        progress.phase().empty() ? "starting" : FormatProgress(progress, terminal_ ? kRunBar : 0)));
  }
  lines.push_back(counts.Text());
  if (lines == lines_) return;
  Clear();
  lines_ = std::move(lines);
  Draw();
}

}  // namespace reckon
