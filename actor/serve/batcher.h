#ifndef RECKON_ACTOR_SERVE_BATCHER_H_
#define RECKON_ACTOR_SERVE_BATCHER_H_

#include <cstdint>
#include <map>
#include <memory>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "actor/engine/engine.h"
#include "actor/runner/model_runner.h"
#include "actor/serve/generation.h"
#include "common/text/tokenizer.h"

namespace reckon {

struct BatcherOptions {
  EngineOptions engine;
  int64_t max_requests = 256;  // unfinished at once, in the engine or waiting for it
};

// Runs the requests of all connections in one engine (continuous batching). A thread of its own
// uses the engine:
//
//   Submit --> arrived --> admitted --> one pass after another --> finished
//                |            |    each adds a token to every choice in flight
//                |            `--> dropped: cancelled, past its deadline, or the engine failed
//                `--> refused: max_requests are unfinished, or the server stops
//
// A choice is a function of the request and its seed, never of what else is in the batch. Owned by
// the server program; thread-safe. Runner and tokenizer outlive it and are used by its thread only.
class Batcher {
 public:
  Batcher(ModelRunner* runner, const Tokenizer* tokenizer, BatcherOptions options);
  // Ends what is unfinished with UNAVAILABLE.
  ~Batcher();
  Batcher(const Batcher&) = delete;
  Batcher& operator=(const Batcher&) = delete;

  // RESOURCE_EXHAUSTED: max_requests are unfinished. UNAVAILABLE: it takes no more.
  absl::StatusOr<std::shared_ptr<Generation>> Submit(GenerationRequest request);

  // Takes no more requests, and returns when all have ended. What has not at `deadline` ends with
  // UNAVAILABLE.
  void Drain(absl::Time deadline);

  int64_t unfinished() const;
  // Tokens of the longest choice, its prompt among them, that the cache has room for.
  int64_t longest_choice() const { return longest_choice_; }
  // OK, or why it serves nobody: it takes no more, or the engine's last pass has failed.
  absl::Status Health() const;

 private:
  // A prompt of a request in the engine.
  struct Running {
    std::shared_ptr<Generation> generation;
    size_t prompt = 0;
    int64_t left = 0;  // choices
  };
  using Leases = std::map<uint64_t, Running>;

  void Loop();
  void Admit(const std::shared_ptr<Generation>& generation);
  // Drops what is cancelled or past its deadline.
  void DropEnded();
  void End(Generation* generation, absl::Status status);
  void RunPass();

  const BatcherOptions options_;
  const int64_t longest_choice_;
  Engine engine_;            // of the thread
  Leases running_;           // of the thread, by the number of the engine's lease
  uint64_t next_lease_ = 1;  // of the thread
  mutable absl::Mutex mu_;
  std::vector<std::shared_ptr<Generation>> arrived_ ABSL_GUARDED_BY(mu_);
  int64_t unfinished_ ABSL_GUARDED_BY(mu_) = 0;
  bool draining_ ABSL_GUARDED_BY(mu_) = false;
  bool ending_ ABSL_GUARDED_BY(mu_) = false;
  absl::Status pass_ ABSL_GUARDED_BY(mu_);  // the last one's
  std::thread thread_;
};

}  // namespace reckon

#endif  // RECKON_ACTOR_SERVE_BATCHER_H_
