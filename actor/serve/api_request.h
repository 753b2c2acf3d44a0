#ifndef RECKON_ACTOR_SERVE_API_REQUEST_H_
#define RECKON_ACTOR_SERVE_API_REQUEST_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "actor/serve/generation.h"
#include "actor/serve/served_model.h"

namespace reckon {

enum class Endpoint { kCompletions, kChat };

inline constexpr uint32_t kMaxTopLogprobs = 20;
inline constexpr size_t kMaxChoices = 512;  // prompts times n

// A request as OpenAI's API writes it: the body of POST /v1/completions or /v1/chat/completions.
struct ApiRequest {
  Endpoint endpoint = Endpoint::kCompletions;
  bool stream = false;
  bool include_usage = false;  // of a stream: stream_options.include_usage
  bool logprobs = false;
  GenerationRequest generation;  // without its deadline
};

// Reads a body, which may come from anyone, and makes its prompts tokens. INVALID_ARGUMENT names
// the field (api_error.h): a wrong type, a value out of range, what this server does not do, what
// it does not know. NOT_FOUND: another model. Without a seed one is drawn. `longest_choice`: of the
// batcher; without max_tokens no choice asks for more, as nobody asked for what would be refused.
absl::StatusOr<ApiRequest> ReadApiRequest(Endpoint endpoint, absl::string_view body,
                                          const ServedModel& model, int64_t longest_choice);

}  // namespace reckon

#endif  // RECKON_ACTOR_SERVE_API_REQUEST_H_
