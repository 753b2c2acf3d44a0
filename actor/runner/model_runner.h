#ifndef RECKON_ACTOR_RUNNER_MODEL_RUNNER_H_
#define RECKON_ACTOR_RUNNER_MODEL_RUNNER_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/model/sampling.h"

namespace reckon {

// What the engine runs forward passes on: one weight version with a paged KV cache. A sequence is a
// history of tokens in the cache; sequences that were forked from one another share the pages of
// their common prefix. TorchModelRunner is the real one, FakeModelRunner replaces it in tests.
//
//   s = Add(room)          RunPass({s, t0}, {s, t1}, ...)      s holds t0 t1 ...
//   f = Fork(s, 2, room)   RunPass({f, t2, draws})             f holds t0 t1 t2; returns t3
//   Remove(s), Remove(f)   in any order
//
// Passes that draw a token for each of many sequences run ahead of their results where the device
// allows it, so that it never waits for the host:
//
//   StartDecode({f, t3})                       f holds t0 t1 t2 t3
//   StartDecode({f, kDrawn})   FinishDecode    returns t4, which f holds as well
//   StartDecode({f, kDrawn})   FinishDecode    returns t5 ...
//
// Contract:
//   - What is drawn after a row depends on the row's sequence and its TokenDraw only, never on the
//     other rows of the pass. Rollouts are therefore reproducible whatever the batch is.
//   - Add and Fork reserve all pages that the sequence may need, so RunPass never lacks memory.
//   - Removing a sequence of a pass that is not finished changes nothing for the others of it.
//   - After an error of a pass the cache is in an unknown state: only FinishDecode, Remove and the
//     const methods may be called until every pass is finished and every sequence is removed.
// Not thread-safe.
class ModelRunner {
 public:
  using Sequence = int32_t;

  // One token of one sequence in a pass.
  struct Row {
    Sequence sequence = 0;
    uint32_t token = 0;  // appended to the sequence
    bool draws = false;  // draw the token that follows; it is returned, not appended
    TokenDraw draw;      // how to draw it
    // Where draw.uniform is from: CounterRng(stream).Uniform(place). A device that keeps the state
    // of a sequence draws it itself.
    uint64_t stream = 0;
    uint64_t place = 0;
  };
  // In place of a row's token: what the row of the same sequence draws in the decode pass that was
  // started before. The rest of the row must then follow from that one: the same sampling, and the
  // next place.
  static constexpr uint32_t kDrawn = ~uint32_t{0};

  virtual ~ModelRunner() = default;

  virtual int64_t vocab_size() const = 0;     // ids that can be drawn or appended
  virtual int64_t max_positions() const = 0;  // tokens of the longest sequence
  virtual int64_t total_pages() const = 0;
  virtual int64_t free_pages() const = 0;
  // Sequences to decode together where nothing else is asked for, and where the runner was made for
  // a number of them, that one.
  virtual int64_t default_batch() const = 0;
  // Returns the pages that Fork(parent, prefix, tokens) takes, and with prefix 0 those of Add.
  virtual int64_t PagesFor(int64_t prefix, int64_t tokens) const = 0;

  // Creates an empty sequence with room for max_tokens. RESOURCE_EXHAUSTED: not enough free pages.
  virtual absl::StatusOr<Sequence> Add(int64_t max_tokens) = 0;
  // Creates a sequence that begins with the first `prefix` tokens of `parent` and has room for
  // max_tokens, the prefix included. RESOURCE_EXHAUSTED: not enough free pages.
  virtual absl::StatusOr<Sequence> Fork(Sequence parent, int64_t prefix, int64_t max_tokens) = 0;
  // Frees the pages that no other sequence shares.
  virtual void Remove(Sequence sequence) = 0;

  // Runs one forward pass. Rows of one sequence must be adjacent and in order. Returns one token
  // for each row that draws, in the order of the rows. DATA_LOSS: the version computes numbers that
  // are not finite, so nothing can be sampled from it.
  virtual absl::StatusOr<std::vector<DrawnToken>> RunPass(absl::Span<const Row> rows) = 0;

  // Decode passes that may be started before the oldest one is finished, beyond that one. 0: a pass
  // is finished before the next is started, and no row's token is kDrawn.
  virtual int64_t decodes_ahead() const = 0;
  // Starts a pass of one row for each of some sequences, all of which draw. RunPass may come
  // between this and FinishDecode.
  virtual absl::Status StartDecode(absl::Span<const Row> rows) = 0;
  // Waits for the oldest pass that was started and is not finished, of which there must be one.
  // Returns a token for each of its rows. DATA_LOSS as in RunPass; the pass is finished then too.
  virtual absl::StatusOr<std::vector<DrawnToken>> FinishDecode() = 0;
};

}  // namespace reckon

#endif  // RECKON_ACTOR_RUNNER_MODEL_RUNNER_H_
