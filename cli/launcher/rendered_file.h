#ifndef RECKON_CLI_LAUNCHER_RENDERED_FILE_H_
#define RECKON_CLI_LAUNCHER_RENDERED_FILE_H_

#include <string>

namespace reckon {

// A file that `reckon launch` makes for a scheduler, and shows with --dry-run.
struct RenderedFile {
  std::string name;  // in the folder of its kind, as "learner.sbatch"
  std::string text;
};

}  // namespace reckon

#endif  // RECKON_CLI_LAUNCHER_RENDERED_FILE_H_
