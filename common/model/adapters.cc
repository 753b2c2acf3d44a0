#include "common/model/adapters.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <cmath>

#include "absl/functional/function_ref.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/base/rng.h"
#include "common/base/status_macros.h"
#include "common/model/manifest_tensors.h"

namespace reckon {
namespace {

// The PEFT name of a tensor's A or B.
std::string LoraName(absl::string_view name, char half) {
  return absl::StrCat(absl::StripSuffix(name, ".weight"), ".lora_", std::string(1, half),
                      ".weight");
}

// A and B of each adapter as `given`, in the order of `tensors`, by their PEFT names.
NamedTensors NamedHalves(const ModelAdapters& adapters, const std::vector<TensorEntry>& tensors,
                         absl::FunctionRef<Adapter(const Adapter& adapter)> given) {
  NamedTensors out;
  for (const TensorEntry& entry : tensors) {
    const auto it = adapters.find(entry.name());
    if (it == adapters.end()) continue;
    const Adapter adapter = given(it->second);
    out.emplace_back(LoraName(entry.name(), 'A'), adapter.a);
    out.emplace_back(LoraName(entry.name(), 'B'), adapter.b);
  }
  return out;
}

}  // namespace

bool TakesAdapter(absl::string_view tensor) {
  // Not the head's, which is the embedding in models that tie them.
  return absl::StrContains(tensor, "_proj.weight");
}

// A is uniform within 1 / sqrt(k), as torch.nn.Linear starts, and B is zero (Hu et al. 2021,
// section 4.1; PEFT).
Adapter NewAdapter(int64_t n, int64_t k, int64_t rank, double alpha, uint64_t key,
                   c10::Device device) {
  Adapter out = {at::empty({rank, k}, at::kFloat), at::zeros({n, rank}, at::kFloat),
                 alpha / static_cast<double>(rank)};
  const CounterRng rng(key);
  const double bound = 1 / std::sqrt(static_cast<double>(k));
  auto* values = out.a.mutable_data_ptr<float>();
  for (int64_t i = 0; i < out.a.numel(); ++i) {
    values[i] = static_cast<float>((2 * rng.Uniform(static_cast<uint64_t>(i)) - 1) * bound);
  }
  for (at::Tensor* leaf : {&out.a, &out.b}) {
    *leaf = leaf->to(device).set_requires_grad(true);
  }
  return out;
}

NamedTensors TrainedAdapters(const ModelAdapters& adapters,
                             const std::vector<TensorEntry>& tensors) {
  return NamedHalves(adapters, tensors, [](const Adapter& adapter) { return adapter; });
}

NamedTensors ScaledAdapters(const ModelAdapters& adapters,
                            const std::vector<TensorEntry>& tensors) {
  return NamedHalves(adapters, tensors, [](const Adapter& adapter) {
    return Adapter{adapter.a.detach(), adapter.b.detach().mul(adapter.scale), /*scale=*/1};
  });
}

absl::StatusOr<ModelAdapters> ReadAdapters(const std::vector<TensorEntry>& tensors,
                                           const WeightManifest& manifest,
                                           absl::Span<const char> bytes, c10::Device device) {
  std::vector<TensorEntry> wanted;
  // Every adapter has the rank of the first.
  const int64_t rank = manifest.tensors_size() > 0 && manifest.tensors(0).shape_size() > 0
                           ? manifest.tensors(0).shape(0)
                           : 0;
  for (const TensorEntry& entry : tensors) {
    if (!TakesAdapter(entry.name())) continue;
    TensorEntry& a = wanted.emplace_back();
    a.set_name(LoraName(entry.name(), 'A'));
    a.add_shape(rank);
    a.add_shape(entry.shape(1));
    TensorEntry& b = wanted.emplace_back();
    b.set_name(LoraName(entry.name(), 'B'));
    b.add_shape(entry.shape(0));
    b.add_shape(rank);
  }
  ASSIGN_OR_RETURN(const std::vector<TensorEntry> entries,
                   FindTensors(wanted, manifest, bytes, /*others=*/false));
  ModelAdapters out;
  size_t next = 0;
  for (const TensorEntry& entry : tensors) {
    if (!TakesAdapter(entry.name())) continue;
    const at::Tensor a = ViewOf(entries[next++], bytes).to(device);
    const at::Tensor b = ViewOf(entries[next++], bytes).to(device);
    out.emplace(entry.name(), Adapter{a, b, /*scale=*/1});
  }
  return out;
}

}  // namespace reckon
