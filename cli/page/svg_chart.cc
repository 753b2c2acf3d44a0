#include "cli/page/svg_chart.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "common/telemetry/figures.h"
#include "common/text/utf8.h"

namespace reckon {
namespace {

constexpr double kWidth = 460, kHeight = 290;
constexpr double kLeft = 52, kRight = 14, kTop = 12, kBottom = 44;
constexpr double kZeroSlot = 60;  // width of the place of x = 0 on a logarithmic axis
constexpr int kColors = 8, kShapes = 4;
constexpr double kLeastSpan = 1e-9;  // of an axis to its values; less is rounding, not a change
constexpr int kTicksAtMost = 50;     // far more than any axis asks for
constexpr size_t kMarksAtMost = 16;  // a longer line has no marks but its last

double NiceStep(double span, int ticks) {
  const double raw = span / ticks, power = std::pow(10, std::floor(std::log10(raw)));
  for (const double step : {1.0, 2.0, 5.0}) {
    if (raw <= step * power * 1.0001) return step * power;
  }
  return 10 * power;
}

// "28.5", "1,000", "20k", "3M".
std::string Short(double value) {
  if (value != 0 && std::fabs(value) < 1000) return absl::StrFormat("%.3g", value);
  if (std::fabs(value) >= 1e6) return absl::StrFormat("%.3gM", value / 1e6);
  if (std::fabs(value) >= 1e4) return absl::StrFormat("%.3gk", value / 1e3);
  return FormatCount(value);
}

// An axis: values to positions, and its ticks.
class ChartAxis {
 public:
  static ChartAxis Linear(double low, double high, double from, double to, int ticks,
                          double least_step = 0) {
    ChartAxis axis;
    axis.from_ = from;
    axis.to_ = to;
    const double size = std::max(std::fabs(low), std::fabs(high));
    if (!(high - low > kLeastSpan * size)) {
      const double room = size == 0 ? 1 : size * 0.1;
      low -= room;
      high += room;
    }
    const double step = std::max(NiceStep(high - low, ticks), least_step);
    axis.low_ = std::floor(low / step + 1e-9) * step;
    axis.high_ = std::ceil(high / step - 1e-9) * step;
    for (int i = 0; i < kTicksAtMost; ++i) {
      const double tick = axis.low_ + i * step;
      if (!(tick < axis.high_ + step / 2)) break;
      axis.ticks_.push_back(std::fabs(tick) < step / 1e6 ? 0 : tick);
    }
    return axis;
  }

  static ChartAxis Log(double low, double high, bool zero, double from, double to) {
    ChartAxis axis;
    axis.log_ = true;
    axis.zero_at_ = from + 8;
    axis.from_ = zero ? from + kZeroSlot : from;
    axis.to_ = to;
    axis.low_ = std::log10(low);
    axis.high_ = std::log10(high);
    if (axis.high_ - axis.low_ < 0.3) {  // less than a factor of 2
      axis.low_ -= 0.15;
      axis.high_ += 0.15;
    }
    if (zero) axis.ticks_.push_back(0);
    const double decades = axis.high_ - axis.low_;
    for (int power = -9; power < 16; ++power) {
      for (const double digit : {1.0, 1.5, 2.0, 3.0, 5.0, 7.0}) {
        const double tick = digit * std::pow(10, power), at = std::log10(tick);
        if (decades > 2.2 && digit != 1) continue;
        if (decades > 0.8 && digit != 1 && digit != 2 && digit != 5) continue;
        // On the left there is room for one that is just outside.
        if (at > axis.low_ - 0.02 && at < axis.high_ + 1e-9) axis.ticks_.push_back(tick);
      }
    }
    return axis;
  }

  double At(double value) const {
    if (!log_) value = std::clamp(value, low_, high_);
    if (log_ && value <= 0) return zero_at_;
    const double v = log_ ? std::log10(value) : value;
    return from_ + (v - low_) / (high_ - low_) * (to_ - from_);
  }
  const std::vector<double>& ticks() const { return ticks_; }

 private:
  bool log_ = false;
  double low_ = 0, high_ = 1, from_ = 0, to_ = 1, zero_at_ = 0;
  std::vector<double> ticks_;
};

bool Finite(const ChartSeries::Point& p) { return std::isfinite(p.x) && std::isfinite(p.y); }

std::string ClassOf(int style) {
  return absl::StrCat("s", style % kColors, style / kColors % 2 == 1 ? " dash" : "");
}

// A mark whose shape tells lines apart where colors do not.
std::string Mark(double x, double y, int style, const std::string& title) {
  const std::string inner =
      title.empty() ? "" : absl::StrCat("<title>", EscapeHtml(title), "</title>");
  const char* const shapes[kShapes] = {"M-4,0a4,4 0 1,0 8,0a4,4 0 1,0 -8,0z", "M-3.5,-3.5h7v7h-7z",
                                       "M0,-4.8L4.6,3.6H-4.6z", "M0,-5L5,0L0,5L-5,0z"};
  return absl::StrFormat(
      "<path class=\"mark %s\" transform=\"translate(%.1f,%.1f)\" d=\"%s\">%s</path>",
      ClassOf(style), x, y, shapes[style % kShapes], inner);
}

std::string SvgText(double x, double y, const char* anchor, const std::string& text) {
  return absl::StrFormat("<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">%s</text>", x, y, anchor,
                         EscapeHtml(text));
}

std::string SvgLine(double x1, double y1, double x2, double y2, const char* kind) {
  return absl::StrFormat("<line class=\"%s\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>",
                         kind, x1, y1, x2, y2);
}

std::string Drawn(const ChartSeries& series, const Chart& chart, const ChartAxis& x,
                  const ChartAxis& y) {
  std::vector<ChartSeries::Point> points;
  std::copy_if(series.points.begin(), series.points.end(), std::back_inserter(points), Finite);
  std::string line, upper, lower, out;
  bool band = false;
  for (const ChartSeries::Point& p : points) {
    absl::StrAppendFormat(&line, "%.1f,%.1f ", x.At(p.x), y.At(p.y));
    absl::StrAppendFormat(&upper, "%.1f,%.1f ", x.At(p.x), y.At(p.high > p.low ? p.high : p.y));
    lower = absl::StrFormat("%.1f,%.1f ", x.At(p.x), y.At(p.high > p.low ? p.low : p.y)) + lower;
    band |= p.high > p.low;
  }
  const std::string style = ClassOf(series.style);
  if (band && points.size() > 1) {
    absl::StrAppend(&out, "<polygon class=\"band ", style, "\" points=\"", upper, lower, "\"/>");
  }
  if (points.size() > 1) {
    absl::StrAppend(&out, "<polyline class=\"line ", style, "\" points=\"", line, "\"/>");
  }
  for (size_t i = 0; i < points.size(); ++i) {
    const ChartSeries::Point& p = points[i];
    if (points.size() > kMarksAtMost && i + 1 < points.size()) continue;
    if (p.high > p.low && points.size() <= kMarksAtMost) {
      absl::StrAppend(&out, SvgLine(x.At(p.x), y.At(p.low), x.At(p.x), y.At(p.high),
                                    absl::StrCat("whisker ", style).c_str()));
    }
    std::string title = absl::StrCat(series.label, "\n", chart.x_label, ": ", Short(p.x), "\n",
                                     chart.title, ": ", FormatValue(p.y, chart.percent));
    if (p.high > p.low) {
      absl::StrAppend(&title, " [", FormatValue(p.low, chart.percent), ", ",
                      FormatValue(p.high, chart.percent), "]");
    }
    absl::StrAppend(&out, Mark(x.At(p.x), y.At(p.y), series.style, title));
  }
  return out;
}

}  // namespace

const char kChartStyle[] = R"(
:root{--c0:#1668c4;--c1:#c9510c;--c2:#14804a;--c3:#8e3bb0;--c4:#8a6a00;--c5:#c01f5b;--c6:#007a87;--c7:#5c6470}
@media(prefers-color-scheme:dark){:root{--c0:#6db1ff;--c1:#ff9c5c;--c2:#5fd39b;--c3:#d392f2;--c4:#e2c04c;--c5:#ff85b0;--c6:#52d0de;--c7:#b4bac4}}
svg.chart{width:100%;height:auto;display:block;font-size:12px}
svg.key{width:34px;height:14px;vertical-align:-2px}
.chart text{fill:var(--soft)}
.chart text.name{fill:var(--ink)}
.grid{stroke:var(--rule);stroke-width:1}
.axis{stroke:var(--soft);stroke-width:1}
.gap{stroke:var(--soft);stroke-width:1;stroke-dasharray:2 3}
.line{fill:none;stroke-width:2;stroke-linejoin:round}
.whisker{stroke-width:1.5;opacity:.55}
.band{stroke:none;opacity:.13}
.mark{stroke:var(--card);stroke-width:1}
.line.dash{stroke-dasharray:6 4}
.line.s0,.whisker.s0{stroke:var(--c0)}.mark.s0,.band.s0{fill:var(--c0)}
.line.s1,.whisker.s1{stroke:var(--c1)}.mark.s1,.band.s1{fill:var(--c1)}
.line.s2,.whisker.s2{stroke:var(--c2)}.mark.s2,.band.s2{fill:var(--c2)}
.line.s3,.whisker.s3{stroke:var(--c3)}.mark.s3,.band.s3{fill:var(--c3)}
.line.s4,.whisker.s4{stroke:var(--c4)}.mark.s4,.band.s4{fill:var(--c4)}
.line.s5,.whisker.s5{stroke:var(--c5)}.mark.s5,.band.s5{fill:var(--c5)}
.line.s6,.whisker.s6{stroke:var(--c6)}.mark.s6,.band.s6{fill:var(--c6)}
.line.s7,.whisker.s7{stroke:var(--c7)}.mark.s7,.band.s7{fill:var(--c7)}
)";

std::string EscapeHtml(absl::string_view text) {
  return absl::StrReplaceAll(
      RepairUtf8(text),
      {{"&", "&amp;"}, {"<", "&lt;"}, {">", "&gt;"}, {"\"", "&quot;"}, {"'", "&#39;"}});
}

std::string FormatValue(double value, bool percent) {
  if (!std::isfinite(value)) return "-";
  if (percent) return absl::StrFormat("%.1f%%", 100 * value);
  if (std::fabs(value) >= 1000) return FormatCount(value);
  return absl::StrFormat("%.3g", value);
}

std::string SvgKey(int style) {
  return absl::StrCat(
      "<svg class=\"key\" viewBox=\"0 0 34 14\" aria-hidden=\"true\"><line class=\"line ",
      ClassOf(style), "\" x1=\"1\" y1=\"7\" x2=\"33\" y2=\"7\"/>", Mark(17, 7, style, ""),
      "</svg>");
}

std::string SvgChart(const Chart& chart) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  double x_low = kInfinity, x_high = -kInfinity, y_low = kInfinity, y_high = -kInfinity;
  bool zero = false;
  for (const ChartSeries& series : chart.series) {
    for (const ChartSeries::Point& p : series.points) {
      if (!Finite(p)) continue;
      const bool interval = p.high > p.low;
      // An interval by t may leave the range of a proportion.
      y_low =
          std::min({y_low, p.y, interval ? (chart.percent ? std::max(p.low, 0.) : p.low) : p.y});
      y_high =
          std::max({y_high, p.y, interval ? (chart.percent ? std::min(p.high, 1.) : p.high) : p.y});
      if (chart.log_x && p.x <= 0) {
        zero = true;
        continue;
      }
      x_low = std::min(x_low, p.x);
      x_high = std::max(x_high, p.x);
    }
  }
  if (chart.from_zero) y_low = std::min(y_low, 0.0);
  const bool only_zero = zero && !(x_low <= x_high);
  if (!(x_low <= x_high)) x_low = x_high = 1;
  if (!(y_low <= y_high)) y_low = 0, y_high = 1;
  const double right = kWidth - kRight, bottom = kHeight - kBottom;
  const ChartAxis x = chart.log_x ? ChartAxis::Log(x_low, x_high, zero, kLeft + 6, right - 6)
                                  : ChartAxis::Linear(x_low, x_high, kLeft + 6, right - 6, 6,
                                                      chart.whole_x ? 1 : 0);
  const ChartAxis y = ChartAxis::Linear(y_low, y_high, bottom, kTop, 5);

  std::string out = absl::StrFormat(
      "<svg class=\"chart\" viewBox=\"0 0 %.0f %.0f\" role=\"img\" aria-label=\"%s\">", kWidth,
      kHeight, EscapeHtml(absl::StrCat(chart.title, " against ", chart.x_label)));
  for (const double tick : y.ticks()) {
    absl::StrAppend(&out, SvgLine(kLeft, y.At(tick), right, y.At(tick), "grid"),
                    SvgText(kLeft - 6, y.At(tick) + 4, "end",
                            chart.percent ? absl::StrFormat("%.3g%%", 100 * tick) : Short(tick)));
  }
  const double solid = zero ? kLeft + kZeroSlot - 4 : kLeft;
  if (zero) absl::StrAppend(&out, SvgLine(kLeft, bottom, solid, bottom, "gap"));
  absl::StrAppend(&out, SvgLine(solid, bottom, right, bottom, "axis"));
  for (const double tick : x.ticks()) {
    if (only_zero && tick > 0) continue;
    absl::StrAppend(&out, SvgLine(x.At(tick), bottom, x.At(tick), bottom + 4, "axis"),
                    SvgText(x.At(tick), bottom + 17, "middle", Short(tick)));
  }
  absl::StrAppend(&out,
                  absl::StrFormat("<text class=\"name\" x=\"%.1f\" y=\"%.1f\" "
                                  "text-anchor=\"middle\">%s</text>",
                                  (kLeft + right) / 2, kHeight - 8, EscapeHtml(chart.x_label)));
  for (auto series = chart.series.rbegin(); series != chart.series.rend(); ++series) {
    absl::StrAppend(&out, Drawn(*series, chart, x, y));
  }
  return out + "</svg>";
}

}  // namespace reckon
