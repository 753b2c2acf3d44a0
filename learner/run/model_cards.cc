#include "learner/run/model_cards.h"

#include <filesystem>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/text/message_json.h"
#include "learner/evaluate/evaluation_files.h"

namespace reckon {
namespace {

constexpr char kCard[] = "README.md";
constexpr char kBaseCard[] = "README.base.md";
constexpr char kAdapterCard[] = "adapter/README.md";

std::string BaseCard(const RunState& run) {
  const auto found = run.base.side_files.find(kCard);
  return found == run.base.side_files.end() ? "" : found->second;
}

ModelCard CardOf(const LeaderContext& leader, ModelCard::Kind kind, const std::string& name) {
  const RunState& run = leader.run;
  ModelCard card;
  card.kind = kind;
  card.config = run.config;
  card.name = name;
  card.version = run.cursor.version();
  card.stage = run.cursor.stage();
  card.base_card = BaseCard(run);
  card.base_id = HubName(run.base.manifest.texts().config_json(), card.base_card);
  card.samples = run.reporter->samples();
  card.tokens = run.reporter->tokens();
  // A card without what cannot be read is better than no model.
  if (const auto inputs = ReadFile(run.run_dir + "/inputs.json"); inputs.ok()) {
    MessageFromJson(*inputs, &card.inputs).IgnoreError();
  }
  if (kind == ModelCard::Kind::kRewardModel) return card;
  if (const auto evaluations = ReadEvaluations(run.run_dir); evaluations.ok()) {
    for (const Evaluation& each : *evaluations) {
      if (each.version() == 0 || each.version() == card.version) card.evaluations.push_back(each);
    }
  }
  return card;
}

}  // namespace

void AddModelCards(const LeaderContext& leader, ModelCard::Kind kind, const std::string& name,
                   SideFiles* side_files) {
  if (const std::string base = BaseCard(leader.run); !base.empty()) {
    (*side_files)[kBaseCard] = base;
  }
  (*side_files)[kCard] = FormatModelCard(CardOf(leader, kind, name));
  if (side_files->contains("adapter/adapter_config.json")) {
    (*side_files)[kAdapterCard] = FormatModelCard(CardOf(leader, ModelCard::Kind::kAdapter, name));
  }
}

absl::Status UpdateModelCards(const LeaderContext& leader) {
  const RunState& run = leader.run;
  if (run.cursor.version() == 0) return absl::OkStatus();  // the user's own folder, or the first
  // The folder may be being written, with the card that it was given before the evaluation.
  if (run.writer != nullptr) run.writer->Await();
  const std::string& name = run.cursor.folders(static_cast<int>(run.cursor.version()) - 1);
  for (const auto& [file, kind] : {std::pair(kCard, ModelCard::Kind::kModel),
                                   std::pair(kAdapterCard, ModelCard::Kind::kAdapter)}) {
    const std::string path = absl::StrCat(run.run_dir, "/weights/", name, "/", file);
    const absl::StatusOr<std::string> there = ReadFile(path);
    if (!there.ok() || !IsModelCard(*there)) continue;
    RETURN_IF_ERROR(WriteFileAtomically(path, FormatModelCard(CardOf(leader, kind, name))));
  }
  return absl::OkStatus();
}

}  // namespace reckon
