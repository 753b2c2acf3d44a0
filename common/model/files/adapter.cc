#include "common/model/files/adapter.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <filesystem>
#include <map>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "common/base/files.h"
#include "common/base/printable.h"
#include "common/base/status_macros.h"
#include "common/base/thread_pool.h"
#include "common/model/files/safetensors.h"
#include "common/model/kernels/dtype.h"

namespace reckon {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxConfigBytes = 16 << 20;
constexpr char kConfigName[] = "/adapter_config.json";

bool Exists(const std::string& path) {
  std::error_code error;
  return fs::exists(path, error);
}

// `count` numbers of a stored type.
void ToFloats(const std::string& dtype, const char* from, int64_t count, float* to) {
  if (dtype == "F32") {
    std::memcpy(to, from, count * sizeof(float));
    return;
  }
  for (int64_t i = 0; i < count; ++i) {
    uint16_t word;
    std::memcpy(&word, from + 2 * i, sizeof(word));
    to[i] = dtype == "BF16" ? FromBf16(word) : FromF16(word);
  }
}

// The same back, rounded. False: one is not a finite number of that type.
bool FromFloats(const std::string& dtype, const float* from, int64_t count, char* to) {
  bool finite = true;
  for (int64_t i = 0; i < count; ++i) {
    finite &= from[i] - from[i] == 0;
    if (dtype == "F32") {
      std::memcpy(to + 4 * i, from + i, sizeof(float));
      continue;
    }
    const bool bf16 = dtype == "BF16";
    const uint16_t word = bf16 ? ToBf16(from[i]) : ToF16(from[i]);
    const uint16_t exponent = bf16 ? 0x7f80 : 0x7c00;
    finite &= (word & exponent) != exponent;
    std::memcpy(to + 2 * i, &word, sizeof(word));
  }
  return finite;
}

// Where a tensor of the adapter belongs: to which tensor of the base, and as which part.
struct Place {
  std::string target;
  enum Part { kA, kB, kWhole } part = kWhole;
};

Place PlaceOf(absl::string_view name) {
  absl::ConsumePrefix(&name, "base_model.model.");
  Place out = {std::string(name)};
  for (const auto& [middle, part] : {std::pair(".lora_A", Place::kA), {".lora_B", Place::kB}}) {
    // PEFT's older versions put the adapter's name, "default", before ".weight".
    for (const char* end : {".weight", ".default.weight"}) {
      absl::string_view layer = name;
      if (!absl::ConsumeSuffix(&layer, absl::StrCat(middle, end))) continue;
      return {absl::StrCat(layer, ".weight"), part};
    }
  }
  for (const char* middle : {".modules_to_save.default", ".modules_to_save", ".base_layer"}) {
    const size_t at = out.target.find(absl::StrCat(middle, "."));
    if (at == std::string::npos) continue;
    out.target.erase(at, std::strlen(middle));
    break;
  }
  return out;
}

std::string ShapeText(const TensorEntry& tensor) {
  return absl::StrCat("[", absl::StrJoin(tensor.shape(), ", "), "]");
}

}  // namespace

bool AdapterFolder::Is(const std::string& folder) {
  return Exists(folder + kConfigName) && !Exists(folder + "/model.safetensors") &&
         !Exists(folder + "/model.safetensors.index.json");
}

absl::StatusOr<AdapterFolder> AdapterFolder::Open(const std::string& folder) {
  const std::string path = folder + kConfigName;
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxConfigBytes));
  ASSIGN_OR_RETURN(AdapterConfig config, AdapterConfig::Parse(path, text));
  absl::StatusOr<SafetensorsFile> file =
      SafetensorsFile::Open(folder + "/adapter_model.safetensors");
  if (absl::IsNotFound(file.status()) && Exists(folder + "/adapter_model.bin")) {
    return absl::FailedPreconditionError(absl::StrCat(
        folder,
        ": has adapter_model.bin; only adapter_model.safetensors is read: load the adapter ",
        "with PEFT and save_pretrained it"));
  }
  if (!file.ok()) {
    return absl::Status(file.status().code(),
                        absl::StrCat(folder, ": an adapter of PEFT, whose weights cannot be read: ",
                                     file.status().message(), "; save it again with PEFT"));
  }
  return AdapterFolder(folder, std::move(config), *std::move(file));
}

absl::StatusOr<std::string> AdapterFolder::BaseFolder(const std::string& given) const {
  std::error_code error;
  std::vector<std::string> candidates = {given};
  if (given.empty()) candidates = {config_.base, absl::StrCat(folder_, "/", config_.base)};
  for (const std::string& candidate : candidates) {
    if (candidate.empty() || !fs::is_directory(candidate, error)) continue;
    if (!Is(candidate)) return candidate;
    return absl::FailedPreconditionError(
        absl::StrCat(folder_, ": an adapter of PEFT over ", Printable(candidate),
                     ", which is an adapter itself; merge that into its base first"));
  }
  return absl::FailedPreconditionError(absl::StrCat(
      folder_, ": an adapter of PEFT, not a model; its base ",
      Printable(given.empty() ? config_.base : given),
      " is not a folder here: give the folder of the base model (model.base or --base)"));
}

absl::Status AdapterFolder::Wrong(absl::string_view tensor, absl::string_view what) const {
  return absl::InvalidArgumentError(
      absl::StrCat(file_.path(), ": tensor ", Printable(tensor), " ", what));
}

absl::Status AdapterFolder::Fit(const WeightManifest& base) {
  std::map<std::string, const TensorEntry*> targets;
  for (const TensorEntry& tensor : base.tensors()) targets[tensor.name()] = &tensor;
  std::map<std::string, Change> changes;
  for (const TensorEntry& tensor : file_.header().tensors) {
    const Place place = PlaceOf(tensor.name());
    auto target = targets.find(place.target);
    if (target == targets.end()) {
      return Wrong(tensor.name(), "belongs to no layer of the base model");
    }
    if (!DtypeBytes(tensor.dtype())) {
      return Wrong(tensor.name(),
                   absl::StrCat("has type ", tensor.dtype(), "; F32, BF16 and F16 are read"));
    }
    Change& change = changes[place.target];
    change.target = *target->second;
    (place.part == Place::kA   ? change.a
     : place.part == Place::kB ? change.b
                               : change.whole) = &tensor;
  }
  changes_.clear();
  for (auto& [name, change] : changes) {
    RETURN_IF_ERROR(CheckChange(&change));
    changes_.push_back(change);
  }
  return absl::OkStatus();
}

absl::Status AdapterFolder::CheckChange(Change* change) const {
  auto check = [&](const TensorEntry& tensor, std::vector<int64_t> wanted) {
    if (std::equal(tensor.shape().begin(), tensor.shape().end(), wanted.begin(), wanted.end())) {
      return absl::OkStatus();
    }
    return Wrong(tensor.name(), absl::StrCat("has shape ", ShapeText(tensor), ", it must be [",
                                             absl::StrJoin(wanted, ", "), "]"));
  };
  const TensorEntry& target = change->target;
  if (change->whole != nullptr) {
    RETURN_IF_ERROR(check(*change->whole, {target.shape().begin(), target.shape().end()}));
  }
  if (change->a == nullptr && change->b == nullptr) return absl::OkStatus();
  if (change->a == nullptr || change->b == nullptr) {
    const TensorEntry& given = change->a != nullptr ? *change->a : *change->b;
    return Wrong(given.name(), "has no partner: lora_A and lora_B come together");
  }
  if (target.shape_size() != 2) return Wrong(change->a->name(), "belongs to no linear layer");
  const absl::string_view layer = absl::StripSuffix(target.name(), ".weight");
  const int64_t rank = config_.RankOf(layer);
  RETURN_IF_ERROR(check(*change->a, {rank, target.shape(1)}));
  RETURN_IF_ERROR(check(*change->b, {target.shape(0), rank}));
  change->scale = config_.ScaleOf(layer);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<float>> AdapterFolder::ReadFloats(const TensorEntry& tensor) const {
  ASSIGN_OR_RETURN(const uint64_t size, TensorBytes(tensor));
  std::string raw(size, '\0');
  RETURN_IF_ERROR(file_.ReadData(tensor.offset(), size, raw.data()));
  std::vector<float> out(size / *DtypeBytes(tensor.dtype()));
  ToFloats(tensor.dtype(), raw.data(), static_cast<int64_t>(out.size()), out.data());
  return out;
}

absl::Status AdapterFolder::MergeInto(const WeightManifest& base, char* bytes) const {
  for (const Change& change : changes_) {
    auto same = [&](const TensorEntry& tensor) { return tensor.name() == change.target.name(); };
    const auto target = std::find_if(base.tensors().begin(), base.tensors().end(), same);
    RETURN_IF_ERROR(Merge(change, bytes + target->offset()));
  }
  return absl::OkStatus();
}

absl::Status AdapterFolder::Merge(const Change& change, char* weight) const {
  const std::string& dtype = change.target.dtype();
  const auto element = static_cast<int64_t>(*DtypeBytes(dtype));
  const int64_t rows = change.target.shape(0);
  int64_t columns = 1;
  for (int d = 1; d < change.target.shape_size(); ++d) columns *= change.target.shape(d);
  std::vector<float> whole, a, b;
  int64_t rank = 0;
  if (change.whole != nullptr) {
    ASSIGN_OR_RETURN(whole, ReadFloats(*change.whole));
  }
  if (change.a != nullptr) {
    ASSIGN_OR_RETURN(a, ReadFloats(*change.a));
    ASSIGN_OR_RETURN(b, ReadFloats(*change.b));
    rank = change.a->shape(0);
  }
  std::atomic<bool> finite = true;
  ParallelFor(rows, [&](int64_t row) {
    char* to = weight + row * columns * element;
    std::vector<float> values(columns), product(columns, 0.0f);
    if (!whole.empty()) {
      std::copy_n(whole.data() + row * columns, columns, values.data());
    } else {
      ToFloats(dtype, to, columns, values.data());
    }
    for (int64_t i = 0; i < rank; ++i) {
      const float factor = b[row * rank + i];
      const float* line = a.data() + i * columns;
      for (int64_t k = 0; k < columns; ++k) product[k] += factor * line[k];
    }
    const auto scale = static_cast<float>(change.scale);
    for (int64_t k = 0; k < columns; ++k) values[k] += scale * product[k];
    if (!FromFloats(dtype, values.data(), columns, to)) finite = false;
  });
  if (finite) return absl::OkStatus();
  return Wrong(change.target.name(),
               absl::StrCat("would hold a NaN or an infinity in ", dtype, " once merged"));
}

}  // namespace reckon
