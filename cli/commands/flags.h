#ifndef RECKON_CLI_COMMANDS_FLAGS_H_
#define RECKON_CLI_COMMANDS_FLAGS_H_

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "cli/launcher/local_session.h"
#include "common/config/ranges.h"

namespace reckon {

// What the flags of several commands have in common.

// Checks a flag by the range that a field of T has in its .proto.
template <typename T>
CLI::Validator Allowed(const std::string& name) {
  const google::protobuf::FieldDescriptor* field = T::descriptor()->FindFieldByName(name);
  return CLI::Validator(
      [field](const std::string& text) -> std::string {
        double value = 0;
        if (absl::SimpleAtod(text, &value) && InRange(*field, value)) return "";
        return absl::StrCat("value ", text, "; allowed: ", DescribeRange(*field));
      },
      DescribeRange(*field));
}

// A system message and the variables of the chat template.
void AddChatOptions(CLI::App* command, std::string* system_prompt, std::string* kwargs);

// What the batch engine computes with.
void AddEngineOptions(CLI::App* command, uint32_t* threads, uint32_t* max_batch,
                      uint32_t* kv_cache_mib, bool* fp32);

// A model, problems, how they are asked, and the engine.
void AddProblemOptions(CLI::App* command, ProblemOptions* options);

}  // namespace reckon

#endif  // RECKON_CLI_COMMANDS_FLAGS_H_
