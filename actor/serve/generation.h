#ifndef RECKON_ACTOR_SERVE_GENERATION_H_
#define RECKON_ACTOR_SERVE_GENERATION_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "common/model/sampling.h"
#include "proto/rollout.pb.h"
#include "proto/sampling.pb.h"

namespace reckon {

// What one request asks of the engine: `samples` choices for each prompt.
struct GenerationRequest {
  std::vector<std::vector<uint32_t>> prompts;
  uint32_t samples = 1;
  SamplingParams sampling;
  uint64_t seed = 0;  // equal requests with equal seeds have equal choices
  std::vector<uint32_t> stop_token_ids;
  std::vector<std::string> stop_strings;
  uint32_t ranked = 0;  // the likeliest tokens that are told at the place of each token
  absl::Time deadline = absl::InfiniteFuture();
};

struct GeneratedToken {
  uint32_t id = 0;
  float logprob = 0;
  std::vector<RankedToken> ranked;
};

// What is new of one choice.
struct ChoiceNews {
  size_t choice = 0;  // prompt * samples + sample
  std::vector<GeneratedToken> tokens;
  // Whole characters that no stop string will cut any more. The texts of all news, joined, are the
  // completion.
  std::string text;
  FinishReason finish = FINISH_UNSPECIFIED;
};

// A request between the connection that asked for it and the batcher that runs it.
//
//   batcher:     Update ... Update(finish)  or  Fail
//   connection:  Next ... until ended(), or Cancel when nobody waits any more
//
// What the connection has not read yet is bounded by the tokens that the request asked for.
// Thread-safe; owned by both.
class Generation {
 public:
  explicit Generation(GenerationRequest request);

  const GenerationRequest& request() const { return request_; }

  // ---- the connection ----
  // Returns what is new, after at most `timeout`; nothing is an empty vector. An error is the
  // request's end: INVALID_ARGUMENT, it can never run here; DEADLINE_EXCEEDED; UNAVAILABLE, the
  // server stops; others, the engine has failed.
  absl::StatusOr<std::vector<ChoiceNews>> Next(absl::Duration timeout);
  // All choices have finished and were returned by Next.
  bool ended() const;
  // The batcher drops the request before its next pass.
  void Cancel() { cancelled_ = true; }

  // ---- the batcher ----
  bool cancelled() const { return cancelled_; }
  // All that a choice has so far: of `tokens` and `logprobs` (and `ranked`, if asked for) what is
  // beyond the last call is new. `text`: bytes of the text so far; with a finish, the completion.
  void Update(size_t choice, absl::Span<const uint32_t> tokens, absl::Span<const float> logprobs,
              absl::Span<const std::vector<RankedToken>> ranked, absl::string_view text,
              FinishReason finish);
  void Fail(absl::Status status);

 private:
  struct Choice {
    ChoiceNews news;  // not read yet
    bool has_news = false;
    size_t tokens = 0;  // known
    size_t taken = 0;   // bytes of the text that were made news
    size_t told = 0;    // bytes of the completion that these became
    bool finished = false;
  };
  // How many bytes of the text so far may be told.
  size_t Safe(absl::string_view text) const;

  const GenerationRequest request_;
  std::atomic<bool> cancelled_ = false;
  mutable absl::Mutex mu_;
  std::vector<Choice> choices_ ABSL_GUARDED_BY(mu_);
  size_t unfinished_ ABSL_GUARDED_BY(mu_);
  bool has_news_ ABSL_GUARDED_BY(mu_) = false;
  absl::Status status_ ABSL_GUARDED_BY(mu_);
};

}  // namespace reckon

#endif  // RECKON_ACTOR_SERVE_GENERATION_H_
