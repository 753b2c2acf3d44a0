#ifndef RECKON_LEARNER_RUN_MODEL_CARDS_H_
#define RECKON_LEARNER_RUN_MODEL_CARDS_H_

#include <string>

#include "absl/status/status.h"
#include "common/model/files/side_files.h"
#include "learner/context/context.h"
#include "learner/publish/model_card.h"

namespace reckon {

// The cards of a run's folders (model_card.h): one is written with each folder, and again when its
// version was evaluated. README.md of the model that the run began with, which is carried along as
// every side file, becomes README.base.md. The leader's.

// Adds the card of a folder that is about to be written, of the cursor's version or of a reward
// model, and one in adapter/, if it has an adapter.
void AddModelCards(const LeaderContext& leader, ModelCard::Kind kind, const std::string& name,
                   SideFiles* side_files);

// Writes the cards of the cursor's version again, with its evaluations, where its folder exists.
// One that a user has made their own stays as it is. An error names the file.
absl::Status UpdateModelCards(const LeaderContext& leader);

}  // namespace reckon

#endif  // RECKON_LEARNER_RUN_MODEL_CARDS_H_
