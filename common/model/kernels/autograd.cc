#include "common/model/kernels/autograd.h"

#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/utils.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "common/base/log.h"

namespace reckon {
namespace {

using torch::autograd::Node;
using torch::autograd::variable_list;

class BackwardNode : public Node {
 public:
  BackwardNode(torch::autograd::edge_list edges, GradientRecorder::Backward backward)
      : Node(std::move(edges)), backward_(std::move(backward)) {}

  variable_list apply(variable_list&& d_outputs) override {
    CHECK(backward_ != nullptr) << "backward() ran twice over one graph";
    // Nothing that depends on this output is in the loss: undefined gradients, which autograd takes
    // for zeros, instead of a backward over zeros.
    if (!d_outputs[0].defined()) return variable_list(num_outputs());
    return backward_(d_outputs[0]);
  }
  // Autograd calls this after apply: the activations of a layer are freed as soon as its backward
  // has run, not when the whole graph is.
  void release_variables() override { backward_ = nullptr; }

 private:
  GradientRecorder::Backward backward_;
};

}  // namespace

GradientRecorder::GradientRecorder(std::initializer_list<at::Tensor> inputs)
    : inputs_(std::any_of(inputs.begin(), inputs.end(), NeedsGradient) ? Tensors(inputs)
                                                                       : Tensors()) {}

at::Tensor GradientRecorder::Record(const at::Tensor& output, Backward backward) {
  CHECK(recording());
  torch::autograd::edge_list edges;
  for (const at::Tensor& input : inputs_) {
    edges.push_back(input.defined() ? torch::autograd::impl::gradient_edge(input)
                                    : torch::autograd::Edge());
  }
  // deleteNode frees a long graph without recursion.
  const std::shared_ptr<Node> node(new BackwardNode(std::move(edges), std::move(backward)),
                                   torch::autograd::deleteNode);
  torch::autograd::set_history(output, node);
  return output;
}

at::Tensor GradOf(const at::Tensor& leaf) {
  if (!leaf.grad().defined()) leaf.mutable_grad() = at::zeros(leaf.sizes(), leaf.options());
  return leaf.grad();
}

}  // namespace reckon
