#include "common/model/kernels/cuda/flash_infer_attention.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <exception>
#include <limits>
#include <map>
#include <tuple>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "common/model/kernels/cpu/attention.h"
#include "common/model/kernels/cuda/flash_infer.h"
#include "common/model/kernels/cuda/on_device.h"
#include "common/model/kernels/torch/row_tiles.h"
// Last.
#include "common/base/log.h"

namespace reckon {
namespace {

// Numbers without a pattern that a wrong page would keep.
at::Tensor Wave(at::IntArrayRef sizes, double step, c10::Device device) {
  int64_t count = 1;
  for (const int64_t size : sizes) count *= size;
  return at::arange(count, at::TensorOptions(at::kFloat).device(device))
      .mul_(step)
      .sin_()
      .view(sizes)
      .to(at::kBFloat16);
}

// Whether it may be used for these heads, which is tried once in a process.
bool IsTrusted(int64_t heads, int64_t kv_heads, int64_t dim, int64_t tile, c10::Device device) {
  static absl::Mutex mutex;
  static auto& known ABSL_GUARDED_BY(mutex) =
      *new std::map<std::tuple<int64_t, int64_t, int64_t, int64_t>, bool>();
  const absl::MutexLock lock(&mutex);
  const auto [it, added] = known.try_emplace({heads, kv_heads, dim, tile}, false);
  if (!added) return it->second;
  try {
    it->second = FlashInferAgrees(heads, kv_heads, dim, tile, device);
    LOG_IF(WARNING, !it->second) << "FlashInfer's attention differs from our own for heads of "
                                 << dim << ", tiles of " << tile << "; using our own";
  } catch (const std::exception& error) {
    LOG(WARNING) << "FlashInfer's attention does not run here (" << error.what()
                 << "); using our own";
  }
  return it->second;
}

int32_t LastTokens(int64_t tokens, int64_t pages) {
  return static_cast<int32_t>(tokens - (pages - 1) * kPageTokens);
}

}  // namespace

int64_t FlashInferTileOf(const std::vector<RowsOfSequence>& sequences) {
  const bool steps = std::all_of(sequences.begin(), sequences.end(),
                                 [](const RowsOfSequence& sequence) { return sequence.rows == 1; });
  return steps ? kFlashInferStepTile : kFlashInferPromptTile;
}

bool UsesFlashInfer(const ModelConfig& config, Dtype dtype, int64_t tile, c10::Device device) {
  return dtype == Dtype::kBf16 && RowTile() == 0 &&
         FlashInferAttends(config.num_heads, config.num_kv_heads, config.head_dim) &&
         IsTrusted(config.num_heads, config.num_kv_heads, config.head_dim, tile, device);
}

FlashInferTiles StepTiles(int64_t rows, int64_t most_pages, c10::Device device) {
  const at::TensorOptions ints = at::TensorOptions(at::kInt).device(device);
  FlashInferTiles out;
  out.tile = kFlashInferStepTile;
  out.row_begins = at::arange(rows + 1, ints);
  out.page_begins = out.row_begins * most_pages;
  out.sequence_of = out.row_begins.narrow(0, 0, rows);
  out.tile_of = at::zeros({rows}, ints);
  return out;
}

at::Tensor LastTokensOf(const DeviceRows& rows) {
  return rows.positions + LastTokens(1, rows.pages_of.size(1));
}

FlashInferTiles PromptTiles(const std::vector<RowsOfSequence>& sequences, int64_t most_pages,
                            int64_t group,
                            absl::FunctionRef<at::Tensor(const at::Tensor& host)> send) {
  const int64_t tile = FlashInferTileOf(sequences);
  const auto count = static_cast<int64_t>(sequences.size());
  std::vector<int32_t> row_begins = {0}, page_begins = {0}, last_tokens, sequence_of, tile_of;
  for (int64_t s = 0; s < count; ++s) {
    const auto [rows, tokens] = sequences[s];
    row_begins.push_back(static_cast<int32_t>(row_begins.back() + rows));
    page_begins.push_back(static_cast<int32_t>(row_begins.back() * most_pages));
    last_tokens.push_back(LastTokens(tokens, rows * most_pages));
    for (int64_t first = 0; first < rows * group; first += tile) {
      sequence_of.push_back(static_cast<int32_t>(s));
      tile_of.push_back(static_cast<int32_t>(first / tile));
    }
  }
  // In one copy.
  const auto blocks = static_cast<int64_t>(sequence_of.size());
  const at::Tensor host = at::empty({3 * count + 2 + 2 * blocks}, at::kInt);
  int32_t* next = host.mutable_data_ptr<int32_t>();
  for (const auto* part : {&row_begins, &page_begins, &last_tokens, &sequence_of, &tile_of}) {
    next = std::copy(part->begin(), part->end(), next);
  }
  const at::Tensor sent = send(host);
  FlashInferTiles out;
  out.tile = tile;
  out.row_begins = sent.narrow(0, 0, count + 1);
  out.page_begins = sent.narrow(0, count + 1, count + 1);
  out.last_tokens = sent.narrow(0, 2 * count + 2, count);
  out.sequence_of = sent.narrow(0, 3 * count + 2, blocks);
  out.tile_of = sent.narrow(0, 3 * count + 2 + blocks, blocks);
  return out;
}

at::Tensor FlashInferAttend(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& values,
                            const at::Tensor& pages_of, const FlashInferTiles& tiles) {
  CHECK(q.is_contiguous() && keys.is_contiguous() && values.is_contiguous());
  CHECK(pages_of.is_contiguous());
  // Its offsets of rows have 32 bits.
  CHECK_LE(q.numel(), int64_t{std::numeric_limits<int32_t>::max()});
  int64_t sequences = tiles.row_begins.size(0) - 1, blocks = tiles.sequence_of.size(0);
  if (tiles.tile == kFlashInferStepTile) {
    CHECK_LE(q.size(0), sequences);
    sequences = blocks = q.size(0);
  }
  const OnDeviceOf on(q);
  at::Tensor out = at::empty(q.sizes(), q.options());
  OnDeviceOf::Check(
      LaunchFlashInfer({.q = q.mutable_data_ptr(),
                        .keys = keys.mutable_data_ptr(),
                        .values = values.mutable_data_ptr(),
                        .pages_of = pages_of.mutable_data_ptr<int32_t>(),
                        .row_begins = tiles.row_begins.mutable_data_ptr<int32_t>(),
                        .page_begins = tiles.page_begins.mutable_data_ptr<int32_t>(),
                        .last_tokens = tiles.last_tokens.mutable_data_ptr<int32_t>(),
                        .sequence_of = tiles.sequence_of.mutable_data_ptr<int32_t>(),
                        .tile_of = tiles.tile_of.mutable_data_ptr<int32_t>(),
                        .out = out.mutable_data_ptr(),
                        .tile = tiles.tile,
                        .sequences = sequences,
                        .blocks = blocks,
                        .heads = q.size(1),
                        .kv_heads = keys.size(1),
                        .dim = q.size(2),
                        .scale = static_cast<float>(1 / std::sqrt(static_cast<double>(q.size(2))))},
                       on.stream()));
  return out;
}

bool FlashInferAgrees(int64_t heads, int64_t kv_heads, int64_t dim, int64_t tile,
                      c10::Device device) {
  constexpr int64_t kPages = 12, kMostPages = 5;
  // Positions of the first row and rows of each sequence. Steps: of one token, at the ends of
  // pages, of several pages, and an idle row. Prompts: that begin, or continue within a page and
  // across pages, of more than a tile, and of one row.
  struct Rows {
    int32_t first;
    int64_t count;
  };
  const std::vector<Rows> sequences =
      tile == kFlashInferStepTile
          ? std::vector<Rows>{{0, 1}, {62, 1}, {63, 1}, {64, 1}, {300, 1}, {-1, 1}, {17, 1}}
          : std::vector<Rows>{
                {0, 7}, {60, 9}, {120, tile * kv_heads / heads + 3}, {300, 1}, {62, 2}};
  std::vector<int32_t> positions, pages;
  std::vector<RowsOfSequence> counted;
  for (size_t s = 0; s < sequences.size(); ++s) {
    const auto [first, count] = sequences[s];
    counted.push_back({count, first + count});
    for (int64_t i = 0; i < count; ++i) {
      positions.push_back(static_cast<int32_t>(first + i));
      // In no order, and some are of two sequences.
      for (int64_t page = 0; page < kMostPages; ++page) {
        pages.push_back(static_cast<int32_t>((static_cast<int64_t>(s) * 5 + page * 7) % kPages));
      }
    }
  }
  const auto rows = static_cast<int64_t>(positions.size());
  const at::TensorOptions ints = at::TensorOptions(at::kInt);
  const DeviceRows at_rows = {.pages_of = at::tensor(pages, ints).view({rows, -1}).to(device),
                              .positions = at::tensor(positions, ints).to(device)};
  FlashInferTiles tiles;
  if (tile == kFlashInferStepTile) {
    tiles = StepTiles(rows, kMostPages, device);
    tiles.last_tokens = LastTokensOf(at_rows);
  } else {
    tiles = PromptTiles(counted, kMostPages, heads / kv_heads,
                        [&](const at::Tensor& host) { return host.to(device); });
  }
  const at::Tensor q = Wave({rows, heads, dim}, 0.7, device) * 4;
  const at::Tensor keys = Wave({kPages * kPageTokens, kv_heads, dim}, 1.3, device);
  const at::Tensor values = Wave(keys.sizes(), 2.9, device);
  const at::Tensor got = FlashInferAttend(q, keys, values, at_rows.pages_of, tiles).to(at::kFloat);
  const at::Tensor wanted = FusedPagedAttention(q, keys, values, at_rows).to(at::kFloat);
  const double difference = ((got - wanted).abs().max() / wanted.abs().max()).item<double>();
  return difference <= 1.0 / 64;  // false for a NaN
}

}  // namespace reckon
