#include "cli/launcher/progress_display.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace reckon {
namespace {

constexpr int kBar = 24, kLeastBar = 8, kTrend = 16;
constexpr const char* kClear = "\r\x1b[K";
constexpr const char* kUp = "\x1b[A";
constexpr const char* kHighlight = "\x1b[1;33m";
constexpr const char* kPlain = "\x1b[0m";

double Share(const Progress& progress) {
  return progress.total() > 0 ? std::clamp(progress.done() / progress.total(), 0.0, 1.0) : 0;
}

std::string Bar(const Progress& progress, int width) {
  const int full = static_cast<int>(Share(progress) * width);
  return absl::StrCat("[", std::string(full, '#'), std::string(width - full, ' '), "]");
}

std::string Counts(const Progress& progress) {
  return absl::StrCat(FormatCount(progress.done()), "/", FormatCount(progress.total()), " ",
                      progress.unit());
}

// "in 1:23", "0:59 left"; empty before anything is known.
std::string TimeOf(const Progress& progress) {
  const double share = Share(progress);
  if (share >= 1) return absl::StrCat("in ", FormatSeconds(progress.elapsed_s()));
  if (share <= 0) return "";
  return absl::StrCat(FormatSeconds(progress.elapsed_s() * (1 - share) / share), " left");
}

// Columns of a text: a character has one.
int Columns(absl::string_view text) {
  return static_cast<int>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

// The beginning of a text that fits, with "..." where it was cut.
std::string Cut(const std::string& text, int columns) {
  if (Columns(text) <= columns) return text;
  std::string out;
  int left = std::max(0, columns - 3);
  for (const char c : text) {
    if ((c & 0xC0) != 0x80 && left-- == 0) break;
    out.push_back(c);
  }
  return out + "...";
}

// The last values between their lowest and highest.
std::string Trend(const Progress& progress, int width) {
  const char* const levels[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  const int first = std::max(0, progress.trend_size() - width);
  if (progress.trend_size() - first < 2) return "";
  const auto begin = progress.trend().begin() + first;
  const auto [low, high] = std::minmax_element(begin, progress.trend().end());
  std::string out;
  for (auto value = begin; value != progress.trend().end(); ++value) {
    const double level = *high > *low ? (*value - *low) / (*high - *low) : 0;
    out += levels[static_cast<int>(level * 7.999)];
  }
  return out;
}

}  // namespace

std::string FormatProgress(const Progress& progress, int bar_width) {
  std::string out = progress.phase();
  if (progress.total() > 0) {
    if (bar_width > 0) absl::StrAppend(&out, "  ", Bar(progress, bar_width));
    absl::StrAppend(&out, "  ", Counts(progress));
  }
  if (progress.tokens_per_s() > 0) {
    absl::StrAppend(&out, "  ", FormatCount(progress.tokens_per_s()), " tok/s");
  }
  if (!progress.waiting_for().empty()) {
    absl::StrAppend(&out, "  waiting for: ", progress.waiting_for());
  } else if (const std::string time = TimeOf(progress); !time.empty()) {
    absl::StrAppend(&out, "  ", time);
  }
  return out;
}

std::string FormatLiveLine(const Progress& progress, int columns) {
  if (progress.total() <= 0 || !progress.waiting_for().empty()) {
    return Cut(FormatProgress(progress, 0), columns);
  }
  std::string figure;
  if (!progress.figure().empty() && progress.trend_size() > 0) {
    figure = absl::StrFormat("  %s %.4g", progress.figure(), *progress.trend().rbegin());
  }
  const std::string time = TimeOf(progress);
  const std::string end = time.empty() ? "" : "  " + time;
  std::string speed;
  if (progress.tokens_per_s() > 0) {
    speed = absl::StrCat("  ", FormatCount(progress.tokens_per_s()), " tok/s");
  }
  const std::string counts = "  " + Counts(progress);
  const auto left = [&] {
    return columns - Columns(absl::StrCat(progress.phase(), counts, figure, speed, end));
  };
  if (left() < 0) speed.clear();
  if (const std::string trend = Trend(progress, std::min(kTrend, left() - 1)); !trend.empty()) {
    absl::StrAppend(&figure, " ", trend);
  }
  std::string bar;
  if (left() >= kLeastBar + 4) bar = "  " + Bar(progress, std::min(kBar, left() - 4));
  return Cut(absl::StrCat(progress.phase(), bar, counts, figure, speed, end), columns);
}

int TerminalColumns(int file) {
  winsize size{};
  return ::ioctl(file, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

ProgressDisplay::ProgressDisplay(std::ostream* out, Options options)
    : out_(out), options_(std::move(options)) {}

ProgressDisplay::Options ProgressDisplay::OptionsOf(int file) {
  Options options;
  options.terminal = ::isatty(file) == 1;
  options.columns = [file] {
    const int columns = TerminalColumns(file);
    return columns > 0 ? columns : 80;
  };
  return options;
}

// A terminal that has become narrower shows the line on several rows.
void ProgressDisplay::ClearLine() {
  if (line_.empty()) return;
  const int rows_above = (line_columns_ - 1) / std::max(1, options_.columns());
  *out_ << kClear;
  for (int row = 0; row < rows_above; ++row) *out_ << kUp << kClear;
  line_.clear();
}

void ProgressDisplay::Forget(const Progress& progress) {
  shown_lines_.insert(progress.lines().begin(), progress.lines().end());
  for (const auto& step : progress.step_lines()) shown_lines_.insert(step.text());
}

void ProgressDisplay::Print(absl::string_view line) {
  const std::string below = line_;
  ClearLine();
  *out_ << line << "\n" << below;
  line_ = below;
  out_->flush();
}

void ProgressDisplay::Warn(absl::string_view line) {
  if (!options_.terminal || std::getenv("NO_COLOR") != nullptr) return Print(line);
  Print(absl::StrCat(kHighlight, line, kPlain));
}

void ProgressDisplay::PrintOnce(const std::string& line) {
  if (shown_lines_.insert(line).second) Print(line);
}

void ProgressDisplay::Show(const Progress& progress, absl::Time now) {
  const bool news = progress.phase() != phase_ ||
                    (progress.waiting_for() != waiting_for_ && !progress.waiting_for().empty());
  phase_ = progress.phase();
  waiting_for_ = progress.waiting_for();
  uint32_t line = 0;
  for (const Progress::StepLine& step : progress.step_lines()) {
    for (; line < step.after() && static_cast<int>(line) < progress.lines_size(); ++line) {
      PrintOnce(progress.lines(static_cast<int>(line)));
    }
    if (!options_.terminal || options_.verbose) PrintOnce(step.text());
  }
  for (; static_cast<int>(line) < progress.lines_size(); ++line) {
    PrintOnce(progress.lines(static_cast<int>(line)));
  }
  if (progress.finished()) {  // its last phase is over, whatever its figures were
    ClearLine();
  } else if (options_.terminal) {
    std::string live = FormatLiveLine(progress, options_.columns() - 1);
    const int columns = Columns(live);
    if (!waiting_for_.empty() && std::getenv("NO_COLOR") == nullptr) {
      live = absl::StrCat(kHighlight, live, kPlain);
    }
    if (live == line_) return;
    ClearLine();
    *out_ << live;
    line_ = live;
    line_columns_ = columns;
  } else if (!progress.phase().empty() && (news || now >= next_plain_)) {
    *out_ << FormatProgress(progress, 0) << "\n";
    next_plain_ = now + options_.plain_every;
  }
  out_->flush();
}

void ProgressDisplay::Finish() {
  ClearLine();
  out_->flush();
}

}  // namespace reckon
