#include "common/model/kernels/cuda/fused_ops.h"

#include <ATen/ops/empty.h>

#include <cmath>

#include "common/model/kernels/cuda/draw_tokens.h"
#include "common/model/kernels/cuda/on_device.h"
#include "common/model/kernels/cuda/paged_attention.h"
#include "common/model/kernels/cuda/row_kernels.h"
#include "common/model/kernels/cuda/step_state.h"
// Last.
#include "common/base/log.h"

namespace reckon {
namespace {

bool IsBf16(const at::Tensor& x) { return x.scalar_type() == at::kBFloat16; }

template <typename T>
const T* PointerTo(const at::Tensor& x) {
  if (!x.defined()) return nullptr;
  CHECK(x.is_contiguous());
  return x.const_data_ptr<T>();
}

}  // namespace

StepRows FusedBeginStep(const DeviceSlots& slots, const at::Tensor& slot_of,
                        const at::Tensor& frequency, double magnitude) {
  const OnDeviceOf on(slot_of);
  const int64_t rows = slot_of.size(0), most = slots.slot_pages.size(1), half = frequency.size(0);
  const at::TensorOptions ints = slot_of.options(), floats = ints.dtype(at::kFloat);
  StepRows out = {
      .tokens = at::empty({rows}, ints),
      .rows = {at::empty({rows, most}, ints), at::empty({rows}, ints)},
      .table = at::empty({rows, 2 * half}, floats),
      .draws = at::empty({rows * static_cast<int64_t>(sizeof(DeviceDraw))}, ints.dtype(at::kByte))};
  OnDeviceOf::Check(
      LaunchBeginStep({.slots = static_cast<const DecodeSlot*>(slots.slots.const_data_ptr()),
                       .slot_of = PointerTo<int32_t>(slot_of),
                       .slot_pages = PointerTo<int32_t>(slots.slot_pages),
                       .frequency = PointerTo<float>(frequency),
                       .magnitude = static_cast<float>(magnitude),
                       .tokens = out.tokens.mutable_data_ptr<int32_t>(),
                       .positions = out.rows.positions.mutable_data_ptr<int32_t>(),
                       .pages_of = out.rows.pages_of.mutable_data_ptr<int32_t>(),
                       .table = out.table.mutable_data_ptr<float>(),
                       .draws = static_cast<DeviceDraw*>(out.draws.mutable_data_ptr()),
                       .rows = rows,
                       .most_pages = most,
                       .half = half},
                      on.stream()));
  return out;
}

void FusedEndStep(const DeviceSlots& slots, const at::Tensor& slot_of, const at::Tensor& drawn) {
  const OnDeviceOf on(slot_of);
  OnDeviceOf::Check(
      LaunchEndStep({.slots = static_cast<DecodeSlot*>(slots.slots.mutable_data_ptr()),
                     .slot_of = PointerTo<int32_t>(slot_of),
                     .drawn = static_cast<const DeviceToken*>(drawn.const_data_ptr()),
                     .rows = slot_of.size(0)},
                    on.stream()));
}

at::Tensor FusedRopeTable(const at::Tensor& positions, const at::Tensor& frequency,
                          double magnitude) {
  const OnDeviceOf on(positions);
  const int64_t rows = positions.size(0), half = frequency.size(0);
  at::Tensor table = at::empty({rows, 2 * half}, frequency.options());
  OnDeviceOf::Check(LaunchRopeTable({.positions = PointerTo<int32_t>(positions),
                                     .frequency = PointerTo<float>(frequency),
                                     .magnitude = static_cast<float>(magnitude),
                                     .table = table.mutable_data_ptr<float>(),
                                     .rows = rows,
                                     .half = half},
                                    on.stream()));
  return table;
}

at::Tensor FusedEmbed(const at::Tensor& tokens, const TableWeight& table) {
  const OnDeviceOf on(tokens);
  const int64_t rows = tokens.size(0), n = table.values.size(1);
  at::Tensor x = at::empty({rows, n}, table.values.options().dtype(at::kFloat));
  OnDeviceOf::Check(LaunchEmbedRows({.bf16 = IsBf16(table.values),
                                     .tokens = PointerTo<int32_t>(tokens),
                                     .table = table.values.const_data_ptr(),
                                     .x = x.mutable_data_ptr<float>(),
                                     .rows = rows,
                                     .n = n},
                                    on.stream()));
  return x;
}

at::Tensor FusedAddRmsNorm(const at::Tensor& x, const at::Tensor& bias, const at::Tensor& weight,
                           double eps, Dtype dtype) {
  const OnDeviceOf on(x);
  CHECK(x.is_contiguous());
  at::Tensor out = at::empty(x.sizes(), x.options().dtype(ScalarTypeOf(dtype)));
  OnDeviceOf::Check(LaunchAddRmsNorm({.bf16 = dtype == Dtype::kBf16,
                                      .x = x.mutable_data_ptr<float>(),
                                      .bias = PointerTo<float>(bias),
                                      .weight = PointerTo<float>(weight),
                                      .out = out.mutable_data_ptr(),
                                      .rows = x.size(0),
                                      .n = x.size(1),
                                      .eps = static_cast<float>(eps)},
                                     on.stream()));
  return out;
}

at::Tensor FusedSiluProduct(const at::Tensor& gate_up, const at::Tensor& bias, Dtype dtype) {
  const OnDeviceOf on(gate_up);
  const int64_t rows = gate_up.size(0), n = gate_up.size(1) / 2;
  at::Tensor out = at::empty({rows, n}, gate_up.options().dtype(ScalarTypeOf(dtype)));
  OnDeviceOf::Check(LaunchSiluProduct({.bf16 = dtype == Dtype::kBf16,
                                       .gate_up = PointerTo<float>(gate_up),
                                       .bias = PointerTo<float>(bias),
                                       .out = out.mutable_data_ptr(),
                                       .rows = rows,
                                       .n = n},
                                      on.stream()));
  return out;
}

at::Tensor FusedRopeToCache(const at::Tensor& qkv, const at::Tensor& bias, const at::Tensor& query,
                            const at::Tensor& key, double eps, const at::Tensor& table,
                            const DeviceRows& rows, const at::Tensor& keys,
                            const at::Tensor& values) {
  const OnDeviceOf on(qkv);
  const int64_t kv_heads = keys.size(1), dim = keys.size(2);
  const int64_t heads = qkv.size(1) / dim - 2 * kv_heads;
  at::Tensor queries = at::empty({qkv.size(0), heads, dim}, keys.options());
  OnDeviceOf::Check(LaunchRopeToCache({.bf16 = IsBf16(keys),
                                       .qkv = PointerTo<float>(qkv),
                                       .bias = PointerTo<float>(bias),
                                       .queries = queries.mutable_data_ptr(),
                                       .query_norm = PointerTo<float>(query),
                                       .key_norm = PointerTo<float>(key),
                                       .table = PointerTo<float>(table),
                                       .pages_of = PointerTo<int32_t>(rows.pages_of),
                                       .positions = PointerTo<int32_t>(rows.positions),
                                       .keys = keys.mutable_data_ptr(),
                                       .values = values.mutable_data_ptr(),
                                       .rows = qkv.size(0),
                                       .heads = heads,
                                       .kv_heads = kv_heads,
                                       .dim = dim,
                                       .most_pages = rows.pages_of.size(1),
                                       .eps = static_cast<float>(eps)},
                                      on.stream()));
  return queries;
}

at::Tensor FusedPagedAttention(const at::Tensor& q, const at::Tensor& keys,
                               const at::Tensor& values, const DeviceRows& rows) {
  const OnDeviceOf on(q);
  at::Tensor out = at::empty(q.sizes(), q.options());
  CHECK(q.stride(2) == 1 && q.stride(1) == q.size(2));
  OnDeviceOf::Check(LaunchPagedAttention(
      {.bf16 = IsBf16(q),
       .q = q.const_data_ptr(),
       .q_stride = q.stride(0),
       .keys = keys.const_data_ptr(),
       .values = values.const_data_ptr(),
       .pages_of = PointerTo<int32_t>(rows.pages_of),
       .positions = PointerTo<int32_t>(rows.positions),
       .out = out.mutable_data_ptr(),
       .rows = q.size(0),
       .heads = q.size(1),
       .kv_heads = keys.size(1),
       .dim = q.size(2),
       .most_pages = rows.pages_of.size(1),
       .scale = static_cast<float>(1 / std::sqrt(static_cast<double>(q.size(2))))},
      on.stream()));
  return out;
}

void FusedDraw(const at::Tensor& logits, int64_t gaps, const at::Tensor& draws,
               const at::Tensor& drawn) {
  const OnDeviceOf on(logits);
  OnDeviceOf::Check(
      LaunchDrawTokens({.logits = PointerTo<float>(logits),
                        .rows = logits.size(0),
                        .vocab = logits.size(1),
                        .gaps = gaps,
                        .draws = static_cast<const DeviceDraw*>(draws.const_data_ptr()),
                        .drawn = static_cast<DeviceToken*>(drawn.mutable_data_ptr())},
                       on.stream()));
}

}  // namespace reckon
