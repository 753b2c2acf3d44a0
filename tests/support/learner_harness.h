#ifndef RECKON_TESTS_SUPPORT_LEARNER_HARNESS_H_
#define RECKON_TESTS_SUPPORT_LEARNER_HARNESS_H_

#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "common/testing/temp_folder.h"
#include "learner/learner.h"
#include "tests/support/in_process_coordinator.h"
#include "tests/support/scripted_actor.h"

namespace reckon {

// What the actor of LearnerHarness answers: of three samples of a training prompt the first two are
// equal and right, the third is right and differs by round in even groups, and wrong in odd ones.
Rollout Answer(const PlanSpec& spec, const Lease& lease, uint32_t sample);

// A coordinator and its only actor.
struct Cluster {
  explicit Cluster(ScriptedActor::Script script = Answer)
      : actor(coordinator.address(), "a", std::move(script)) {}

  absl::Status Run(const LearnerOptions& options, std::stop_token stop) {
    return RunLearner(options, coordinator.NewStub(), stop);
  }

  InProcessCoordinator coordinator;
  ScriptedActor actor;
};

// For tests of whole runs of the learner: a tiny model, a config of SFT and two rounds of expert
// iteration on 10 built-in problems, and a cluster. Runs are folders in `root_`.
class LearnerHarness : public testing::Test {
 protected:
  LearnerHarness();

  // Writes a config of another name, for Options.
  void WriteConfig(const std::string& name, const std::string& text);
  LearnerOptions Options(const std::string& run, std::vector<std::string> overrides = {},
                         const std::string& name = "config");
  absl::Status Run(const LearnerOptions& options) {
    return cluster_.Run(options, stop_.get_token());
  }
  // Runs `world` ranks, of which the leader alone has config and run folder; all must end well, or
  // with another status. With a leader's turn_file, rank r has turn_file + "-r".
  void RunAsRanks(Cluster& cluster, int world, const LearnerOptions& leader,
                  absl::StatusCode ends = absl::StatusCode::kOk);
  // The run as it was when it had just written the checkpoint of `step`.
  void CopyUpTo(const std::string& run, int64_t step, const std::string& copy);

  std::string FinalWeights(const std::string& run);
  // The files of all models that a run has written, by their paths in its folder.
  std::map<std::string, std::string> AllWeights(const std::string& run);
  // The lines of metrics.jsonl; each name must be in docs/metrics.md.
  std::vector<nlohmann::json> Metrics(const std::string& run);
  std::vector<double> Losses(const std::string& run);

  const TempFolder temp_;
  const std::string& root_ = temp_.path();
  Cluster cluster_;
  InProcessCoordinator& coordinator_ = cluster_.coordinator;
  std::stop_source stop_;
};

// A config for WriteConfig: SFT, a reward model, return-conditioned RL, and expert iteration with
// the reward model.
inline constexpr char kReturnConditionedConfig[] = R"pb(
  base: "config.textproto"
  eval { samples: 3 orm: "orm_1" }
  stage { sft { limit: 6 } }
  stage {
    orm {
      samples_per_prompt: 3
      sampling { max_new_tokens: 200 }
      held_out: 0.3
    }
  }
  stage { rcrl { selection: "orm_1" orm: "orm_1" good_label: "^" bad_label: "~" threshold: 0.6 } }
  stage {
    ei {
      rounds: 1
      samples_per_prompt: 3
      sampling { max_new_tokens: 200 }
      reward {}
      reward { kind: ORM orm: "orm_1" }
      threshold: 1.01
    }
  }
)pb";

// A config for WriteConfig: the harness's, but with one stage of four steps of PPO.
inline constexpr char kOnlineConfig[] = R"pb(
  base: "config.textproto"
  stage {
    ppo {
      steps: 4
      prompts: 2
      samples_per_prompt: 3
      ppo_epochs: 2
      eval_every: 1
      sampling { max_new_tokens: 200 }
    }
  }
)pb";

}  // namespace reckon

#endif  // RECKON_TESTS_SUPPORT_LEARNER_HARNESS_H_
