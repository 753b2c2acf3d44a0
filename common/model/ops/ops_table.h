#ifndef RECKON_COMMON_MODEL_OPS_OPS_TABLE_H_
#define RECKON_COMMON_MODEL_OPS_OPS_TABLE_H_

#include "common/model/backend.h"
#include "common/model/ops/device_ops.h"
#include "common/model/ops/ops.h"

namespace reckon {

// The operations of one backend.
struct Ops {
  decltype(&Embed) embed;
  decltype(&RmsNorm) rms_norm;
  decltype(&Linear) linear;
  decltype(&AddLinear) add_linear;
  decltype(&HeadNorm) head_norm;
  decltype(&Rope) rope;
  decltype(&SwiGlu) swiglu;
  decltype(&HeadLogProb) head_log_prob;
  decltype(&HeadLogits) head_logits;
};

inline const Ops& OpsOf(Backend backend) {
  static constexpr Ops kOwn = {&Embed, &RmsNorm, &Linear,      &AddLinear, &HeadNorm,
                               &Rope,  &SwiGlu,  &HeadLogProb, &HeadLogits};
  static constexpr Ops kDevice = {&device::Embed,     &device::RmsNorm,     &device::Linear,
                                  &device::AddLinear, &device::HeadNorm,    &device::Rope,
                                  &device::SwiGlu,    &device::HeadLogProb, &device::HeadLogits};
  return backend == Backend::kOwn ? kOwn : kDevice;
}

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_OPS_OPS_TABLE_H_
