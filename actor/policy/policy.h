#ifndef RECKON_ACTOR_POLICY_POLICY_H_
#define RECKON_ACTOR_POLICY_POLICY_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace reckon {

// How to draw the token after a row. As SampleRow of common/model/sampler.h, without LibTorch.
struct Draw {
  double temperature = 1;  // 0: greedy
  uint32_t top_k = 0;      // 0: off
  double top_p = 1;        // 1: off
  double uniform = 0;      // in [0, 1), from the rollout's random stream
  int64_t forced = -1;     // >= 0: take this token, report its untempered log-probability
};

struct Drawn {
  uint32_t token = 0;
  float logprob = 0;
};

// What the engine needs of a model: sequences that share prefixes, and forward passes over rows of
// many of them. TorchPolicy is the real one, FakePolicy stands in for it in tests.
//
// Contract: what is drawn after a row is a function of that row's sequence and its Draw, never of
// the other rows. Memory is reserved when a sequence is made, so Step never runs out. Used by one
// thread at a time. After an error of Step the only calls allowed are Remove and the queries.
class Policy {
 public:
  using Sequence = int32_t;

  struct Row {
    Sequence sequence = 0;
    uint32_t token = 0;  // appended to the sequence
    bool draws = false;  // draw the token that follows; it is not appended
    Draw draw;
  };

  virtual ~Policy() = default;

  virtual int64_t vocab_size() const = 0;
  virtual int64_t max_positions() const = 0;
  virtual int64_t total_pages() const = 0;
  virtual int64_t free_pages() const = 0;
  // Pages of its own that a sequence of `tokens` takes when it shares `prefix` of them.
  virtual int64_t PagesFor(int64_t prefix, int64_t tokens) const = 0;

  // A new, empty sequence with room for max_tokens. RESOURCE_EXHAUSTED: not enough pages.
  virtual absl::StatusOr<Sequence> Add(int64_t max_tokens) = 0;
  // A sequence that shares the first `prefix` tokens of `parent`, with room for max_tokens in all.
  // The parent may be removed before it.
  virtual absl::StatusOr<Sequence> Fork(Sequence parent, int64_t prefix, int64_t max_tokens) = 0;
  virtual void Remove(Sequence sequence) = 0;

  // One forward pass. Rows of one sequence are adjacent and in order. One result for each row that
  // draws, in row order.
  virtual absl::StatusOr<std::vector<Drawn>> Step(absl::Span<const Row> rows) = 0;
};

}  // namespace reckon

#endif  // RECKON_ACTOR_POLICY_POLICY_H_
