#include "common/model/weight_sources.h"

namespace reckon {

SourceBinder::SourceBinder(const ModelConfig& config, const ModelAdapters& adapters,
                           const NamedTensors& tensors, std::vector<at::Tensor> leaves,
                           WeightSources* to)
    : config_(config),
      adapters_(adapters),
      tensors_(tensors),
      leaves_(std::move(leaves)),
      to_(to) {}

void SourceBinder::Table(TableWeight* weight) {
  weight->leaf = leaves_.empty() ? at::Tensor() : leaves_[next_];
  to_->tables.emplace_back(weight, tensors_[next_++].second);
}

void SourceBinder::Linear(int count, bool bias, LinearWeight* weight) {
  LinearSource source = {weight};
  weight->parts.clear();
  weight->bias_parts.clear();
  weight->adapters = nullptr;
  const auto take = [&](std::vector<at::Tensor>* tensors, std::vector<at::Tensor>* leaves) {
    if (!leaves_.empty()) leaves->push_back(leaves_[next_]);
    tensors->push_back(tensors_[next_++].second);
  };
  for (int i = 0; i < count; ++i) {
    if (!adapters_.empty()) {
      source.names.push_back(tensors_[next_].first);
      source.adapters.push_back(adapters_.at(source.names.back()));
    }
    take(&source.parts, &weight->parts);
    if (bias) take(&source.bias, &weight->bias_parts);
  }
  to_->linear.push_back(std::move(source));
}

void SourceBinder::Layer(LayerWeights* layer) {
  const ModelConfig& c = config_;
  Table(&layer->input_norm);
  Linear(c.fused ? 1 : 3, c.qkv_bias, &layer->qkv);
  if (c.qk_norm) {
    Table(&layer->query_norm);
    Table(&layer->key_norm);
  }
  Linear(1, c.output_bias, &layer->output);
  Table(&layer->post_norm);
  Linear(c.fused ? 1 : 2, c.mlp_bias, &layer->gate_up);
  Linear(1, c.mlp_bias, &layer->down);
}

void SourceBinder::Head(LinearWeight* head) {
  // Tied: the head's part is the embedding's leaf itself, so both add to one gradient and the
  // optimizer steps it once.
  const size_t index = config_.tie_word_embeddings ? 0 : next_;
  head->parts.clear();
  if (!leaves_.empty() && leaves_[index].defined()) head->parts.push_back(leaves_[index]);
  // What is not packed has no logit: it is never drawn, and no part of any softmax. Gaps are
  // packed, so that a column stays a token's id, and masked.
  LinearSource source = {head};
  const at::Tensor& tensor = tensors_[index].second;
  if (tensor.defined()) source.parts.push_back(tensor.detach().narrow(0, 0, config_.num_tokens()));
  to_->linear.push_back(std::move(source));
}

}  // namespace reckon
