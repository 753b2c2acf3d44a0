#ifndef RECKON_COMMON_BASE_PROGRAM_FLAGS_H_
#define RECKON_COMMON_BASE_PROGRAM_FLAGS_H_

#include "absl/strings/string_view.h"

namespace reckon {

// Reads the flags of a program; main calls it once. --help prints `usage` and every flag of Reckon
// that the program has, whichever file defines it, and ends the program, as a wrong flag does.
void ParseProgramFlags(int argc, char** argv, absl::string_view usage);

}  // namespace reckon

#endif  // RECKON_COMMON_BASE_PROGRAM_FLAGS_H_
