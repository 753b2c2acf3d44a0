#include "common/model/transformer_units.h"

#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "common/model/manifest_tensors.h"

namespace reckon {
namespace {

constexpr absl::string_view kLayers = "model.layers.";

}  // namespace

TransformerUnits::TransformerUnits(const ModelConfig& config, int64_t first_layer, RankGroup* group,
                                   ReplicaSums* replicas, Dtype compute, c10::Device device)
    : config_(config), first_layer_(first_layer), units_(group, replicas, compute, device) {}

void TransformerUnits::Load(const std::vector<TensorEntry>& tensors, absl::Span<const char> bytes,
                            bool trainable) {
  for (size_t begin = 0, end = 0; begin < tensors.size(); begin = end) {
    // "model.layers.7." of a layer's tensors; every other tensor is a unit of its own.
    const std::string& name = tensors[begin].name();
    const std::string layer =
        absl::StartsWith(name, kLayers) ? name.substr(0, name.find('.', kLayers.size()) + 1) : name;
    std::vector<TensorShape> shapes;
    for (; end < tensors.size() && absl::StartsWith(tensors[end].name(), layer); ++end) {
      const auto& shape = tensors[end].shape();
      shapes.push_back({tensors[end].name(), {shape.begin(), shape.end()}});
    }
    units_.Add(std::move(shapes), trainable,
               [&, begin](size_t i) { return ViewOf(tensors[begin + i], bytes); });
  }
}

size_t TransformerUnits::IndexOf(int64_t part) const {
  if (part == kEmbedding) return 0;
  const int64_t layers = config_.num_layers - first_layer_, before = first_layer_ == 0 ? 1 : 0;
  if (part == kFinalNorm) return before + layers;
  if (part == kHead) return config_.tie_word_embeddings ? 0 : before + layers + 1;
  return before + part - first_layer_;
}

void TransformerUnits::PrefetchLayer(int64_t index) {
  if (index < first_layer_) return;
  units_.Prefetch(IndexOf(index < config_.num_layers ? index : int64_t{kFinalNorm}));
}

void TransformerUnits::BeginBackward(int64_t part) {
  // What comes before the layers in a backward pass; each of them names the next.
  if (part == kHead || part == kFinalNorm) PrefetchLayer(config_.num_layers - 1);
  units_.BeginBackward(IndexOf(part));
}

void TransformerUnits::EndBackward(int64_t part) {
  const int64_t last = first_layer_ == 0 ? int64_t{kEmbedding} : first_layer_;
  // Of tied weights the embedding adds to the same gradient.
  const bool whole = part != kHead || !config_.tie_word_embeddings;
  units_.EndBackward(IndexOf(part), whole, part == last);
}

}  // namespace reckon
