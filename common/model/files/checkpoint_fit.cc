#include "common/model/files/checkpoint_fit.h"

#include <map>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "common/base/printable.h"
#include "common/base/status_macros.h"
#include "common/model/files/safetensors.h"

namespace reckon {
namespace {

constexpr absl::string_view kPrefix = "model.";
constexpr absl::string_view kEmbedding = "model.embed_tokens.weight";
constexpr absl::string_view kHead = "lm_head.weight";

// Whether `name` is `tail` or ends in "." and `tail`.
bool EndsWithPart(absl::string_view name, absl::string_view tail) {
  return absl::ConsumeSuffix(&name, tail) && (name.empty() || name.back() == '.');
}

// Buffers of transformers' older layers, which config.json determines.
bool IsBuffer(absl::string_view name) {
  for (absl::string_view tail :
       {"rotary_emb.inv_freq", "rotary_emb.original_inv_freq", "rotary_emb.cos_cached",
        "rotary_emb.sin_cached", "attn.bias", "attn.masked_bias", "self_attn.bias",
        "self_attn.masked_bias", "attention.bias", "attention.masked_bias"}) {
    if (EndsWithPart(name, tail)) return true;
  }
  return false;
}

std::string ShapeOf(const TensorEntry& tensor) {
  return absl::StrCat("[", absl::StrJoin(tensor.shape(), ", "), "]");
}

bool SameShape(const TensorEntry& a, const TensorEntry& b) { return ShapeOf(a) == ShapeOf(b); }

// The names that a checkpoint gives to the tensors of ModelConfig::Tensors.
class Naming {
 public:
  // Takes what precedes "embed_tokens.weight", or "norm.weight" where only the head of tied
  // embeddings is stored, for the prefix.
  explicit Naming(absl::Span<const SafetensorsFile> files) {
    for (absl::string_view anchor : {"embed_tokens.weight", "layers.0.input_layernorm.weight"}) {
      for (const SafetensorsFile& file : files) {
        for (const TensorEntry& tensor : file.header().tensors) {
          if (!EndsWithPart(tensor.name(), anchor)) continue;
          prefix_ = tensor.name().substr(0, tensor.name().size() - anchor.size());
          outer_ = std::string(absl::StripSuffix(prefix_, kPrefix));
          return;
        }
      }
    }
  }

  std::string Canonical(const std::string& name) const {
    if (name == kHead || name == absl::StrCat(outer_, kHead)) return std::string(kHead);
    if (prefix_ == kPrefix || !absl::StartsWith(name, prefix_)) return name;
    return absl::StrCat(kPrefix, name.substr(prefix_.size()));
  }
  const std::string& prefix() const { return prefix_; }

 private:
  std::string prefix_ = std::string(kPrefix);
  std::string outer_;  // before the head
};

class Fitter {
 public:
  Fitter(const ModelConfig& config, absl::Span<const SafetensorsFile> files)
      : files_(files), tied_(config.tie_word_embeddings), naming_(files) {
    for (TensorEntry& tensor : config.Tensors()) {
      order_.push_back(tensor.name());
      std::string name = tensor.name();
      wanted_.emplace(std::move(name), std::move(tensor));
    }
    for (const SafetensorsFile& file : files_) {
      for (const TensorEntry& tensor : file.header().tensors) {
        has_embedding_ |= naming_.Canonical(tensor.name()) == kEmbedding;
      }
    }
  }

  absl::StatusOr<CheckpointFit> Run(const std::string& listing) {
    for (size_t file = 0; file < files_.size(); ++file) {
      for (const TensorEntry& tensor : files_[file].header().tensors) {
        RETURN_IF_ERROR(Place(file, tensor));
      }
    }
    RETURN_IF_ERROR(CheckTiedHead());
    for (const std::string& name : order_) {
      if (found_.contains(name)) continue;
      return absl::InvalidArgumentError(
          absl::StrCat(listing, ": tensor ", name, " of shape ", ShapeOf(wanted_.at(name)),
                       " is missing, which config.json asks for; the first tensor is ",
                       Printable(files_[0].header().tensors[0].name())));
    }
    if (naming_.prefix() != kPrefix) {
      fit_.notes.push_back(absl::StrCat(listing, ": tensors begin with '",
                                        Printable(naming_.prefix()), "', not '", kPrefix, "'"));
    }
    for (const auto& [what, count] : left_out_) {
      fit_.notes.push_back(absl::StrCat(listing, ": left out ", what, count > 1 ? ", ... (" : "",
                                        count > 1 ? absl::StrCat(count, " tensors)") : ""));
    }
    return std::move(fit_);
  }

 private:
  // One line about a tensor of the checkpoint, by the name that it has there.
  absl::Status Wrong(size_t file, const TensorEntry& tensor, absl::string_view what) const {
    return absl::InvalidArgumentError(
        absl::StrCat(files_[file].path(), ": tensor ", Printable(tensor.name()), " ", what));
  }

  absl::Status Place(size_t file, const TensorEntry& stored) {
    CheckpointFit::Source source = {file, stored};
    std::string name = naming_.Canonical(stored.name());
    if (tied_ && name == kHead) {
      if (has_embedding_) {
        fit_.tied_head = source;
        fit_.tied_head->tensor.set_name(name);
        return absl::OkStatus();
      }
      name = std::string(kEmbedding);
    }
    source.tensor.set_name(name);
    if (!wanted_.contains(name)) {
      if (IsBuffer(name)) {
        LeaveOut(stored.name());
        return absl::OkStatus();
      }
      return Wrong(file, stored, "is not part of the model that config.json describes");
    }
    return Take(std::move(source), stored);
  }

  absl::Status Take(CheckpointFit::Source source, const TensorEntry& stored) {
    const std::string& name = source.tensor.name();
    if (!found_.emplace(name, true).second) {
      return Wrong(source.file, stored, absl::StrCat("is given twice, as ", name));
    }
    const TensorEntry& wanted = wanted_.at(name);
    if (!SameShape(stored, wanted)) {
      return Wrong(
          source.file, stored,
          absl::StrCat("has shape ", ShapeOf(stored), ", config.json asks for ", ShapeOf(wanted)));
    }
    if (!DtypeBytes(stored.dtype())) {
      return Wrong(source.file, stored,
                   absl::StrCat("has type ", stored.dtype(), "; F32, BF16 and F16 are read"));
    }
    fit_.tensors.push_back(std::move(source));
    return absl::OkStatus();
  }

  absl::Status CheckTiedHead() {
    if (!fit_.tied_head.has_value()) return absl::OkStatus();
    const auto& [file, head] = *fit_.tied_head;
    const TensorEntry& embedding = wanted_.at(std::string(kEmbedding));
    if (!SameShape(head, embedding)) {
      return Wrong(file, head,
                   absl::StrCat("has shape ", ShapeOf(head), ", the embedding, to which ",
                                "config.json ties it, has ", ShapeOf(embedding)));
    }
    LeaveOut(std::string(kHead) + ", which is tied to the embedding");
    return absl::OkStatus();
  }

  // Tensors that differ in the number of their layer alone are listed once.
  void LeaveOut(absl::string_view name) {
    std::string kind;
    for (const char c : Printable(name)) {
      const bool digit = c >= '0' && c <= '9';
      if (!digit || kind.empty() || kind.back() != '*') kind.push_back(digit ? '*' : c);
    }
    ++left_out_[kind];
  }

  const absl::Span<const SafetensorsFile> files_;
  const bool tied_;
  const Naming naming_;
  bool has_embedding_ = false;
  std::vector<std::string> order_;
  absl::flat_hash_map<std::string, TensorEntry> wanted_;
  absl::flat_hash_map<std::string, bool> found_;
  std::map<std::string, int> left_out_;
  CheckpointFit fit_;
};

}  // namespace

absl::StatusOr<CheckpointFit> FitCheckpoint(const ModelConfig& config,
                                            absl::Span<const SafetensorsFile> files,
                                            const std::string& listing) {
  return Fitter(config, files).Run(listing);
}

}  // namespace reckon
