#ifndef RECKON_CLI_LAUNCHER_TEXT_TEMPLATE_H_
#define RECKON_CLI_LAUNCHER_TEXT_TEMPLATE_H_

#include <map>
#include <string>

#include "absl/strings/string_view.h"

namespace reckon {

// Replaces each {name} in `text` by its value. A line that is one {name} alone takes all lines of
// the value, each with the line's indentation, and is left out when the value is empty; this is how
// a block of YAML gets into another. Values are not searched for names. CHECKs that every name that
// the text has is in `values`: texts and values come from this program.
std::string FillTemplate(absl::string_view text, const std::map<std::string, std::string>& values);

// A text as a scalar of YAML, whatever is in it: a string of JSON, which YAML includes, in ASCII.
std::string YamlText(absl::string_view text);

}  // namespace reckon

#endif  // RECKON_CLI_LAUNCHER_TEXT_TEMPLATE_H_
