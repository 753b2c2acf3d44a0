#ifndef RECKON_LEARNER_PUBLISH_MODEL_CARD_H_
#define RECKON_LEARNER_PUBLISH_MODEL_CARD_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "proto/checkpoint.pb.h"
#include "proto/config.pb.h"
#include "proto/report.pb.h"

namespace reckon {

// What an exported folder says of how it was made: README.md with the front matter of the Hugging
// Face hub, in YAML. Model and data are named by their file names and digests, without the paths of
// the machine, since folders are published.
struct ModelCard {
  enum class Kind { kModel, kAdapter, kRewardModel };
  Kind kind = Kind::kModel;
  RunConfig config;      // of the run, resolved
  std::string name;      // of the version, as its folder: "ei_1_round_2"
  uint64_t version = 0;  // of the weights, as evaluations name it
  int64_t stage = 0;     // of the config, that has made it
  // README.md of the model that the run began with, whose licence and languages hold for what is
  // made of it; empty: there is none.
  std::string base_card;
  std::string base_id;                  // its name on a hub; empty: not known
  RunInputs inputs;                     // of the run
  double samples = 0, tokens = 0;       // sampled for training until then
  std::vector<Evaluation> evaluations;  // of this version and, before it, of the run's start
};

// Equal cards give equal texts.
std::string FormatModelCard(const ModelCard& card);

// Whether FormatModelCard wrote it, and nobody has made it their own since by removing the line
// that says so.
bool IsModelCard(absl::string_view text);

// The hub's name of a model, from its config.json ("_name_or_path") or its README.md's front matter
// ("base_model"); empty: neither has one of the form OWNER/NAME.
std::string HubName(absl::string_view config_json, absl::string_view card);

}  // namespace reckon

#endif  // RECKON_LEARNER_PUBLISH_MODEL_CARD_H_
