#include "cli/page/html_page.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "common/model/files/manifest.h"

namespace reckon {
namespace {

constexpr const char* kPageStyle = R"(
:root{--page:#f5f6f8;--card:#fff;--ink:#16191f;--soft:#59616e;--rule:#e1e4e9;--good:#14804a;--bad:#b3261e;--code:#f0f2f5}
@media(prefers-color-scheme:dark){:root{--page:#14161a;--card:#1d2026;--ink:#e8eaee;--soft:#a0a7b3;--rule:#343942;--good:#5fd39b;--bad:#ff8a80;--code:#272b33}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif}
main{max-width:1440px;margin:0 auto;padding:24px 20px 64px}
h1{font-size:26px;line-height:1.25;margin:0 0 6px;overflow-wrap:anywhere}
h2{font-size:19px;margin:36px 0 4px}
p{margin:4px 0 10px;max-width:86ch}
.soft{color:var(--soft)}
.cards{display:grid;gap:14px;grid-template-columns:repeat(auto-fill,minmax(min(100%,330px),1fr))}
figure{margin:0;background:var(--card);border:1px solid var(--rule);border-radius:8px;padding:12px 12px 8px;min-width:0}
figcaption{font-weight:600;margin:0 0 4px 4px}
.legend{display:flex;flex-wrap:wrap;gap:4px 18px;margin:8px 0 12px}
.legend span{white-space:nowrap}
.wide{overflow-x:auto;background:var(--card);border:1px solid var(--rule);border-radius:8px}
table{border-collapse:collapse;width:100%}
th,td{padding:7px 10px;text-align:right;white-space:nowrap;border-bottom:1px solid var(--rule);font-variant-numeric:tabular-nums}
th{font-weight:600;color:var(--soft)}
tr:last-child td{border-bottom:0}
th:first-child,td:first-child,.text{text-align:left}
.best{font-weight:700}
.finished{color:var(--good)}.failed{color:var(--bad)}
details{background:var(--card);border:1px solid var(--rule);border-radius:8px;margin:8px 0;padding:8px 12px}
summary{cursor:pointer;font-weight:600}
code{font:13px/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;background:var(--code);border-radius:4px;padding:2px 5px;overflow-wrap:anywhere}
pre{margin:6px 0 12px;white-space:pre-wrap;overflow-wrap:anywhere;background:var(--code);border-radius:6px;padding:8px 10px}
pre code{padding:0;background:none}
)";

// What the page may load and run: nothing but its own styles and this script, word for word.
std::string Policy(const HtmlPage::Frame& frame) {
  std::string policy = "default-src 'none';style-src 'unsafe-inline'";
  if (!frame.script.empty()) {
    absl::StrAppend(&policy, ";script-src 'sha256-", absl::Base64Escape(Sha256(frame.script)), "'");
  }
  if (frame.live) absl::StrAppend(&policy, ";connect-src 'self'");
  return policy;
}

}  // namespace

std::string Tag(const char* tag, const std::string& inner, const char* kind) {
  const std::string attribute = *kind == '\0' ? "" : absl::StrCat(" class=\"", kind, "\"");
  return absl::StrCat("<", tag, attribute, ">", inner, "</", tag, ">");
}

void HtmlPage::Heading(const std::string& text) { Add(Tag("h2", EscapeHtml(text))); }

void HtmlPage::Note(const std::string& text) { Add(Tag("p", EscapeHtml(text), "soft")); }

void HtmlPage::Legend(const std::vector<std::pair<std::string, int>>& lines) {
  std::string inner;
  for (const auto& [label, style] : lines) {
    absl::StrAppend(&inner, Tag("span", absl::StrCat(SvgKey(style), " ", EscapeHtml(label))));
  }
  Add(Tag("div", inner, "legend"));
}

void HtmlPage::Charts(const std::vector<Chart>& charts) {
  std::string inner;
  for (const Chart& chart : charts) {
    size_t points = 0;
    for (const ChartSeries& series : chart.series) points += series.points.size();
    if (points == 0) continue;
    absl::StrAppend(&inner, Tag("figure", absl::StrCat(Tag("figcaption", EscapeHtml(chart.title)),
                                                       SvgChart(chart))));
  }
  Add(Tag("div", inner, "cards"));
}

void HtmlPage::Table(const std::vector<std::string>& head,
                     const std::vector<std::vector<std::string>>& rows) {
  std::string inner = "<tr>";
  for (const std::string& cell : head) absl::StrAppend(&inner, Tag("th", cell));
  inner += "</tr>";
  for (const auto& row : rows) {
    inner += "<tr>";
    for (const std::string& cell : row) absl::StrAppend(&inner, Tag("td", cell));
    inner += "</tr>";
  }
  Add(Tag("div", Tag("table", inner), "wide"));
}

std::string HtmlPage::Text(const Frame& frame) const {
  std::string out = absl::StrCat(
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
      "<meta name=\"color-scheme\" content=\"light dark\">\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"",
      Policy(frame), "\">\n<title>", EscapeHtml(frame.title), "</title><style>", kPageStyle,
      kChartStyle, frame.style, "</style></head><body><main>", body_, "</main>", frame.data);
  if (!frame.script.empty()) absl::StrAppend(&out, "<script>", frame.script, "</script>");
  return out + "</body></html>\n";
}

}  // namespace reckon
