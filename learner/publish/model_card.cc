#include "learner/publish/model_card.h"

#include <algorithm>
#include <filesystem>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/config/config.h"
#include "common/config/stage_info.h"
#include "common/model/files/manifest.h"
#include "common/text/json.h"
#include "google/protobuf/text_format.h"

namespace reckon {
namespace {

constexpr char kMark[] =
    "<!-- Written by Reckon, which brings it up to date. Remove this line to keep your own. -->";

// The front matter's lines; none when there is no front matter.
std::vector<std::string> FrontMatter(absl::string_view card) {
  std::vector<std::string> lines = absl::StrSplit(card, '\n');
  if (lines.empty() || absl::StripAsciiWhitespace(lines[0]) != "---") return {};
  for (size_t i = 1; i < lines.size() && i < 1000; ++i) {
    if (absl::StripAsciiWhitespace(lines[i]) != "---") continue;
    return {lines.begin() + 1, lines.begin() + static_cast<int64_t>(i)};
  }
  return {};
}

// The lines of some keys, with what is indented or listed under them, as they are.
std::string CarriedLines(absl::string_view card) {
  std::string carried;
  bool inside = false;
  for (const std::string& line : FrontMatter(card)) {
    const bool nested = absl::StartsWith(line, " ") || absl::StartsWith(line, "- ");
    if (!nested) {
      inside = false;
      for (const char* key : {"license:", "license_name:", "license_link:", "language:"}) {
        inside |= absl::StartsWith(line, key);
      }
    }
    if (inside) absl::StrAppend(&carried, absl::StripTrailingAsciiWhitespace(line), "\n");
  }
  return carried;
}

bool IsHubName(absl::string_view name) {
  const std::vector<std::string> parts = absl::StrSplit(name, '/');
  return parts.size() == 2 && !parts[0].empty() && !parts[1].empty() && parts[0] != "." &&
         parts[0] != ".." && name.size() <= 96 && std::all_of(name.begin(), name.end(), [](char c) {
           return absl::ascii_isalnum(c) || absl::StrContains("-_./", c);
         });
}

// A text as YAML, in JSON's form, which is YAML as well.
std::string Quoted(absl::string_view text) {
  return nlohmann::json(std::string(text))
      .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

// A text in a cell of a table or in a title.
std::string Cell(absl::string_view text) {
  return absl::StrReplaceAll(text, {{"\n", " "}, {"|", "\\|"}});
}

std::string FileName(const std::string& path) {
  return path == "builtin" || path.empty() ? path : std::filesystem::path(path).filename().string();
}

std::string DataName(const std::string& path) {
  return path == "builtin" ? "Reckon's built-in word problems" : FileName(path);
}

std::string Digest(const RunInputs& inputs, absl::string_view setting) {
  for (const RunInputs::File& file : inputs.files()) {
    if (file.name() == setting) return absl::StrCat(" (SHA-256 `", file.sha256(), "`)");
  }
  return "";
}

std::string Percent(const Estimate& estimate) {
  return absl::StrFormat("%.1f %% (%.1f to %.1f)", 100 * estimate.value(), 100 * estimate.low(),
                         100 * estimate.high());
}

std::string ModelIndex(const ModelCard& card, const Evaluation& evaluation) {
  const std::string data = Quoted(DataName(card.config.data().eval()));
  std::string text = absl::StrCat(
      "model-index:\n- name: ", Quoted(absl::StrCat(card.config.name(), "/", card.name)),
      "\n  results:\n  - task:\n      type: text-generation\n    dataset:\n      type: ", data,
      "\n      name: ", data, "\n    metrics:\n");
  const auto add = [&text](const std::string& name, const Estimate& value) {
    absl::StrAppendFormat(&text, "    - type: accuracy\n      name: %s\n      value: %.4f\n",
                          Quoted(name), value.value());
  };
  add("maj@1", evaluation.maj_at_1());
  const std::string k = absl::StrCat(evaluation.samples());
  if (evaluation.has_maj_at_k()) add("maj@" + k, evaluation.maj_at_k());
  if (evaluation.has_pass_at_k()) add("pass@" + k, evaluation.pass_at_k());
  if (evaluation.has_rerank_at_k()) add("rerank@" + k, evaluation.rerank_at_k());
  return text;
}

std::string EvaluationTable(const ModelCard& card) {
  std::string text = absl::StrCat(
      "## Evaluation\n\nOn ", DataName(card.config.data().eval()), Digest(card.inputs, "data.eval"),
      ", with 95 % bootstrap intervals over problems.\n\n| weights | problems | maj@1 | samples | "
      "maj@K | pass@K | rerank@K |\n| --- | --- | --- | --- | --- | --- | --- |\n");
  for (const Evaluation& each : card.evaluations) {
    const auto cell = [](bool has, const Estimate& value) { return has ? Percent(value) : "-"; };
    absl::StrAppend(&text, "| ", each.version() == card.version ? "this model" : each.name(), " | ",
                    each.problems(), " | ", Percent(each.maj_at_1()), " | ",
                    each.samples() > 0 ? absl::StrFormat("K = %d at temperature %g", each.samples(),
                                                         each.temperature())
                                       : "-",
                    " | ", cell(each.has_maj_at_k(), each.maj_at_k()), " | ",
                    cell(each.has_pass_at_k(), each.pass_at_k()), " | ",
                    cell(each.has_rerank_at_k(), each.rerank_at_k()), " |\n");
  }
  return text + "\n";
}

// The settings of the stages that led to the version, as a config has them.
std::string Stages(const ModelCard& card) {
  google::protobuf::TextFormat::Printer printer;
  printer.SetUseUtf8StringEscaping(true);
  RunConfig stages;
  for (int i = 0; i <= card.stage && i < card.config.stage_size(); ++i) {
    *stages.add_stage() = card.config.stage(i);
  }
  std::string text;
  printer.PrintToString(stages, &text);
  return text;
}

std::string Title(const ModelCard& card) {
  const std::string name = absl::StrCat(card.config.name(), "/", card.name);
  switch (card.kind) {
    case ModelCard::Kind::kAdapter:
      return absl::StrCat(name, ", an adapter");
    case ModelCard::Kind::kRewardModel:
      return absl::StrCat(name, ", a reward model");
    case ModelCard::Kind::kModel:
      break;
  }
  return name;
}

std::string Base(const ModelCard& card) {
  if (card.config.stage_size() > 0 && card.config.stage(0).has_init()) {
    return "random weights, and a vocabulary of the training data";
  }
  return absl::StrCat(card.base_id.empty() ? FileName(card.config.model().path()) : card.base_id,
                      Digest(card.inputs, "model.path"));
}

}  // namespace

std::string FormatModelCard(const ModelCard& card) {
  const RunConfig& config = card.config;
  const bool adapter = card.kind == ModelCard::Kind::kAdapter;
  std::string text = absl::StrCat("---\nlibrary_name: ", adapter ? "peft" : "transformers", "\n");
  if (card.kind != ModelCard::Kind::kRewardModel)
    absl::StrAppend(&text, "pipeline_tag: text-generation\n");
  absl::StrAppend(&text, CarriedLines(card.base_card));
  if (!card.base_id.empty()) {
    absl::StrAppend(&text, "base_model: ", card.base_id,
                    "\nbase_model_relation: ", adapter ? "adapter" : "finetune", "\n");
  }
  absl::StrAppend(&text, "tags:\n- reckon\n- reasoning\n");
  std::set<std::string> kinds;
  std::string algorithms;
  for (int i = 0; i <= card.stage && i < config.stage_size(); ++i) {
    const StageInfo info(config.stage(i));
    if (!info.trains()) continue;
    if (kinds.insert(info.kind()).second) absl::StrAppend(&text, "- ", info.kind(), "\n");
    absl::StrAppend(&algorithms, algorithms.empty() ? "" : "; ", config.stage(i).name(), ": ",
                    info.traits().title());
  }
  if (adapter) absl::StrAppend(&text, "- lora\n");
  const Evaluation* own = nullptr;
  for (const Evaluation& each : card.evaluations) {
    if (each.version() == card.version) own = &each;
  }
  if (own != nullptr) absl::StrAppend(&text, ModelIndex(card, *own));
  absl::StrAppend(&text, "---\n", kMark, "\n\n# ", Cell(Title(card)), "\n\n");
  absl::StrAppend(&text, "| | |\n| --- | --- |\n", "| made by | Reckon ", RECKON_VERSION, " |\n",
                  "| from | ", Cell(Base(card)), " |\n", "| by | ", Cell(algorithms), " |\n",
                  "| training data | ", Cell(DataName(config.data().train())),
                  Digest(card.inputs, "data.train"), " |\n", "| sampled for training | ",
                  absl::StrFormat("%.0f samples, %.0f tokens", card.samples, card.tokens), " |\n",
                  "| run | ", Cell(config.name()), ", seed ", config.seed(), " |\n",
                  "| config | SHA-256 `", absl::BytesToHexString(Sha256(FormatConfig(config))),
                  "` of the run's `config.textproto` |\n\n");
  if (!card.evaluations.empty()) absl::StrAppend(&text, EvaluationTable(card));
  absl::StrAppend(
      &text, "## Again\n\nThe run's folder has its whole config. With the same Reckon, ",
      "data and model, and on the same kind of CPU, this gives the same weights:\n\n```\n",
      "reckon train config.textproto\n```\n\nIts stages up to this model:\n\n", "```textproto\n",
      Stages(card), "```\n");
  return text;
}

bool IsModelCard(absl::string_view text) { return absl::StrContains(text, kMark); }

std::string HubName(absl::string_view config_json, absl::string_view card) {
  if (const auto config = ParseJson(config_json); config.ok()) {
    const auto name = GetStringOr(*config, "_name_or_path", "");
    if (name.ok() && IsHubName(*name)) return *name;
  }
  for (const std::string& line : FrontMatter(card)) {
    absl::string_view name = line;
    if (!absl::ConsumePrefix(&name, "base_model:")) continue;
    name = absl::StripAsciiWhitespace(name);
    if (IsHubName(name)) return std::string(name);
  }
  return "";
}

}  // namespace reckon
