#include "cli/commands/model_facts.h"

#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/config/fields.h"
#include "common/config/stage_info.h"
#include "common/model/files/manifest.h"
#include "common/model/files/model_folder.h"
#include "common/model/init/init_model.h"
#include "common/task/dataset/dataset.h"
#include "common/task/prompt/askable.h"
#include "common/task/prompt/model_text.h"
#include "common/task/prompt/overlong.h"
#include "common/task/prompt/prompt_format.h"
#include "common/task/reward/own_rewards.h"
#include "common/text/chat_template.h"
#include "common/text/tokenizer.h"

namespace reckon {
namespace {

absl::StatusOr<ModelConfig> ReadShape(const std::string& folder, const std::string& text) {
  absl::StatusOr<ModelConfig> shape = ModelConfig::Parse(text);
  if (shape.ok()) return shape;
  return absl::InvalidArgumentError(
      absl::StrCat("model.path: ", folder, "/config.json: ", shape.status().message()));
}

absl::Status CheckLabel(const Tokenizer& tokenizer, const TextField& field) {
  ASSIGN_OR_RETURN(const std::vector<uint32_t> ids,
                   tokenizer.Encode(field.value, /*parse_special=*/true));
  const size_t tokens = ids.size();
  if (tokens == 1) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(field.path, ": the tokenizer splits '",
                                                 field.value, "' into ", tokens,
                                                 " tokens; choose a label that is one token"));
}

// Strings of the config that depend on the model: labels, and reward models in folders. A reward
// model of a stage of this run is made from the policy and fits.
absl::Status CheckModelTexts(const RunConfig& config, const FolderTexts& model) {
  if (const DataSettings& data = config.data(); data.format() == DataSettings::CHAT) {
    RETURN_IF_ERROR(
        ChatTemplate::Create(model.tokenizer_config_json(), data.chat_template_kwargs()).status());
  }
  std::unique_ptr<Tokenizer> tokenizer;
  return VisitTexts(config, "", [&](const TextField& field) -> absl::Status {
    if (field.kind == Text::REWARD_MODEL && IsFolder(field.value)) {
      return CheckRewardModel(field.path, field.value, model);
    }
    if (field.kind != Text::TOKEN) return absl::OkStatus();
    if (tokenizer == nullptr) {
      ASSIGN_OR_RETURN(tokenizer,
                       Tokenizer::Create(model.tokenizer_json(), model.tokenizer_model()));
    }
    return CheckLabel(*tokenizer, field);
  });
}

}  // namespace

absl::Status CheckRewardModel(const std::string& key, const std::string& folder,
                              const FolderTexts& policy) {
  absl::StatusOr<ModelListing> listing = ReadModelListing(folder);
  if (!listing.ok()) {
    return absl::Status(listing.status().code(),
                        absl::StrCat(key, ": ", listing.status().message()));
  }
  if (!SameTokens(listing->manifest.texts(), policy)) {
    return absl::InvalidArgumentError(
        absl::StrCat(key, ": ", folder, " has another tokenizer than the policy; use a reward ",
                     "model that an orm stage trained from this policy"));
  }
  if (std::error_code error; std::filesystem::exists(folder + "/reward_head.json", error)) {
    return absl::OkStatus();
  }
  return absl::NotFoundError(
      absl::StrCat(key, ": ", folder, " has no reward_head.json; give a folder that an orm stage ",
                   "wrote, <run>/orm/<stage>"));
}

absl::StatusOr<ModelFacts> InspectModel(const RunConfig& config) {
  const std::string& path = config.model().path();
  ModelListing listing;
  if (HasInit(config)) {
    ASSIGN_OR_RETURN(listing.manifest, InitManifest(config));
  } else {
    absl::StatusOr<ModelListing> read = ReadModelListing(path, config.model().base());
    if (!read.ok()) {
      return absl::Status(read.status().code(),
                          absl::StrCat("model.path: ", read.status().message()));
    }
    listing = *std::move(read);
  }
  RETURN_IF_ERROR(CheckModelTexts(config, listing.manifest.texts()));
  ModelFacts facts;
  ASSIGN_OR_RETURN(facts.shape, ReadShape(path, listing.manifest.texts().config_json()));
  facts.weight_bytes = listing.manifest.total_bytes();
  facts.notes = std::move(listing.notes);
  return facts;
}

absl::StatusOr<ModelFacts> InspectShape(const RunConfig& config) {
  const std::string& path = config.model().path();
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path + "/config.json"));
  ModelFacts facts;
  ASSIGN_OR_RETURN(facts.shape, ReadShape(path, text));
  facts.weight_bytes = 2 * static_cast<uint64_t>(ParameterCount(facts.shape));
  return facts;
}

absl::StatusOr<DataFacts> InspectData(const RunConfig& config) {
  DataFacts facts;
  const AnswerUse use = AnswerUseOf(config);
  absl::StatusOr<Dataset> train = LoadDataset(config.data(), Split::kTrain, use);
  absl::StatusOr<Dataset> eval = LoadDataset(config.data(), Split::kEval, use);
  RETURN_IF_ERROR(BothRefusals(train.status(), eval.status()));
  facts.train_problems = std::move(train->problems);
  facts.eval_problems = std::move(eval->problems);
  facts.notes = std::move(train->notes);
  facts.notes.insert(facts.notes.end(), eval->notes.begin(), eval->notes.end());
  const size_t limit = config.eval().limit();
  if (limit > 0 && facts.eval_problems.size() > limit) facts.eval_problems.resize(limit);
  facts.train = static_cast<int64_t>(facts.train_problems.size());
  facts.eval = static_cast<int64_t>(facts.eval_problems.size());
  return facts;
}

absl::StatusOr<std::vector<std::string>> CheckPromptsFit(const RunConfig& config,
                                                         const DataFacts& data) {
  std::vector<std::string> notes;
  if (HasInit(config)) return notes;
  ASSIGN_OR_RETURN(const ModelListing listing,
                   ReadModelListing(config.model().path(), config.model().base()));
  ASSIGN_OR_RETURN(const ModelConfig shape,
                   ModelConfig::Parse(listing.manifest.texts().config_json()));
  std::vector<Problem> train = data.train_problems, eval = data.eval_problems;
  ASSIGN_OR_RETURN(const ModelText text, LoadModelText(listing.manifest.texts(), config.data()));
  ASSIGN_OR_RETURN(
      const PromptFormatter formatter,
      MakeFormatter(text, config.data().format(), FirstExamples(config.data(), train)));
  BadRecords left_out;
  const DataSettings::Bad::Records rule = config.data().bad_records();
  RETURN_IF_ERROR(KeepAskable(formatter, rule, "data.train", &train, &left_out));
  RETURN_IF_ERROR(KeepAskable(formatter, rule, "data.eval", &eval, &left_out));
  if (!left_out.empty()) {
    notes.push_back(absl::StrCat(left_out.count(), " problems cannot be asked and are left out"));
    for (std::string& line : left_out.Lines()) notes.push_back(std::move(line));
  }
  const auto check = [&](const std::string& setting, const std::vector<Problem>& problems,
                         const std::string& key, int64_t new_tokens) -> absl::Status {
    const OverlongProblems overlong =
        FindOverlong(problems, shape.max_positions, [&](const Problem& problem) {
          return PromptTokens(formatter, problem, shape.max_positions - new_tokens) + new_tokens;
        });
    if (config.data().overlong_problems() == DataSettings::REFUSE) {
      return RefuseOverlong(setting, problems, overlong,
                            absl::StrCat("the model's ", shape.max_positions, " positions"),
                            absl::StrCat("prompt and ", key, " ", new_tokens),
                            "lower that, or set data.overlong_problems: COUNT_WRONG (left out of "
                            "training, wrong in evaluations)");
    }
    if (overlong.indices.empty()) return absl::OkStatus();
    notes.push_back(absl::StrCat(
        setting, ": ", overlong.indices.size(), " of ", problems.size(),
        " problems do not fit into the model's ", shape.max_positions, " positions with ", key, " ",
        new_tokens, setting == "data.eval" ? ", and count as wrong" : ", and are left out"));
    for (std::string& line : overlong.named.Lines()) notes.push_back(std::move(line));
    return absl::OkStatus();
  };
  RETURN_IF_ERROR(check("data.eval", eval, "eval.max_new_tokens", config.eval().max_new_tokens()));
  std::string key;
  int64_t most = 0;  // of all stages
  for (const Stage& stage : config.stage()) {
    const StageInfo info(stage);
    if (info.sampling() == nullptr || info.sampling()->max_new_tokens() <= most) continue;
    most = info.sampling()->max_new_tokens();
    key = info.kind() + ".sampling.max_new_tokens";
  }
  if (most > 0) RETURN_IF_ERROR(check("data.train", train, key, most));
  return notes;
}

std::optional<DataFacts> PublishedSizes(const RunConfig& config) {
  DataFacts facts;
  auto lines = [](absl::string_view path) -> int64_t {
    for (const auto& [name, count] :
         {std::pair("gsm8k/train.jsonl", 7473), std::pair("gsm8k/test.jsonl", 1319),
          std::pair("svamp/mawps-asdiv-a_train.csv", 3138), std::pair("svamp/SVAMP.json", 1000)}) {
      if (absl::EndsWith(path, name)) return count;
    }
    return 0;
  };
  auto at_most = [](int64_t count, uint32_t limit) {
    return limit == 0 ? count : std::min<int64_t>(count, limit);
  };
  facts.train = at_most(lines(config.data().train()), config.data().limit_train());
  facts.eval = at_most(lines(config.data().eval()), config.eval().limit());
  if (facts.train == 0 || facts.eval == 0) return std::nullopt;
  return facts;
}

}  // namespace reckon
