// Runs a fuzz target over its corpus, where there is no libFuzzer: every file of the folder and, of
// short ones, every beginning.
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <string>

#include "common/base/files.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

constexpr size_t kShort = 1024;

// In a block of exactly its size, so that a sanitizer sees every read past its end.
void Run(const std::string& text, size_t size) {
  const std::string input = text.substr(0, size);
  LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(input.data()), input.size());
}

}  // namespace

int main(int argc, char** argv) {
  int files = 0;
  for (int i = 1; i < argc; ++i) {
    for (const auto& entry : std::filesystem::directory_iterator(argv[i])) {
      auto text = reckon::ReadFile(entry.path().string());
      if (!text.ok()) {
        std::fprintf(stderr, "%s\n", text.status().ToString().c_str());
        return 1;
      }
      std::fprintf(stderr, "%s\n", entry.path().c_str());  // the last one is what failed
      Run(*text, text->size());
      for (size_t size = 0; size < text->size() && text->size() <= kShort; ++size) Run(*text, size);
      ++files;
    }
  }
  std::fprintf(stderr, "%d files replayed\n", files);
  return files > 0 ? 0 : 1;
}
