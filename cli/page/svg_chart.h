#ifndef RECKON_CLI_PAGE_SVG_CHART_H_
#define RECKON_CLI_PAGE_SVG_CHART_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace reckon {

// A line of a chart. Its color, dash and mark follow from `style`, its number among the lines of
// the report, so that one arm looks the same in every chart.
struct ChartSeries {
  struct Point {
    double x = 0, y = 0;
    double low = 0, high = 0;  // of the interval; equal: none is drawn
  };
  std::string label;
  int style = 0;
  std::vector<Point> points;  // by x
};

struct Chart {
  std::string title, x_label;
  bool log_x = false;               // an x of 0 has a place of its own, left of the others
  bool whole_x = false;             // x are whole numbers, and so are the ticks
  bool percent = false;             // y is a proportion; an interval is drawn between 0 and 1
  bool from_zero = false;           // the y axis begins at 0
  std::vector<ChartSeries> series;  // the first is drawn last, above those that equal it
};

// An <svg> element for an HTML page, with the classes that kChartStyle defines. It scales with the
// width of its parent. Marks have a <title>, which browsers show as a tooltip. Points that are not
// finite are left out.
std::string SvgChart(const Chart& chart);

// The sample of a line for a legend, as an <svg> element.
std::string SvgKey(int style);

// CSS of charts and keys, light and dark.
extern const char kChartStyle[];

// Text with the characters escaped that mean something in HTML; bytes that are not UTF-8 become
// U+FFFD. Safe between tags and in quoted attributes.
std::string EscapeHtml(absl::string_view text);

// "12.5%" or "1,234" or "0.05", for humans.
std::string FormatValue(double value, bool percent);

}  // namespace reckon

#endif  // RECKON_CLI_PAGE_SVG_CHART_H_
