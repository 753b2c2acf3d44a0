#ifndef RECKON_CLI_REPORT_ROLLOUT_BROWSER_H_
#define RECKON_CLI_REPORT_ROLLOUT_BROWSER_H_

#include <string>
#include <vector>

#include "cli/report/rollout_sample.h"
#include "common/text/tokenizer.h"

namespace reckon {

// The rollout browser of a page: a form of filters, a list, and one rollout beside its siblings.
// Its script builds everything from data with textContent, never from HTML, so that nothing a model
// wrote becomes part of the page.
extern const char kBrowserHtml[];
extern const char kBrowserStyle[];
extern const char kBrowserScript[];

// The sample of a run as JSON. Tokens are indices into `texts`; log-probabilities are in 1/1000
// nat, and null of tokens that were not sampled.
std::string BrowserData(const std::vector<SampledPlan>& plans, const Tokenizer& tokenizer);

// The element from which the script takes the data of all runs and what it calls them.
std::string BrowserScriptData(const std::vector<std::string>& labels,
                              const std::vector<std::string>& runs);

}  // namespace reckon

#endif  // RECKON_CLI_REPORT_ROLLOUT_BROWSER_H_
