#ifndef RECKON_CLI_LOCAL_SESSION_H_
#define RECKON_CLI_LOCAL_SESSION_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/notification.h"
#include "cli/commands.h"
#include "common/base/stop_token.h"
#include "common/plan/plan_client.h"
#include "common/task/format.h"
#include "common/task/problem.h"
#include "common/text/chat_template.h"
#include "common/text/tokenizer.h"
#include "common/weights/transfer.h"
#include "proto/coordinator.grpc.pb.h"

namespace reckon {

// A coordinator and one actor in a temporary folder, serving one model folder as weight version 0:
// what `reckon eval` and `reckon score` ask. Owns the processes, which a thread of its own
// supervises. When they cannot be kept running, or the program is stopped, plans end with
// CANCELLED and `Explain` says why. The folder is deleted at the end, except after a failure.
class LocalSession {
 public:
  static absl::StatusOr<std::unique_ptr<LocalSession>> Start(const ProblemOptions& options,
                                                             const StopToken* stop);
  ~LocalSession();
  LocalSession(const LocalSession&) = delete;
  LocalSession& operator=(const LocalSession&) = delete;

  const std::vector<Problem>& problems() const { return problems_; }
  const PromptFormatter& formatter() const { return *formatter_; }
  const Tokenizer& tokenizer() const { return *tokenizer_; }
  const std::string& folder() const { return folder_; }

  // A plan of version 0 with the formatter's stops; name, samples and sampling are the caller's.
  PlanSpec MakeSpec(const std::string& name) const;

  // Runs a plan over the problems, group i being problem i; `prepare` may add to each item. Batches
  // come in key order.
  absl::Status Run(const PlanSpec& spec,
                   const std::function<void(const Problem&, WorkItem*)>& prepare,
                   const std::function<absl::Status(const Batch&)>& each);

  // Samples and tokens that a running plan has so far. From any thread.
  absl::StatusOr<PlanStatus> Progress(const std::string& plan) const;

 private:
  LocalSession() = default;
  absl::Status LoadProblemsAndText(const ProblemOptions& options);
  absl::Status StartRoles(const ProblemOptions& options);
  absl::Status Publish();
  void Supervise(const RunConfig& config);
  absl::Status Explain(absl::Status status);

  const StopToken* stop_ = nullptr;  // the program's
  StopToken inner_;                  // this session's: the program's, or the roles have failed
  std::string folder_;
  std::vector<Problem> problems_;
  std::unique_ptr<Tokenizer> tokenizer_;
  std::optional<ChatTemplate> chat_;
  std::optional<PromptFormatter> formatter_;
  Weights weights_;
  std::unique_ptr<WeightServer> server_;
  std::thread thread_;
  absl::Notification started_;  // status_ and address_ are set
  absl::Notification ended_;    // status_ is final
  absl::Status status_;
  std::string address_;
  std::unique_ptr<Coordinator::Stub> stub_;
  std::unique_ptr<PlanClient> plans_;
};

}  // namespace reckon

#endif  // RECKON_CLI_LOCAL_SESSION_H_
