#ifndef RECKON_COMMON_MODEL_KERNELS_CUDA_FUSED_OPS_H_
#define RECKON_COMMON_MODEL_KERNELS_CUDA_FUSED_OPS_H_

#include <cstdint>

#include "ATen/core/Tensor.h"
#include "common/model/kernels/dtype.h"
#include "common/model/kernels/interface.h"

namespace reckon {

// The kernels of this folder for tensors: what several operations of Ops compute one after another,
// by one kernel each, without gradients. They start on the current stream of the tensors' device
// and do not wait, so a CUDA graph can record them. Throw what LibTorch throws. Only in builds with
// RECKON_CUDA, and in tests on the CPU (tests/support/cuda_on_cpu).
//
// Shapes and numbers are those of the composition that each names; fused_ops_test.cc compares.

// Of the rows of a pass over a cache of pages (kernels/torch/kv_pages.h); int32. A position below 0
// is that of an idle row, which reads and writes nothing.
struct DeviceRows {
  at::Tensor pages_of;   // [rows, most pages]
  at::Tensor positions;  // [rows]
};

// What a step of decoding keeps on the device (step_state.h): slots are bytes [slots *
// sizeof(DecodeSlot)], slot_pages [slots, most pages] int32.
struct DeviceSlots {
  at::Tensor slots, slot_pages;
};
// What the kernels of a step read of each row.
struct StepRows {
  at::Tensor tokens;  // [rows] int32
  DeviceRows rows;
  at::Tensor table;  // Ops::RopeTable of the rows
  at::Tensor draws;  // bytes [rows * sizeof(DeviceDraw)]
};
// slot_of [rows] int32, below 0 for an idle row; frequency and magnitude as of Ops::RopeTable.
StepRows FusedBeginStep(const DeviceSlots& slots, const at::Tensor& slot_of,
                        const at::Tensor& frequency, double magnitude);
// Moves the slots on by what FusedDraw has drawn.
void FusedEndStep(const DeviceSlots& slots, const at::Tensor& slot_of, const at::Tensor& drawn);

// Ops::RopeTable of positions [rows], with the bits of FusedBeginStep; undefined numbers where a
// position is below 0.
at::Tensor FusedRopeTable(const at::Tensor& positions, const at::Tensor& frequency,
                          double magnitude);
// Ops::Embed of tokens [rows].
at::Tensor FusedEmbed(const at::Tensor& tokens, const TableWeight& table);
// x [rows, n] fp32 += bias [n] fp32, if defined; returns Ops::RmsNorm of x.
at::Tensor FusedAddRmsNorm(const at::Tensor& x, const at::Tensor& bias, const at::Tensor& weight,
                           double eps, Dtype dtype);
// Ops::SwiGlu of gate_up [rows, 2n] fp32 + bias [2n], if defined, rounded to the dtype first.
at::Tensor FusedSiluProduct(const at::Tensor& gate_up, const at::Tensor& bias, Dtype dtype);
// Of qkv [rows, (heads + 2 kv_heads) * dim] fp32 + bias, if defined, rounded to the dtype of the
// cache: Ops::HeadNorm with `query` and `key` [dim] and Ops::Rope with `table`, each if defined.
// Returns the queries [rows, heads, dim]; writes keys and values to their slots: keys, values
// [slots, kv_heads, dim].
at::Tensor FusedRopeToCache(const at::Tensor& qkv, const at::Tensor& bias, const at::Tensor& query,
                            const at::Tensor& key, double eps, const at::Tensor& table,
                            const DeviceRows& rows, const at::Tensor& keys,
                            const at::Tensor& values);
// GatherAttention (kernels/torch/kv_pages.h), which reads keys and values in their slots; zeros for
// an idle row. Head sizes: AttendsHeadsOf (paged_attention.h). q [rows, heads, dim].
at::Tensor FusedPagedAttention(const at::Tensor& q, const at::Tensor& keys,
                               const at::Tensor& values, const DeviceRows& rows);
// Draws from logits [rows, vocab] fp32, `gaps` of each row minus infinity. draws: bytes [rows *
// sizeof(DeviceDraw)]; the results go to drawn [rows * sizeof(DeviceToken)], but not those of idle
// rows.
void FusedDraw(const at::Tensor& logits, int64_t gaps, const at::Tensor& draws,
               const at::Tensor& drawn);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_KERNELS_CUDA_FUSED_OPS_H_
