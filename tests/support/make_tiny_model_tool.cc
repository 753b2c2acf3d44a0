// reckon-tiny-model FOLDER: a random model for tests that run the programs.

#include <iostream>

#include "tests/support/tiny_model.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: reckon-tiny-model FOLDER\n";
    return 1;
  }
  absl::Status written = reckon::WriteTinyModel(argv[1]);
  if (!written.ok()) std::cerr << written.message() << "\n";
  return written.ok() ? 0 : 1;
}
