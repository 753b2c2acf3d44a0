#ifndef RECKON_ACTOR_SERVE_API_REPLY_H_
#define RECKON_ACTOR_SERVE_API_REPLY_H_

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "actor/serve/api_request.h"
#include "actor/serve/generation.h"
#include "actor/serve/served_model.h"

namespace reckon {

// The reply to one request as OpenAI's API writes it, made from the news of its generation:
//
//   Add ... Add, Whole               one JSON object
//   Events ... Events, LastEvents    server-sent events, of a stream
//
// Token counts include the end token that the model drew; the lists of log-probabilities do not,
// since the text has nothing of it. A token's log-probability is that of the distribution which it
// was drawn from (sampling.h). Owned and used by the connection's thread.
class ApiReply {
 public:
  // `model` outlives it. `id`: unique, without the prefix that its kind has.
  ApiReply(const ServedModel& model, const ApiRequest& request, const std::string& id,
           int64_t created);

  void Add(const std::vector<ChoiceNews>& news);
  std::string Whole() const;

  // Empty when the news have nothing to tell yet.
  std::string Events(const std::vector<ChoiceNews>& news);
  std::string LastEvents() const;
  // In the place of further events.
  static std::string ErrorEvent(const absl::Status& status);

  int64_t completion_tokens() const { return completion_tokens_; }

 private:
  using Json = nlohmann::ordered_json;
  struct Choice {
    std::string text;
    std::vector<GeneratedToken> tokens;  // of which log-probabilities are told
    FinishReason finish = FINISH_UNSPECIFIED;
    int64_t characters = 0;  // of the tokens of earlier events
    bool begun = false;      // the first event was sent
  };

  // Counts them, and leaves out an end token.
  std::vector<GeneratedToken> Told(const ChoiceNews& news);
  std::string TokenText(uint32_t token) const;
  // `characters`: of the text before them; it becomes that after them.
  Json Logprobs(const std::vector<GeneratedToken>& tokens, int64_t* characters) const;
  Json Frame(const char* object) const;
  Json Usage() const;
  std::string Event(Json choice) const;

  const ServedModel& model_;
  const bool chat_, include_usage_, logprobs_;
  const std::vector<uint32_t> ends_;
  const std::string id_;
  const int64_t created_;
  int64_t prompt_tokens_ = 0;
  int64_t completion_tokens_ = 0;
  std::vector<Choice> choices_;
};

}  // namespace reckon

#endif  // RECKON_ACTOR_SERVE_API_REPLY_H_
