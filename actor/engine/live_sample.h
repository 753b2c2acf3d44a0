#ifndef RECKON_ACTOR_ENGINE_LIVE_SAMPLE_H_
#define RECKON_ACTOR_ENGINE_LIVE_SAMPLE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "actor/engine/prompt_group.h"
#include "actor/engine/stop_scan.h"
#include "actor/runner/model_runner.h"
#include "common/base/rng.h"
#include "common/text/tokenizer.h"
#include "proto/rollout.pb.h"

namespace reckon {

// A sample that is being generated. Each pass of the engine runs its NextRow and appends the token
// that was drawn, until Append says why the sample is finished:
//
//   NextRow --> pass --> Append --FINISH_UNSPECIFIED--> NextRow ...
//                           +-----any other reason--> MakeRollout
//
// Where passes run ahead of their results, NextRow comes again before Append, for the token after
// the one that is not known yet. What such a row draws for a sample that has ended is dropped, and
// where a step label turns out to begin, the label's token takes its place: a rollout is the same
// whether passes run ahead or not.
//
// When a plan has a step label, its tokens are forced after each sampled token that holds a
// newline. They count as tokens of the completion but are never scanned for stops.
class LiveSample {
 public:
  // `sequence` holds the shared part of the group's context; the engine removes it. `id` is the
  // engine's.
  LiveSample(std::shared_ptr<PromptGroup> group, uint32_t number, ModelRunner::Sequence sequence,
             uint64_t id);

  const std::shared_ptr<PromptGroup>& group() const { return group_; }
  uint32_t number() const { return number_; }
  uint64_t id() const { return id_; }
  ModelRunner::Sequence sequence() const { return sequence_; }
  absl::Time begin() const { return begin_; }
  // After the context, so far.
  const std::vector<uint32_t>& tokens() const { return tokens_; }
  const std::vector<float>& logprobs() const { return logprobs_; }
  // The likeliest tokens at the place of each; empty unless they were asked for.
  const std::vector<std::vector<RankedToken>>& ranked() const { return ranked_; }
  const std::string& text() const { return text_.text(); }

  // Whether NextRow may be called with so many of its rows in passes that are not finished. false:
  // the sample ends with them, or what comes next cannot be known.
  bool MayStartRow() const;
  // The counter of the random stream is the position of the drawn token in the completion, so a
  // sample does not depend on the passes in which it was generated.
  ModelRunner::Row NextRow();
  // Of the oldest row that NextRow returned. FINISH_UNSPECIFIED while the sample is not finished.
  FinishReason Append(DrawnToken drawn, uint64_t version, const Tokenizer& tokenizer);

  // What its sequence holds after the shared part.
  std::vector<uint32_t> FedTokens() const;
  // -1: none.
  void set_sequence(ModelRunner::Sequence sequence) { sequence_ = sequence; }

 private:
  friend Rollout MakeRollout(const PromptGroup& group, uint32_t number, const LiveSample* sampled,
                             FinishReason finish, const Tokenizer& tokenizer);

  std::shared_ptr<PromptGroup> group_;
  uint32_t number_;
  ModelRunner::Sequence sequence_;
  uint64_t id_;
  absl::Time begin_;
  uint64_t key_;  // of rng_
  CounterRng rng_;
  uint32_t last_token_;  // drawn, or the last of the context; not yet in the sequence
  // After the context. A token is forced when it belongs to a step label.
  std::vector<uint32_t> tokens_;
  std::vector<float> logprobs_;
  std::vector<std::vector<RankedToken>> ranked_;
  std::vector<bool> forced_;
  std::vector<uint64_t> versions_;  // that drew them
  int64_t started_ = 0;             // rows whose tokens are not appended yet
  int64_t label_left_ = 0;          // tokens of a step label that are still to be forced
  StopScan text_;
};

// Makes the record of a finished sample, without rewards and actor. `sampled` is null when the item
// is only scored.
Rollout MakeRollout(const PromptGroup& group, uint32_t number, const LiveSample* sampled,
                    FinishReason finish, const Tokenizer& tokenizer);

}  // namespace reckon

#endif  // RECKON_ACTOR_ENGINE_LIVE_SAMPLE_H_
