#include "common/model/files/adapter_config.h"

#include <cmath>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "common/base/printable.h"
#include "common/base/status_macros.h"
#include "common/text/json.h"

namespace reckon {
namespace {

using nlohmann::json;

constexpr int64_t kMaxRank = 1 << 16;
constexpr double kMaxAlpha = 1e9;

// PEFT matches the pattern as a regular expression against the end of the layer's name.
template <typename T>
T Matched(const std::vector<std::pair<std::string, T>>& pattern, absl::string_view layer,
          T otherwise) {
  for (const auto& [name, value] : pattern) {
    if (layer == name || absl::EndsWith(layer, "." + name)) return value;
  }
  return otherwise;
}

class Reader {
 public:
  Reader(const std::string& path, const json& file) : path_(path), file_(file) {}

  absl::StatusOr<AdapterConfig> Run() {
    RETURN_IF_ERROR(CheckKind());
    AdapterConfig out;
    absl::StatusOr<std::string> base = GetStringOr(file_, "base_model_name_or_path", "");
    if (!base.ok()) return Bad("base_model_name_or_path", "must be a string");
    out.base = *std::move(base);
    if (const json* rank = FindField(file_, "r")) {
      ASSIGN_OR_RETURN(out.rank, Rank("r", *rank));
    }
    if (const json* alpha = FindField(file_, "lora_alpha")) {
      ASSIGN_OR_RETURN(out.alpha, Alpha("lora_alpha", *alpha));
    }
    ASSIGN_OR_RETURN(out.rank_stabilised, Flag("use_rslora"));
    ASSIGN_OR_RETURN(const json ranks, Pattern("rank_pattern"));
    for (const auto& [key, value] : ranks.items()) {
      ASSIGN_OR_RETURN(std::string name, LayerName("rank_pattern", key));
      ASSIGN_OR_RETURN(const int64_t rank, Rank("rank_pattern", value));
      out.rank_pattern.emplace_back(std::move(name), rank);
    }
    ASSIGN_OR_RETURN(const json alphas, Pattern("alpha_pattern"));
    for (const auto& [key, value] : alphas.items()) {
      ASSIGN_OR_RETURN(std::string name, LayerName("alpha_pattern", key));
      ASSIGN_OR_RETURN(const double alpha, Alpha("alpha_pattern", value));
      out.alpha_pattern.emplace_back(std::move(name), alpha);
    }
    return out;
  }

 private:
  absl::Status Bad(absl::string_view field, absl::string_view what) const {
    return absl::InvalidArgumentError(absl::StrCat(path_, ": ", field, ": ", what));
  }
  absl::Status Unsupported(absl::string_view field, absl::string_view what) const {
    return absl::UnimplementedError(
        absl::StrCat(path_, ": ", field, ": ", what,
                     "; merge the adapter with PEFT's merge_and_unload instead"));
  }

  // Neither absent nor null, false or empty.
  bool IsSet(const char* field) const {
    const json* value = FindField(file_, field);
    return value != nullptr && *value != false && !(value->is_structured() && value->empty());
  }

  absl::Status CheckKind() const {
    const json* kind = FindField(file_, "peft_type");
    if (kind == nullptr || !kind->is_string()) return Bad("peft_type", "missing");
    if (*kind != "LORA") {
      return Unsupported("peft_type",
                         absl::StrCat(Printable(kind->get<std::string>()), " is not supported"));
    }
    for (const char* field :
         {"use_dora", "fan_in_fan_out", "lora_bias", "use_qalora", "use_bdlora",
          "layer_replication", "alora_invocation_tokens", "trainable_token_indices",
          "target_parameters", "megatron_config", "velora_config", "monteclora_config",
          "arrow_config", "kasa_config"}) {
      if (IsSet(field)) return Unsupported(field, "is not supported");
    }
    if (const json* bias = FindField(file_, "bias"); bias != nullptr && *bias != "none") {
      return Unsupported("bias", "only none is supported");
    }
    // Initialisations that also changed the base model, which is then not the one on disk.
    if (const json* init = FindField(file_, "init_lora_weights");
        init != nullptr && init->is_string() && *init != "gaussian" && *init != "eva" &&
        *init != "orthogonal") {
      return Unsupported("init_lora_weights",
                         absl::StrCat(Printable(init->get<std::string>()), " is not supported"));
    }
    return absl::OkStatus();
  }

  absl::StatusOr<int64_t> Rank(const char* field, const json& value) const {
    const bool whole = value.is_number_integer() && value >= 1 && value <= kMaxRank;
    if (!whole) return Bad(field, absl::StrCat("a rank must be a whole number, 1 to ", kMaxRank));
    return value.get<int64_t>();
  }
  absl::StatusOr<double> Alpha(const char* field, const json& value) const {
    const double alpha = value.is_number() ? value.get<double>() : HUGE_VAL;
    if (!(std::abs(alpha) <= kMaxAlpha)) {
      return Bad(field, "an alpha must be a number of at most 1e9");
    }
    return alpha;
  }
  absl::StatusOr<bool> Flag(const char* field) const {
    absl::StatusOr<bool> value = GetBoolOr(file_, field, false);
    if (!value.ok()) return Bad(field, "must be true or false");
    return value;
  }
  absl::StatusOr<json> Pattern(const char* field) const {
    const json* value = FindField(file_, field);
    if (value == nullptr) return json::object();
    if (!value->is_object()) return Bad(field, "must be an object");
    return *value;
  }
  absl::StatusOr<std::string> LayerName(const char* field, absl::string_view key) const {
    absl::string_view given = key;
    absl::ConsumePrefix(&given, "^");
    const std::string name = absl::StrReplaceAll(given, {{"\\.", "."}});
    for (const char c : name) {
      if (absl::ascii_isalnum(c) || c == '_' || c == '.') continue;
      return Unsupported(field, absl::StrCat("'", Printable(key), "' is not a layer's name"));
    }
    if (name.empty()) return Bad(field, "an empty name");
    return name;
  }

  const std::string& path_;
  const json& file_;
};

}  // namespace

int64_t AdapterConfig::RankOf(absl::string_view layer) const {
  return Matched(rank_pattern, layer, rank);
}

double AdapterConfig::ScaleOf(absl::string_view layer) const {
  const auto of_layer = static_cast<double>(RankOf(layer));
  return Matched(alpha_pattern, layer, alpha) / (rank_stabilised ? std::sqrt(of_layer) : of_layer);
}

absl::StatusOr<AdapterConfig> AdapterConfig::Parse(const std::string& path,
                                                   absl::string_view text) {
  absl::StatusOr<json> file = ParseJson(text);
  if (file.ok() && !file->is_object()) file = absl::InvalidArgumentError("must be an object");
  if (!file.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": ", file.status().message()));
  }
  return Reader(path, *file).Run();
}

std::string AdapterConfig::Format() const {
  nlohmann::ordered_json out = {{"peft_type", "LORA"},
                                {"task_type", "CAUSAL_LM"},
                                {"base_model_name_or_path", base},
                                {"r", rank},
                                {"lora_alpha", alpha},
                                {"target_modules", target_modules},
                                {"lora_dropout", 0.0},
                                {"bias", "none"},
                                {"fan_in_fan_out", false},
                                {"use_rslora", rank_stabilised},
                                {"use_dora", false},
                                {"modules_to_save", nullptr},
                                {"inference_mode", true}};
  if (alpha == std::floor(alpha)) out["lora_alpha"] = static_cast<int64_t>(alpha);
  return out.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace reckon
