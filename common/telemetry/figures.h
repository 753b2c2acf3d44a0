#ifndef RECKON_COMMON_TELEMETRY_FIGURES_H_
#define RECKON_COMMON_TELEMETRY_FIGURES_H_

#include <string>

namespace reckon {

// Numbers as humans read them.

// "0:05", "1:02:03".
std::string FormatSeconds(double seconds);

// "1.5 GiB", "900 B".
std::string FormatBytes(double bytes);

// "1,234".
std::string FormatCount(double count);

}  // namespace reckon

#endif  // RECKON_COMMON_TELEMETRY_FIGURES_H_
