#ifndef RECKON_CLI_LAUNCHER_LOCAL_SESSION_H_
#define RECKON_CLI_LAUNCHER_LOCAL_SESSION_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/notification.h"
#include "common/base/stop.h"
#include "common/model/transfer/server.h"
#include "common/net/plan_client.h"
#include "common/net/plan_run.h"
#include "common/net/plan_watch.h"
#include "common/task/dataset/problem.h"
#include "common/task/prompt/model_text.h"
#include "common/task/prompt/prompt_format.h"
#include "proto/config.pb.h"
#include "proto/coordinator.grpc.pb.h"

namespace reckon {

// What `reckon eval` and `reckon score` have in common: a model, problems, and how they are asked.
// Defaults are those of the schema.
struct ProblemOptions {
  std::string model;             // folder
  std::string base;              // of an adapter folder: its base model; empty: what it names
  std::string data;              // file, or "builtin"
  std::string examples;          // file of the few-shot examples; empty: the first problems of data
  std::string format = "plain";  // or "chat", "few-shot"
  std::string system_prompt, chat_template_kwargs;  // of the format chat; see DataSettings
  std::string question_key = DataSettings().question_key();
  std::string answer_key = DataSettings().answer_key();
  std::string body_key;
  std::string answers = "numbers";  // or "boxed", "text"; see DataSettings
  uint32_t few_shot = DataSettings().few_shot_examples();
  uint32_t limit = 0;   // number of problems used; 0: all
  std::string command;  // of a reward of the user's own, which plans may use; empty: none
  // What happens to problems that do not fit into the model's context: "refuse", or "count-wrong".
  std::string overlong = "refuse";
  std::string bad_records = "refuse";  // or "leave-out"; see DataSettings
  uint32_t threads = RoleResources().cpus();
  uint32_t max_batch = ActorSettings().max_batch();
  uint32_t kv_cache_mib = ActorSettings().kv_cache_mib();
  bool fp32 = false;
};

// Runs plans outside of a training run: a coordinator and one actor in a temporary folder, and this
// process as the source of weight version 0.
//
//   Start      loads model and problems, starts the processes, publishes the weights
//   Run        runs one plan over all problems; may be called several times
//   ~          stops the processes and deletes the folder, except after a failure
//
// The processes belong to a thread of the session, because a child is killed when the thread that
// started it ends (process.h). When they cannot be kept running, calls in progress end and return
// the supervisor's error with the last lines of the log; after a stop they return CANCELLED. Used
// by one thread.
class LocalSession {
 public:
  // What is put into the model's context beside a problem's prompt, for --overlong.
  struct ContextNeed {
    std::string what;  // for the error: "--max-new-tokens 256"
    std::function<int64_t(const PromptFormatter&, const Problem&)> tokens;
  };
  static absl::StatusOr<std::unique_ptr<LocalSession>> Start(const ProblemOptions& options,
                                                             const ContextNeed& need,
                                                             std::stop_token stop);
  ~LocalSession();
  LocalSession(const LocalSession&) = delete;
  LocalSession& operator=(const LocalSession&) = delete;

  const std::vector<Problem>& problems() const { return problems_; }
  // Those that do not fit and count as wrong; not among problems().
  const std::vector<Problem>& overlong() const { return overlong_; }
  const PromptFormatter& formatter() const { return *formatter_; }
  const Tokenizer& tokenizer() const { return *text_.tokenizer; }
  // What of the model's folder and of the data was left out or renamed, a line each.
  const std::vector<std::string>& notes() const { return notes_; }
  const std::string& folder() const { return folder_; }

  // A plan of version 0 with the stop tokens and strings of the formatter. The caller adds samples,
  // sampling and rewards.
  PlanSpec MakeSpec(const std::string& name) const;

  // Runs a plan over the problems; group i is problem i. `prepare` may add to each work item;
  // `each` gets the batches; `show` is that of PlanWatch. FAILED_PRECONDITION when the plan cannot
  // continue (plan_health.h).
  absl::Status Run(const PlanSpec& spec,
                   const std::function<void(const Problem&, WorkItem*)>& prepare,
                   const std::function<absl::Status(const Batch&)>& each,
                   const std::function<void(const PlanView&)>& show);

 private:
  LocalSession() = default;
  absl::Status LoadProblemsAndText(const ProblemOptions& options);
  absl::Status ApplyOverlongRule(const ProblemOptions& options, const ContextNeed& need);
  absl::Status StartRoles(const ProblemOptions& options);
  absl::Status Publish();
  void Supervise(const RunConfig& config);
  // Replaces the status of a call that ended because the session did by the reason.
  absl::Status Explain(absl::Status status);

  struct RequestStop {
    std::stop_source source;
    void operator()() { source.request_stop(); }
  };
  std::stop_token stop_;     // of the program
  std::stop_source ending_;  // of the session: the program stops, or the processes have failed
  std::optional<std::stop_callback<RequestStop>> forward_stop_;  // from stop_ to ending_
  std::string folder_;
  std::vector<Problem> problems_, overlong_;
  std::vector<std::string> notes_;
  ModelText text_;
  std::optional<PromptFormatter> formatter_;
  Weights weights_;
  std::unique_ptr<WeightServer> server_;
  std::jthread thread_;         // runs Supervise; joined by the destructor
  absl::Notification started_;  // status_ and address_ are set
  absl::Notification ended_;    // status_ is final
  absl::Status status_;
  std::string address_;
  std::unique_ptr<Coordinator::Stub> stub_;
  std::unique_ptr<PlanClient> plans_;
};

}  // namespace reckon

#endif  // RECKON_CLI_LAUNCHER_LOCAL_SESSION_H_
