#ifndef RECKON_COMMON_MODEL_DECODE_DECODE_BATCH_H_
#define RECKON_COMMON_MODEL_DECODE_DECODE_BATCH_H_

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "absl/types/span.h"
#include "common/model/config.h"
#include "common/model/decode/step_device.h"
#include "common/model/kernels/cuda/fused_ops.h"
#include "common/model/kernels/cuda/step_state.h"
#include "common/model/kv_cache.h"
#include "common/model/sampling.h"

namespace reckon {

// One row of a decode step: a token of one sequence, and how to draw the one that follows.
struct DecodeRow {
  // In place of `token`: what the sequence's row of the step before has drawn.
  static constexpr int32_t kDrawn = -1;

  KvCache::SequenceId sequence = 0;
  int32_t token = 0;
  TokenDraw draw;  // `uniform` is not read, but drawn on the device from the next two
  uint64_t stream = 0, place = 0;
};

// The state of the sequences that are decoded, which stays on the device: the token that comes
// next, its position, pages, sampling parameters, and the place in the random stream. Each sequence
// has a slot, and a step runs the slots that slot_of() names:
//
//   rows of a step   0   1   2   3          slot_of   4   0   7  -1   (-1: idle, fills the bucket)
//   slots            0 .. capacity - 1      what EndStep has made of each after its last step
//
// Place compares the rows that are wanted with what the device will have, and sends what differs.
// In a batch where no sequence joins, leaves or is forced a token, nothing differs.
//
// One for each KV cache, whatever the weights. One thread.
class DecodeBatch {
 public:
  // `capacity`: sequences at most. Cache and device must outlive it.
  DecodeBatch(KvCache* cache, const ModelConfig& config, int64_t capacity, StepDevice* device);
  DecodeBatch(const DecodeBatch&) = delete;
  DecodeBatch& operator=(const DecodeBatch&) = delete;

  int64_t capacity() const { return static_cast<int64_t>(expected_.size()); }
  // Rows of a step: as many as sequences, or what whole tiles of those have.
  int64_t most_rows() const { return static_cast<int64_t>(slot_of_now_.size()); }
  // Makes slots() and slot_of() those of `rows`, at most `bucket`, and appends to each sequence the
  // token that the step feeds. A step must follow.
  void Place(absl::Span<const DecodeRow> rows, int64_t bucket);
  // Of a sequence that is removed from the cache. A step that is under way may still have it.
  void Remove(KvCache::SequenceId sequence);

  const DeviceSlots& slots() const { return slots_; }
  at::Tensor slot_of(int64_t rows) const { return slot_of_.narrow(0, 0, rows); }
  // Sequences that have a slot.
  int64_t size() const { return static_cast<int64_t>(slot_by_sequence_.size()); }
  // Slots that were sent to the device, all steps together.
  int64_t sent() const { return sent_; }

 private:
  int32_t SlotOf(KvCache::SequenceId sequence, std::vector<int32_t>* fresh);
  void SendSlots(const std::vector<int32_t>& slots, const std::vector<DecodeSlot>& states);
  void SendPages(const std::vector<int32_t>& slots);

  KvCache& cache_;
  StepDevice& device_;
  DeviceSlots slots_;
  at::Tensor slot_of_;                // [most_rows]
  std::vector<int32_t> slot_of_now_;  // what that holds
  std::vector<DecodeSlot> expected_;  // what each slot will hold after the steps that were started
  std::vector<KvCache::SequenceId> sequence_of_;  // by slot
  std::vector<int32_t> free_;                     // slots; a stack
  std::unordered_map<KvCache::SequenceId, int32_t> slot_by_sequence_;
  int64_t sent_ = 0;
};

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_DECODE_DECODE_BATCH_H_
