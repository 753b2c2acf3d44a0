#ifndef RECKON_COMMON_MODEL_KERNELS_AUTOGRAD_H_
#define RECKON_COMMON_MODEL_KERNELS_AUTOGRAD_H_

#include <functional>
#include <initializer_list>
#include <vector>

#include "ATen/core/Tensor.h"
#include "ATen/core/grad_mode.h"

namespace reckon {

using Tensors = std::vector<at::Tensor>;

// Whether LibTorch's autograd would record an operation on x.
inline bool NeedsGradient(const at::Tensor& x) {
  return at::GradMode::is_enabled() && x.defined() && x.requires_grad();
}

// Records one operation with a hand-written backward in LibTorch's graph:
//
//   at::Tensor Double(const at::Tensor& x) {
//     GradientRecorder recorder({x});   // the inputs; grad mode is off until the end of the scope
//     at::Tensor y = x + x;             // forward: kernels, raw pointers, operations in place
//     if (!recorder.recording()) return y;
//     return recorder.Record(y, [](const at::Tensor& dy) -> Tensors { return {dy + dy}; });
//   }
//
// The backward runs at most once, on the thread that autograd uses for the device of y (for CPU
// tensors, the thread that calls y.backward()), and is destroyed when it has run or the graph dies.
// It must capture tensors and weights by value: the graph may outlive the model.
class GradientRecorder {
 public:
  // The gradient of each input, in their order, from the gradient of the output. An undefined
  // tensor: that input has none, or the backward has added it to a parameter itself.
  using Backward = std::function<Tensors(const at::Tensor& d_output)>;

  // Records if one of the inputs needs a gradient. Inputs may be undefined.
  explicit GradientRecorder(std::initializer_list<at::Tensor> inputs);

  bool recording() const { return !inputs_.empty(); }
  // Makes `output` a node of the graph, and returns it. It must be new: neither an input nor a view
  // of one. Only when recording.
  at::Tensor Record(const at::Tensor& output, Backward backward);

 private:
  Tensors inputs_;           // empty: not recording
  at::NoGradGuard no_grad_;  // after inputs_, which depend on the grad mode
};

// leaf.grad(), fp32; zeros if it has none yet.
at::Tensor GradOf(const at::Tensor& leaf);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_KERNELS_AUTOGRAD_H_
