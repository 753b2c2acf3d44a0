#include "learner/publish/adapter_files.h"

#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/model/files/adapter_config.h"
#include "common/model/files/manifest.h"
#include "common/model/files/safetensors.h"
// Last.
#include "common/base/log.h"

namespace reckon {

SideFiles AdapterFiles(const std::string& base, int64_t rank, double alpha,
                       const NamedTensors& parameters) {
  AdapterConfig config;
  config.base = base;
  config.rank = rank;
  config.alpha = alpha;
  std::set<std::string> modules;
  WeightManifest manifest;
  for (const auto& [name, parameter] : parameters) {
    const std::string layer = name.substr(0, name.find(".lora_"));
    modules.insert(layer.substr(layer.rfind('.') + 1));
    TensorEntry* entry = manifest.add_tensors();
    entry->set_name("base_model.model." + name);
    entry->set_dtype("F32");
    for (const int64_t n : parameter.sizes()) entry->add_shape(n);
  }
  config.target_modules.assign(modules.begin(), modules.end());
  const absl::Status laid_out = LayOut(&manifest);
  CHECK(laid_out.ok()) << laid_out;
  std::string weights = FormatSafetensorsHeader(manifest);
  weights.reserve(weights.size() + manifest.total_bytes());
  for (const auto& [name, parameter] : parameters) {
    const at::Tensor values = parameter.detach().to(at::kCPU).contiguous();
    weights.append(static_cast<const char*>(values.const_data_ptr()), values.nbytes());
  }
  SideFiles out;
  out["adapter/adapter_config.json"] = config.Format();
  out["adapter/adapter_model.safetensors"] = std::move(weights);
  return out;
}

}  // namespace reckon
