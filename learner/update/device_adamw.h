#ifndef RECKON_LEARNER_UPDATE_DEVICE_ADAMW_H_
#define RECKON_LEARNER_UPDATE_DEVICE_ADAMW_H_

#include <vector>

#include "ATen/core/Tensor.h"
#include "learner/update/adamw.h"
#include "proto/config.pb.h"

namespace reckon {

// AdamW by LibTorch's fused operation, on the device where the parameters are. One thread.
class DeviceAdamW {
 public:
  DeviceAdamW(const TrainingSettings& training, std::vector<at::Tensor> parameters);

  // `gradient` as AdamW::Apply's; it is scaled in place.
  void Apply(const at::Tensor& gradient, double gradient_scale, double learning_rate);

  // A copy in host memory that may be changed: the next Apply starts from it.
  AdamMoments& moments();

 private:
  void Upload();

  const TrainingSettings training_;
  std::vector<at::Tensor> parameters_;
  at::Tensor first_, second_;  // of all parameters, one after another
  AdamMoments moments_;
  bool host_is_newest_ = true;
};

// Euclidean norm, on the device.
double Norm(const at::Tensor& values);

}  // namespace reckon

#endif  // RECKON_LEARNER_UPDATE_DEVICE_ADAMW_H_
