#include "common/model/decode/decode_batch.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cstring>

#include "common/model/kernels/torch/row_tiles.h"
// Last.
#include "common/base/log.h"

namespace reckon {
namespace {

// Whether a slot is what a row needs. A token that was drawn is where the device has put it.
bool Same(const DecodeSlot& a, const DecodeSlot& b) {
  return a.stream == b.stream && a.place == b.place && a.top_p == b.top_p && a.scale == b.scale &&
         a.top_k == b.top_k && a.forced == b.forced && a.token == DecodeRow::kDrawn &&
         b.token == DecodeRow::kDrawn && a.position == b.position;
}

DecodeSlot SlotFor(const DecodeRow& row, int64_t position) {
  const DeviceDraw draw = MakeDeviceDraw(row.draw);
  return {.stream = row.stream,
          .place = row.place,
          .top_p = draw.top_p,
          .scale = draw.scale,
          .top_k = draw.top_k,
          .forced = draw.forced,
          .token = row.token,
          .position = static_cast<int32_t>(position)};
}

// What a step makes of a slot.
DecodeSlot After(DecodeSlot slot) {
  slot.token = DecodeRow::kDrawn;
  slot.forced = -1;
  ++slot.place;
  ++slot.position;
  return slot;
}

template <typename Item>
at::Tensor HostTensor(const std::vector<Item>& items, at::IntArrayRef sizes, at::ScalarType type) {
  at::Tensor out = at::empty(sizes, type);
  CHECK_EQ(out.nbytes(), items.size() * sizeof(Item));
  std::memcpy(out.mutable_data_ptr(), items.data(), out.nbytes());
  return out;
}

}  // namespace

DecodeBatch::DecodeBatch(KvCache* cache, const ModelConfig& config, int64_t capacity,
                         StepDevice* device)
    : cache_(*cache),
      device_(*device),
      slot_of_now_(WithWholeTiles(capacity), -1),
      expected_(capacity),
      sequence_of_(capacity, -1) {
  const at::TensorOptions on = at::TensorOptions(at::kInt).device(device_.stream().device());
  const int64_t most_pages =
      std::min(KvCache::PagesFor(config.max_positions), cache_.total_pages());
  slots_.slots =
      at::zeros({capacity, static_cast<int64_t>(sizeof(DecodeSlot))}, on.dtype(at::kByte));
  slots_.slot_pages = at::zeros({capacity, std::max<int64_t>(most_pages, 1)}, on);
  slot_of_ = at::full({most_rows()}, -1, on);
  for (int64_t slot = capacity; slot-- > 0;) free_.push_back(static_cast<int32_t>(slot));
}

void DecodeBatch::Place(absl::Span<const DecodeRow> rows, int64_t bucket) {
  CHECK_LE(static_cast<int64_t>(rows.size()), bucket);
  CHECK_LE(bucket, most_rows());
  std::vector<int32_t> slot_of(bucket, -1), fresh, changed;
  std::vector<DecodeSlot> states;
  for (size_t i = 0; i < rows.size(); ++i) {
    const DecodeRow& row = rows[i];
    const int32_t slot = SlotOf(row.sequence, &fresh);
    slot_of[i] = slot;
    const DecodeSlot wanted = SlotFor(row, cache_.length(row.sequence));
    if (!Same(wanted, expected_[slot])) {
      CHECK(row.token != DecodeRow::kDrawn) << "a row that does not follow from the one before";
      changed.push_back(slot);
      states.push_back(wanted);
    }
    expected_[slot] = After(wanted);
    cache_.Append(row.sequence);
  }
  if (!fresh.empty()) SendPages(fresh);
  if (!changed.empty()) SendSlots(changed, states);
  if (!std::equal(slot_of.begin(), slot_of.end(), slot_of_now_.begin())) {
    std::copy(slot_of.begin(), slot_of.end(), slot_of_now_.begin());
    slot_of_.narrow(0, 0, bucket).copy_(device_.Send(HostTensor(slot_of, {bucket}, at::kInt)));
  }
}

void DecodeBatch::Remove(KvCache::SequenceId sequence) {
  auto it = slot_by_sequence_.find(sequence);
  if (it == slot_by_sequence_.end()) return;  // it has drawn nothing
  // The slot's next sequence sends its state before the step that runs it, and the device does what
  // it is given in order.
  free_.push_back(it->second);
  sequence_of_[it->second] = -1;
  expected_[it->second] = {};
  slot_by_sequence_.erase(it);
}

int32_t DecodeBatch::SlotOf(KvCache::SequenceId sequence, std::vector<int32_t>* fresh) {
  auto [it, added] = slot_by_sequence_.try_emplace(sequence, -1);
  if (!added) return it->second;
  CHECK(!free_.empty()) << "more sequences than the batch has room for";
  it->second = free_.back();
  free_.pop_back();
  sequence_of_[it->second] = sequence;
  fresh->push_back(it->second);
  return it->second;
}

void DecodeBatch::SendSlots(const std::vector<int32_t>& slots,
                            const std::vector<DecodeSlot>& states) {
  const int64_t n = static_cast<int64_t>(slots.size());
  const at::Tensor index = device_.Send(HostTensor(slots, {n}, at::kInt));
  slots_.slots.index_copy_(
      0, index.to(at::kLong),
      device_.Send(HostTensor(states, {n, static_cast<int64_t>(sizeof(DecodeSlot))}, at::kByte)));
  sent_ += n;
}

void DecodeBatch::SendPages(const std::vector<int32_t>& slots) {
  const int64_t n = static_cast<int64_t>(slots.size());
  // All pages of a sequence are reserved when it is made, so they are sent once.
  size_t most = 1;
  for (const int32_t slot : slots) {
    most = std::max(most, cache_.pages(sequence_of_[slot]).size());
  }
  std::vector<int32_t> pages(n * most, 0);
  for (int64_t i = 0; i < n; ++i) {
    const std::vector<int64_t>& from = cache_.pages(sequence_of_[slots[i]]);
    std::copy(from.begin(), from.end(), pages.begin() + i * static_cast<int64_t>(most));
  }
  const int64_t columns = static_cast<int64_t>(most);
  const at::Tensor index = device_.Send(HostTensor(slots, {n}, at::kInt));
  slots_.slot_pages.narrow(1, 0, columns)
      .index_copy_(0, index.to(at::kLong), device_.Send(HostTensor(pages, {n, columns}, at::kInt)));
}

}  // namespace reckon
