#ifndef RECKON_CLI_PAGE_HTML_PAGE_H_
#define RECKON_CLI_PAGE_HTML_PAGE_H_

#include <string>
#include <utility>
#include <vector>

#include "cli/page/svg_chart.h"

namespace reckon {

// An element with this inner HTML and class.
std::string Tag(const char* tag, const std::string& inner, const char* kind = "");

// Writes the HTML pages of reports: one file that loads nothing from elsewhere, light or dark as
// the reader's system is. Elements are added in their order; who adds text escapes it with
// EscapeHtml.
class HtmlPage {
 public:
  // What is not in the elements.
  struct Frame {
    std::string title;   // not escaped
    std::string style;   // CSS beside that of all pages
    std::string script;  // JavaScript, run when the page is loaded; empty: the page has none
    std::string data;    // elements after the last one, as a <script> of data
    // Whether the script may ask the server that the page came from. It can reach nobody else.
    bool live = false;
  };

  void Add(const std::string& html) { body_ += html; }
  void Heading(const std::string& text);
  // A paragraph of explanation.
  void Note(const std::string& text);
  // Lines of charts with their styles.
  void Legend(const std::vector<std::pair<std::string, int>>& lines);
  // Side by side. One without a point is left out.
  void Charts(const std::vector<Chart>& charts);
  // Cells are HTML.
  void Table(const std::vector<std::string>& head,
             const std::vector<std::vector<std::string>>& rows);

  // The elements alone.
  const std::string& body() const { return body_; }
  std::string Text(const Frame& frame) const;

 private:
  std::string body_;
};

}  // namespace reckon

#endif  // RECKON_CLI_PAGE_HTML_PAGE_H_
