// reckon-orm scores recorded rollouts with a reward model, for `reckon eval --orm`. It appends one
// line per rollout, so that the caller can show progress.

#include <ATen/Parallel.h>
#include <google/protobuf/io/zero_copy_stream_impl.h>
#include <google/protobuf/util/delimited_message_util.h>

#include <fstream>
#include <iostream>

#include "absl/flags/flag.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/program_flags.h"
#include "common/base/status_macros.h"
#include "common/base/thread_pool.h"
#include "common/model/device_memory.h"
#include "common/model/files/model_folder.h"
#include "common/model/torch_status.h"
#include "learner/experience/reward_model.h"
#include "learner/parallel/single.h"
// Last: LibTorch defines glog's macros too.
#include "common/base/log.h"

ABSL_FLAG(std::string, orm, "", "folder of the reward model, which an orm stage wrote");
ABSL_FLAG(std::string, model, "", "model folder of the policy");
ABSL_FLAG(std::string, base, "", "folder of its base model, if it is an adapter folder");
ABSL_FLAG(std::string, rollouts, "", "file of length-delimited Rollout messages");
ABSL_FLAG(std::string, scores, "", "file to write; lines of group, sample, probability");
ABSL_FLAG(int, threads, 0, "compute threads; 0: one per core");
ABSL_FLAG(int, micro_batch_tokens, 8192, "tokens of one forward pass");
ABSL_FLAG(std::string, compute, "bf16", "arithmetic of matrix products: bf16 or fp32");
ABSL_FLAG(std::string, device, "AUTO", "where to compute: AUTO, CPU or CUDA");

namespace reckon {
namespace {

constexpr size_t kScoredAtOnce = 256;  // rollouts in memory

absl::Status WriteScores(RewardModel* model, const std::vector<Rollout>& rollouts,
                         std::ofstream* out) {
  std::vector<Solution> solutions;
  for (const Rollout& rollout : rollouts) solutions.push_back(SolutionOf(rollout));
  ASSIGN_OR_RETURN(const TokenValues probabilities,
                   model->Score(*MakeSingle(), solutions, absl::GetFlag(FLAGS_micro_batch_tokens)));
  for (size_t i = 0; i < rollouts.size(); ++i) {
    const RolloutKey& key = rollouts[i].key();
    *out << absl::StrFormat("%d %d %.9g\n", key.group(), key.sample(), probabilities[i].back());
  }
  if (out->flush()) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrCat("cannot write ", absl::GetFlag(FLAGS_scores)));
}

absl::Status Run() {
  SetComputeThreads(absl::GetFlag(FLAGS_threads));
  at::set_num_threads(1);  // OpenMP's threads spin; the kernels have their own
  ASSIGN_OR_RETURN(const Backend backend, ChooseBackend(absl::GetFlag(FLAGS_device)));
  ASSIGN_OR_RETURN(const ModelListing policy,
                   ReadModelListing(absl::GetFlag(FLAGS_model), absl::GetFlag(FLAGS_base)));
  const bool fp32 = absl::GetFlag(FLAGS_compute) == "fp32";
  const std::string folder = absl::GetFlag(FLAGS_orm);
  std::unique_ptr<RewardModel> model;
  {
    ASSIGN_OR_RETURN(const RewardModel::Files files, RewardModel::Read(folder));
    ASSIGN_OR_RETURN(model, RewardModel::Create(files, folder, policy.manifest,
                                                fp32 ? Dtype::kFp32 : Dtype::kBf16, backend));
  }
  std::ifstream file(absl::GetFlag(FLAGS_rollouts), std::ios::binary);
  google::protobuf::io::IstreamInputStream in(&file);
  std::ofstream out(absl::GetFlag(FLAGS_scores));
  std::vector<Rollout> rollouts(1);
  bool end = false;
  while (google::protobuf::util::ParseDelimitedFromZeroCopyStream(&rollouts.back(), &in, &end)) {
    if (rollouts.size() == kScoredAtOnce) {
      RETURN_IF_ERROR(WriteScores(model.get(), rollouts, &out));
      rollouts.clear();
    }
    rollouts.emplace_back();
  }
  if (!end)
    return absl::DataLossError(absl::GetFlag(FLAGS_rollouts) + ": cannot be read, or is damaged");
  rollouts.pop_back();
  return WriteScores(model.get(), rollouts, &out);
}

}  // namespace
}  // namespace reckon

int main(int argc, char** argv) {
  reckon::PrepareHostMemory();
  reckon::ParseProgramFlags(argc, argv,
                            "reckon-orm --orm=DIR --model=DIR --rollouts=FILE --scores=FILE");
  reckon::InitLogging(argv[0]);
  const absl::Status status = reckon::CatchTorchErrors("reckon-orm", &reckon::Run);
  if (!status.ok()) std::cerr << "reckon-orm: " << status.message() << std::endl;
  return status.ok() ? 0 : 1;
}
