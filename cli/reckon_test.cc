// The program as a person runs it: real `reckon` and coordinator, the other roles as scripts.

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "cli/launcher/process.h"
#include "common/base/files.h"
#include "common/config/config.h"
#include "common/net/channel.h"
#include "common/testing/await.h"
#include "common/testing/temp_folder.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/coordinator.grpc.pb.h"
#include "tests/support/tensor_file.h"
#include "tests/support/tiny_model.h"

namespace reckon {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

// A loaded machine must not fail a test; one that passes never waits so long.
constexpr absl::Duration kLong = absl::Minutes(3);

bool Await(const std::function<bool()>& condition) { return reckon::Await(condition, kLong); }

struct Result {
  int code;
  std::string out;  // stdout and stderr
};

class ReckonTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directories(folder_ + "/bin");
    ASSERT_TRUE(WriteTinyModel(folder_ + "/model").ok());
    std::filesystem::create_symlink(RECKON_COORDINATOR, folder_ + "/bin/reckon-coordinator");
    Script("reckon-actor", "exec sleep 100");
    ::setenv("RECKON_PROGRAMS", (folder_ + "/bin").c_str(), 1);
    Write("config.textproto", absl::StrCat(R"(name: "r" output_dir: ")", folder_,
                                           R"(/runs" model { path: ")", folder_, R"(/model" }
      data { train: "builtin" builtin { train_problems: 8 eval_problems: 4 } }
      eval { samples: 2 } stage { sft {} } stage { ei { rounds: 2 } })"));
  }

  void Write(const std::string& name, const std::string& text) {
    std::ofstream(folder_ + "/" + name) << text;
  }

  // A role that is a shell script; $run is the run directory.
  void Script(const std::string& program, const std::string& text) {
    std::string path = absl::StrCat(folder_, "/bin/", program);
    std::ofstream(path) << "#!/bin/sh\nrun=" << folder_ << "/runs/r\n" << text << "\n";
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
  }

  Result Run(const std::string& args) {
    std::string command = absl::StrCat(RECKON_BINARY, " ", args, " 2>&1 </dev/null");
    FILE* pipe = ::popen(command.c_str(), "r");
    Result result;
    char buffer[4096];
    while (size_t n = ::fread(buffer, 1, sizeof(buffer), pipe)) result.out.append(buffer, n);
    result.code = WEXITSTATUS(::pclose(pipe));
    return result;
  }

  std::string Text(const std::string& name) {
    auto text = ReadFile(folder_ + "/" + name);
    return text.ok() ? *text : "";
  }

  std::string config() const { return folder_ + "/config.textproto"; }

  const TempFolder temp_;
  const std::string& folder_ = temp_.path();
};

// Progress as the learner writes it.
std::string Finished(const std::string& lines) {
  return absl::StrCat("cat > $run/progress.json <<'END'\n{\"phase\": \"sft\", \"done\": 2, ",
                      "\"total\": 2, \"unit\": \"steps\", \"lines\": [", lines,
                      "], \"finished\": true}\nEND");
}

TEST_F(ReckonTest, UsageErrorsAreOneLineAndExitWith2) {
  for (const char* args :
       {"", "trian", "train", "eval --model m", "eval --bogus",
        "eval --model m --data d --format xml", "show r --wrong --correct",
        "eval --model m --data d --samples -1", "launch c --slurm --local", "launch c --apply"}) {
    Result result = Run(args);
    EXPECT_EQ(result.code, 2) << args;
    EXPECT_THAT(result.out, testing::StartsWith("reckon: ")) << args;
    EXPECT_EQ(std::count(result.out.begin(), result.out.end(), '\n'), 1) << result.out;
  }
}

TEST_F(ReckonTest, EveryCommandHasHelpWithExamples) {
  for (const char* command :
       {"train", "launch", "sft", "eval", "score", "show", "report", "rollouts", "replay", "watch",
        "serve", "certs", "doctor", "bench coordinator"}) {
    Result result = Run(absl::StrCat(command, " --help"));
    EXPECT_EQ(result.code, 0);
    EXPECT_THAT(result.out,
                AllOf(HasSubstr("Example"), HasSubstr(absl::StrCat("reckon ", command))));
  }
}

TEST_F(ReckonTest, ErrorsNameTheFileFlagOrKeyAndExitWith1) {
  Write("long.jsonl",
        absl::StrCat("{\"question\": \"1?\", \"answer\": \"#### 1\"}\n", "{\"question\": \"",
                     std::string(3000, 'x'), "\", \"answer\": \"#### 1\"}\n"));
  const std::pair<std::string, const char*> cases[] = {
      {"train /nowhere.textproto", "/nowhere.textproto"},
      {"train " + config() + " --set training.lr=1", "--set training.lr: no field named 'lr'"},
      {"train " + config() + " --set model.path=/nowhere", "model.path: model folder /nowhere"},
      {"train " + config() + " --set data.train=/nowhere.jsonl --set data.eval=builtin",
       "data.train: "},
      {"eval --model /nowhere --data builtin", "--model: model folder /nowhere does not exist"},
      {"eval --model " + folder_ + "/model --data /nowhere.jsonl", "--data: "},
      {"eval --model " + folder_ + "/model --data builtin --temperature 0", "--temperature: "},
      {"eval --model " + folder_ + "/model --data builtin --orm r --samples 0", "--orm: reranks"},
      {"eval --model " + folder_ + "/model --data builtin --command \"'\"", "--command: "},
      {"eval --model " + folder_ + "/model --data builtin --orm " + folder_ + "/model",
       "/model has no reward_head.json"},
      {"score --model /nowhere --data builtin", "--model: "},
      {"train " + config() + " --set data.eval=" + folder_ + "/long.jsonl",
       "data.eval: 1 of 2 problems do not fit into the model's 2048 positions with prompt and "
       "eval.max_new_tokens "},
      {"train " + config() + " --set data.eval=" + folder_ + "/long.jsonl",
       "(left out of training, wrong in evaluations); long.jsonl:2: needs "},
      {"train " + config() + " --set data.eval=builtin --set data.train=" + folder_ + "/long.jsonl",
       "data.train: 1 of 2 problems do not fit"},
      {"eval --model " + folder_ + "/model --data " + folder_ + "/long.jsonl",
       "--data: 1 of 2 problems do not fit into the model's 2048 positions with prompt and "
       "--max-new-tokens "},
      {"score --model " + folder_ + "/model --data " + folder_ + "/long.jsonl",
       "worked solution; shorten it, or count such problems as wrong with --overlong count-wrong"},
      {"sft --model m --data x.jsonl --output o", "--eval-data: "},
      {"show " + folder_, "not a run directory"},
  };
  for (const auto& [args, says] : cases) {
    Result result = Run(args);
    EXPECT_EQ(result.code, 1) << args;
    EXPECT_THAT(result.out, AllOf(testing::StartsWith("reckon: "), HasSubstr(says))) << args;
    EXPECT_EQ(std::count(result.out.begin(), result.out.end(), '\n'), 1) << result.out;
  }
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/runs"));
}

TEST_F(ReckonTest, ServeBecomesTheServerWithItsFlags) {
  Script("reckon-server", "for word in \"$@\"; do echo \"$word\"; done; exit 7");
  const std::string model = "serve --model " + folder_ + "/model";
  const Result result = Run(model +
                            " --name 'a b' --listen 127.0.0.1:9 --max-requests 3 --fp32 "
                            "--row-invariant");
  EXPECT_EQ(result.code, 7) << "its exit status is the server's";
  EXPECT_THAT(result.out,
              AllOf(HasSubstr("--model=" + folder_ + "/model\n"), HasSubstr("--name=a b\n"),
                    HasSubstr("--listen=127.0.0.1:9\n"), HasSubstr("--max_requests=3\n"),
                    HasSubstr("--compute=fp32\n"), HasSubstr("--row_invariant\n")));
  const Result plan = Run(model + " --dry-run");
  EXPECT_EQ(plan.code, 0);
  EXPECT_THAT(plan.out, AllOf(HasSubstr("a context of 2048 tokens"), HasSubstr("KV cache"),
                              HasSubstr("reckon-server --model=")));
  const std::pair<std::string, const char*> refused[] = {
      {model + " --listen 0.0.0.0:80", "--listen 0.0.0.0:80 is reached from other machines"},
      {model + " --listen nowhere", "--listen: "},
      {"serve --model /nowhere", "--model: model folder /nowhere"}};
  for (const auto& [args, says] : refused) {
    const Result error = Run(args);
    EXPECT_EQ(error.code, 1) << args;
    EXPECT_THAT(error.out, AllOf(testing::StartsWith("reckon: "), HasSubstr(says))) << args;
  }
}

// From the headers alone: one line that names file and tensor, and no process was started.
TEST_F(ReckonTest, AFolderThatDoesNotFitItsConfigIsRefusedByEveryCommand) {
  std::vector<StoredTensor> tensors = TensorsOf(MakeTinyModel());
  tensors.back().shape = {32, 2};
  WriteTensorFile(folder_ + "/model/model.safetensors", tensors);
  const std::string model = " --model " + folder_ + "/model --data builtin";
  for (const std::string& args :
       {"train " + config(), "train " + config() + " --dry-run", "eval" + model, "score" + model,
        "sft" + model + " --output " + folder_ + "/out"}) {
    const Result result = Run(args);
    EXPECT_EQ(result.code, 1) << args;
    EXPECT_THAT(result.out,
                HasSubstr(folder_ + "/model/model.safetensors: tensor model.norm.weight "
                                    "has shape [32, 2], config.json asks for [64]"))
        << args;
    EXPECT_TRUE(absl::StrContains(args, "--dry-run") ||
                std::count(result.out.begin(), result.out.end(), '\n') == 1)
        << result.out;
  }
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/runs"));
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/out"));
}

TEST_F(ReckonTest, ADryRunListsWhatIsLeftOutOfTheModel) {
  std::vector<StoredTensor> tensors = TensorsOf(MakeTinyModel());
  tensors.push_back(tensors[0]);
  tensors.back().name = "lm_head.weight";
  WriteTensorFile(folder_ + "/model/model.safetensors", tensors);
  const Result result = Run("train " + config() + " --dry-run");
  EXPECT_EQ(result.code, 0) << result.out;
  EXPECT_THAT(result.out, HasSubstr("left out lm_head.weight, which is tied to the embedding"));
}

TEST_F(ReckonTest, AnAdapterFolderIsReadOverItsBaseOrSaysWhatItNeeds) {
  std::filesystem::create_directories(folder_ + "/adapter");
  Write("adapter/adapter_config.json",
        R"({"peft_type": "LORA", "r": 1, "base_model_name_or_path": "meta-llama/Llama-2-7b-hf"})");
  const std::string layer = "base_model.model.model.layers.0.self_attn.q_proj.lora_";
  WriteTensorFile(folder_ + "/adapter/adapter_model.safetensors",
                  {ConstantTensor(layer + "A.weight", {1, 64}, 1),
                   ConstantTensor(layer + "B.weight", {64, 1}, 1)});
  const std::string adapter = "model.path=" + folder_ + "/adapter";
  for (const std::string& args : {"eval --data builtin --model " + folder_ + "/adapter",
                                  "train " + config() + " --set " + adapter}) {
    const Result result = Run(args);
    EXPECT_EQ(result.code, 1) << args;
    EXPECT_THAT(result.out, HasSubstr("an adapter of PEFT, not a model; its base "
                                      "meta-llama/Llama-2-7b-hf is not a folder here"));
    EXPECT_EQ(std::count(result.out.begin(), result.out.end(), '\n'), 1) << result.out;
  }
  const Result result = Run("train " + config() + " --dry-run --set " + adapter +
                            " --set model.base=" + folder_ + "/model");
  EXPECT_EQ(result.code, 0) << result.out;
  EXPECT_THAT(result.out, HasSubstr("adapter: merged into " + folder_ + "/model"));
}

TEST_F(ReckonTest, LabelsAndRewardModelsOfAnotherModelAreRefusedBeforeAnythingStarts) {
  Write("rcrl.textproto", R"(base: "config.textproto" stage { sft {} } stage { orm {} }
    stage { rcrl { selection: "orm_1" orm: "orm_1" bad_label: "~" } })");
  std::filesystem::copy(folder_ + "/model", folder_ + "/other");
  std::ofstream(folder_ + "/other/tokenizer.json", std::ios::app) << "\n";
  const std::string rcrl = "train " + folder_ + "/rcrl.textproto";
  const std::pair<std::string, const char*> cases[] = {
      {rcrl, "stage[2].rcrl.good_label: the tokenizer splits ' good' into 5 tokens"},
      {rcrl + " --dry-run", "the tokenizer splits"},
      {"train " + config() + " --set eval.orm=" + folder_ + "/other", "eval.orm: "},
      {rcrl + " --set stage[2].rcrl.good_label=^ --set stage[2].rcrl.orm=" + folder_ + "/other",
       "stage[2].rcrl.orm: "},
  };
  for (const auto& [args, says] : cases) {
    Result result = Run(args);
    EXPECT_EQ(result.code, 1) << args;
    EXPECT_THAT(result.out, HasSubstr(says)) << args;
  }
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/runs"));
}

TEST_F(ReckonTest, DryRunPrintsThePlanAndStartsNothing) {
  Result result = Run("train " + config() + " --dry-run --set keep_last=3");
  EXPECT_EQ(result.code, 0) << result.out;
  EXPECT_THAT(result.out,
              AllOf(HasSubstr("keep_last: 3"), HasSubstr("8 training and 4 evaluation problems"),
                    HasSubstr("2 rounds of 32 samples"), HasSubstr("64 training samples"),
                    HasSubstr("memory"), HasSubstr("disk")));
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/runs"));
  result = Run("train " + config() + " --dry-run --set model.path=/nowhere");
  EXPECT_EQ(result.code, 0);
  EXPECT_THAT(result.out, HasSubstr("not checked: model.path: model folder /nowhere"));
}

TEST_F(ReckonTest, ADryRunPlansAGpuThatIsSharedByItsLargerTurn) {
  const std::string on_gpu = "train " + config() + " --dry-run --set model.device=CUDA";
  Result result = Run(on_gpu);
  EXPECT_EQ(result.code, 0) << result.out;
  EXPECT_THAT(result.out, AllOf(HasSubstr("GPU in an actor's turn, with what the learner keeps"),
                                HasSubstr("GPU in the learner's turn, in all")));
  result = Run(on_gpu + " --set resources.turns=OFF");
  EXPECT_THAT(result.out,
              AllOf(HasSubstr("GPU that all share, in all"), Not(HasSubstr("learner's turn"))));
  // Each of several ranks shares a GPU with actors.
  const std::string ranks = " --set resources.learner_ranks=2 --set resources.actors=4";
  result = Run(on_gpu + ranks);
  EXPECT_THAT(result.out, AllOf(HasSubstr("GPU in an actor's turn, with what the learner keeps"),
                                HasSubstr("GPU in the learner's turn, in all")));
  result = Run(on_gpu + ranks + " --set resources.turns=OFF");
  EXPECT_THAT(result.out, HasSubstr("GPU that a rank shares with actors, in all"));
  result = Run("train " + config() + " --set resources.turns=ON --set learner.broadcast=NCCL");
  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.out, HasSubstr("resources.turns is ON, and learner.broadcast is NCCL"));
}

TEST_F(ReckonTest, EveryRowOfThePaperIsPlannedWithoutWeightsAndData) {
  int rows = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator("recipes/paper")) {
    if (!entry.is_regular_file() || entry.path().parent_path() == "recipes/paper") continue;
    ++rows;
    const std::string file = entry.path().string();
    const Result result = Run(absl::StrCat("train ", file, " --dry-run"));
    EXPECT_EQ(result.code, 0) << file << ": " << result.out;
    EXPECT_THAT(result.out, AllOf(HasSubstr("parameters"), HasSubstr("evaluation samples"),
                                  HasSubstr("not checked: data.train")))
        << file;
    const bool small = entry.path().stem().string().ends_with("_smollm2");
    EXPECT_THAT(result.out, HasSubstr(small ? "in all" : "of a GPU of 80 GiB")) << file;
    EXPECT_THAT(result.out, Not(HasSubstr("does not fit"))) << file;
    const RunConfig config = LoadConfig(file, {}).value();
    EXPECT_LE(config.resources().actors() + config.resources().learner_ranks(), 8) << file;
  }
  EXPECT_EQ(rows, 3 * 22);
  // A run wants what a plan does without.
  const Result result = Run(
      absl::StrCat("train recipes/paper/gsm8k_sft/sft_7b.textproto --set output_dir=", folder_));
  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.out, AllOf(HasSubstr("reckon: model.path: cannot open "),
                                HasSubstr("recipes/models/llama2-7b/")));
}

TEST_F(ReckonTest, TrainRunsToTheEndAndShowsTheLines) {
  Script("reckon-learner", absl::StrCat("echo \"$@\" >> $run/args\n",
                                        Finished("\"evaluate start: maj@1 2%\", \"done\"")));
  Result result = Run("train " + config());
  EXPECT_EQ(result.code, 0) << result.out;
  EXPECT_THAT(result.out,
              AllOf(HasSubstr("evaluate start: maj@1 2%\ndone\n"), HasSubstr("finished")));
  EXPECT_THAT(Text("runs/r/args"), AllOf(HasSubstr("--rank=0 --world_size=1 --nonce="),
                                         HasSubstr("--config="), Not(HasSubstr("--resume"))));
  EXPECT_THAT(Text("runs/r/config.textproto"), HasSubstr("rounds: 2"));

  Result again = Run("train " + config());
  EXPECT_EQ(again.code, 1);
  EXPECT_THAT(again.out, AllOf(HasSubstr("runs/r exists"), HasSubstr("--resume")));
  Write("runs/r/inputs.json", "{}");  // as the learner does
  Result changed = Run("train " + config() + " --resume --set seed=9");
  EXPECT_EQ(changed.code, 1);
  EXPECT_THAT(changed.out, HasSubstr("seed: was 0 when the run began and is 9 now"));
  Result finished = Run("train " + config() + " --resume --set resources.actors=2");
  EXPECT_EQ(finished.code, 0) << finished.out;
  EXPECT_THAT(finished.out, AllOf(HasSubstr("is finished"), HasSubstr("done")));
  // With more rounds there is more to do.
  Result longer = Run("train " + config() + " --resume --set stage[1].ei.rounds=3");
  EXPECT_EQ(longer.code, 0) << longer.out;
  EXPECT_THAT(longer.out, AllOf(HasSubstr("resuming in"), HasSubstr("finished in")));
  EXPECT_THAT(Text("runs/r/args"), HasSubstr("--resume"));
  EXPECT_THAT(Text("runs/r/config.textproto"), HasSubstr("rounds: 3"));

  Result show = Run("show " + folder_ + "/runs/r");
  EXPECT_EQ(show.code, 0) << show.out;
  EXPECT_THAT(show.out, HasSubstr("run r: "));
  show = Run("show " + folder_ + "/runs/r --plan nothing");
  EXPECT_EQ(show.code, 1);
  EXPECT_THAT(show.out, HasSubstr("--plan nothing"));
}

TEST_F(ReckonTest, ARunThatNeverBeganTakesAnyConfig) {
  Script("reckon-learner", "exit 1");
  EXPECT_EQ(Run("train " + config()).code, 1);
  Script("reckon-learner", Finished(""));
  const Result fixed = Run("train " + config() + " --resume --set seed=9");
  EXPECT_EQ(fixed.code, 0) << fixed.out;
  Write("runs/r/inputs.json", "{}");  // now it has begun
  const Result changed = Run("train " + config() + " --resume --set seed=10");
  EXPECT_EQ(changed.code, 1);
  EXPECT_THAT(changed.out, HasSubstr("seed: was 9 when the run began and is 10 now"));
}

TEST_F(ReckonTest, ChangedDataIsRefusedInOneLineWhenARunResumes) {
  const std::string data = folder_ + "/data.jsonl";
  Write("data.jsonl", "{\"question\": \"1?\", \"answer\": \"#### 1\"}\n");
  Script("reckon-learner", Finished(""));
  const std::string train =
      "train " + config() + " --set data.eval=builtin --set data.train=" + data;
  EXPECT_EQ(Run(train).code, 0);
  Write("runs/r/inputs.json", absl::StrCat("{\"files\": [{\"name\": \"data.train\", \"path\": \"",
                                           data, "\", \"sha256\": \"0123456789abcdef\"}]}"));
  const Result changed = Run(train + " --resume");
  EXPECT_EQ(changed.code, 1);
  EXPECT_THAT(changed.out, HasSubstr("reckon: data.train: " + data + " has changed since the run"));
  EXPECT_THAT(changed.out, HasSubstr("(SHA-256 0123456789ab then, "));
  EXPECT_EQ(std::count(changed.out.begin(), changed.out.end(), '\n'), 1) << changed.out;
}

TEST_F(ReckonTest, ADeadLearnerIsStartedAgainWithResumeAndANewNonce) {
  Script("reckon-learner",
         absl::StrCat("echo \"$@\" >> $run/args\n[ $(wc -l < $run/args) -lt 3 ] && exit 1\n",
                      Finished("")));
  Result result = Run("train " + config());
  EXPECT_EQ(result.code, 0) << result.out;
  EXPECT_THAT(result.out, HasSubstr("learner-0 exited with code 1"));
  std::vector<std::string> starts = absl::StrSplit(Text("runs/r/args"), '\n', absl::SkipEmpty());
  ASSERT_EQ(starts.size(), 3u);
  EXPECT_THAT(starts[0], Not(HasSubstr("--resume")));
  EXPECT_THAT(starts[1], HasSubstr("--resume"));
  EXPECT_NE(starts[1], starts[2]);
}

TEST_F(ReckonTest, EachStartOfARunHasItsOwnLogs) {
  Script("reckon-learner", "echo learner; " + Finished(""));
  EXPECT_EQ(Run("launch --local " + config()).code, 0);
  std::filesystem::remove(folder_ + "/runs/r/progress.json");
  EXPECT_EQ(Run("train --resume " + config()).code, 0);
  for (const char* logs : {"attempt_1", "attempt_2", "latest"}) {
    EXPECT_THAT(Text(absl::StrCat("runs/r/logs/", logs, "/learner-0.log")),
                HasSubstr("\nlearner\n"));
  }
  EXPECT_EQ(std::filesystem::read_symlink(folder_ + "/runs/r/logs/latest"), "attempt_2");
}

// Slurm's programs as scripts first in the PATH; tests/integration/slurm_test.py has the real
// ones.
class ReckonSlurmTest : public ReckonTest {
 protected:
  void SetUp() override {
    ReckonTest::SetUp();
    path_ = ::getenv("PATH");
    ::setenv("PATH", absl::StrCat(folder_, "/bin:", path_).c_str(), 1);
    Script("sbatch", "echo \"$@\" >> $run/../sbatch; wc -l < $run/../sbatch");
    Script("squeue", "exit 0");
  }
  void TearDown() override { ::setenv("PATH", path_.c_str(), 1); }

 private:
  std::string path_;
};

TEST_F(ReckonSlurmTest, SubmitsTheLearnerAndThenItsActors) {
  const Result result = Run("launch --slurm " + config() + " --set resources.actors=3");
  EXPECT_EQ(result.code, 0) << result.out;
  const std::string slurm = folder_ + "/runs/r/slurm/";
  EXPECT_EQ(Text("runs/sbatch"),
            absl::StrCat("--parsable ", slurm, "learner.sbatch\n",
                         "--parsable --dependency=after:1 --array=0-2 --job-name=r-actors-1 ",
                         slurm, "actor.sbatch 1\n"));
  EXPECT_THAT(result.out, AllOf(HasSubstr("submitted job 1"), HasSubstr("array 2 of 3 actors"),
                                HasSubstr("scancel 1")));
  EXPECT_EQ(Text("runs/r/slurm/actors"), "3\n");
  // What was left open in the config is what the jobs ask for.
  EXPECT_THAT(Text("runs/r/config.textproto"), HasSubstr("cpus: 4"));
  EXPECT_THAT(Text("runs/r/slurm/learner.sbatch"), HasSubstr("--cpus-per-task=4"));

  // The same run twice at once.
  Script("squeue", "echo RUNNING");
  const Result again = Run("launch --slurm --resume " + config());
  EXPECT_EQ(again.code, 1);
  EXPECT_THAT(again.out, HasSubstr("job 1 of this run is running; to start the run again, first "
                                   "stop it: scancel 1"));
  Script("squeue", "echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1");
  EXPECT_EQ(Run("launch --slurm --resume " + config()).code, 0);
}

TEST_F(ReckonSlurmTest, ADryRunPrintsTheScriptsAndSubmitsNothing) {
  const Result result = Run("launch --slurm --dry-run " + config());
  EXPECT_EQ(result.code, 0) << result.out;
  EXPECT_THAT(result.out, AllOf(HasSubstr("memory on this machine"),
                                HasSubstr("--- learner.sbatch\n#!/bin/bash"),
                                HasSubstr("--- actor.sbatch\n#!/bin/bash")));
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/runs"));
}

TEST_F(ReckonSlurmTest, WhatSlurmRefusesIsShown) {
  Script("sbatch", "echo 'sbatch: error: invalid partition specified: x' >&2; exit 1");
  const Result result = Run("launch --slurm " + config() + " --set slurm.partition=x");
  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.out,
              AllOf(HasSubstr("invalid partition specified: x"),
                    HasSubstr("then run: reckon launch --slurm "), HasSubstr("--resume")));
}

TEST_F(ReckonTest, MemoryBelowThePlanIsRefusedBeforeAnythingStarts) {
  Write("small.textproto",
        absl::StrReplaceAll(Text("config.textproto"),
                            {{"eval {", "actor { kv_cache_mib: 4096 } eval {"}}));
  for (const char* command : {"train ", "launch --slurm "}) {
    const Result result =
        Run(absl::StrCat(command, folder_, "/small.textproto --set resources.actor.memory_gib=1"));
    EXPECT_EQ(result.code, 1);
    EXPECT_THAT(result.out, HasSubstr("resources.actor.memory_gib is 1, but actor needs about"));
    EXPECT_FALSE(std::filesystem::exists(folder_ + "/runs"));
  }
}

TEST_F(ReckonTest, ALearnerThatAlwaysFailsEndsTheRunWithItsReason) {
  Script("reckon-learner", "echo reckon-learner: data.train: no problems >&2; exit 1");
  Result result = Run("train " + config());
  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.out, AllOf(HasSubstr("data.train: no problems"), HasSubstr("learner-0.log"),
                                HasSubstr("--resume")));
}

TEST_F(ReckonTest, AnErrorThatWillRecurEndsTheRunAtItsFirstTimeWithOneLine) {
  Script("reckon-learner",
         "echo x >> $run/starts; echo reckon-learner: data.train: no problems >&2; exit 78");
  Result result = Run("train " + config());
  EXPECT_EQ(result.code, 1);
  EXPECT_EQ(Text("runs/r/starts"), "x\n");
  EXPECT_THAT(result.out, HasSubstr(absl::StrCat(
                              "\nreckon: learner-0: data.train: no problems; ", "its log is ",
                              folder_, "/runs/r/logs/attempt_1/learner-0.log; fix that, then run: ",
                              "reckon train ", config(), " --resume\n")));
}

TEST_F(ReckonTest, AnActorThatFailsTheSameWayTwiceEndsTheRun) {
  Script("reckon-actor", "echo x >> $run/starts; echo reckon-actor: no such device >&2; exit 75");
  Script("reckon-learner", "exec sleep 1000");
  Result result = Run("train " + config());
  EXPECT_EQ(result.code, 1);
  EXPECT_EQ(Text("runs/r/starts"), "x\nx\n");
  EXPECT_THAT(result.out, HasSubstr("reckon: actor-0, 2 times in a row: no such device"));
}

TEST_F(ReckonTest, SaysWhatTheLearnerWaitsFor) {
  Script("reckon-learner",
         "echo '{\"phase\": \"sft\", \"waiting_for\": \"no actor is connected\"}' "
         "> $run/progress.json\nwhile [ ! -e $run/go ]; do sleep 0.01; done\n" +
             Finished(""));
  auto reckon = Process::Start({"reckon", {RECKON_BINARY, "train", config()}, folder_ + "/out"});
  ASSERT_TRUE(reckon.ok());
  EXPECT_TRUE(Await(
      [&] { return absl::StrContains(Text("out"), "sft  waiting for: no actor is connected\n"); }));
  EXPECT_THAT(Run("show " + folder_ + "/runs/r").out,
              HasSubstr("waiting for: no actor is connected\n"));
  Write("runs/r/go", "");
  ASSERT_TRUE(reckon->Wait(kLong).has_value());
}

TEST_F(ReckonTest, CtrlCStopsEveryRoleAndSaysHowToResume) {
  Script("reckon-learner", "echo $$ > $run/learner.pid\nexec sleep 100");
  auto reckon = Process::Start({"reckon", {RECKON_BINARY, "train", config()}, folder_ + "/out"});
  ASSERT_TRUE(reckon.ok());
  ASSERT_TRUE(Await([&] { return !Text("runs/r/learner.pid").empty(); }));
  EXPECT_EQ(Run("train " + config() + " --resume").code, 1) << "two at once";
  reckon->Signal(SIGINT);
  std::optional<int> ended = reckon->Wait(kLong);
  ASSERT_TRUE(ended.has_value());
  EXPECT_EQ(WEXITSTATUS(*ended), 130);
  EXPECT_THAT(Text("out"), HasSubstr("to resume, run: reckon train " + config() + " --resume"));
  int learner = 0;
  ASSERT_TRUE(absl::SimpleAtoi(Text("runs/r/learner.pid"), &learner));
  EXPECT_NE(::kill(learner, 0), 0);
}

TEST_F(ReckonTest, CertsMakesRenewsAndRotatesTheFilesOfOneRun) {
  const std::string certs = "certs --out " + folder_ + "/c --run ";
  Result result = Run(certs + "a --days 7");
  EXPECT_EQ(result.code, 0) << result.out;
  for (const char* role : {"coordinator", "actor", "learner", "user"}) {
    const std::string folder = absl::StrCat(folder_, "/c/", role);
    EXPECT_THAT(result.out, HasSubstr(absl::StrCat("--certificates=", folder, "\n")));
    EXPECT_TRUE(std::filesystem::exists(folder + "/token"));
  }
  EXPECT_EQ(Run(certs + "a").code, 0);
  result = Run(certs + "b");
  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.out, HasSubstr("not of run 'b'"));
  EXPECT_THAT(Run(certs + "a --rotate use").out, HasSubstr("the next is trust"));
  EXPECT_THAT(Run(certs + "a --rotate trust").out, HasSubstr("then do step 'use'"));
  EXPECT_EQ(Run(certs + "a --days 0").code, 2);
  EXPECT_EQ(Run("certs --run a/b --out " + folder_ + "/d").code, 1);
}

TEST_F(ReckonTest, ABenchOfTheCoordinatorAccountsForEveryRollout) {
  const Result result = Run(absl::StrCat("bench coordinator --rate 400 --streams 2 --seconds 1 ",
                                         "--retention SELECTED --json --folder ", folder_));
  ASSERT_EQ(result.code, 0) << result.out;
  EXPECT_THAT(result.out, AllOf(HasSubstr(R"("offered": 400.0)"), HasSubstr(R"("sent": 400)"),
                                HasSubstr(R"("acknowledged": 400)"), HasSubstr(R"("refused": 0)"),
                                HasSubstr(R"("seconds": [{"cores": )")));
  for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
    EXPECT_THAT(entry.path().string(), Not(HasSubstr("reckon-bench"))) << "left behind";
  }
}

TEST_F(ReckonTest, AKilledCoordinatorComesBackAtItsAddress) {
  std::filesystem::remove(folder_ + "/bin/reckon-coordinator");
  Script("reckon-coordinator",
         "echo $$ >> $run/coordinator.pids\nexec " RECKON_COORDINATOR " \"$@\"");
  Script("reckon-learner", "while [ ! -e $run/go ]; do sleep 0.01; done\n" + Finished(""));
  auto reckon = Process::Start({"reckon", {RECKON_BINARY, "train", config()}, folder_ + "/out"});
  ASSERT_TRUE(reckon.ok());
  ASSERT_TRUE(Await([&] { return !Text("runs/r/coordinator.addr").empty(); }));
  const std::string address = Text("runs/r/coordinator.addr");
  int first = 0;
  ASSERT_TRUE(absl::SimpleAtoi(Text("runs/r/coordinator.pids"), &first));
  ::kill(first, SIGKILL);
  // Only then: a `show` between the two would start a coordinator of its own.
  ASSERT_TRUE(Await([&] { return absl::StrContains(Text("out"), "killed by signal 9"); }));
  const auto user = Security::Load(folder_ + "/runs/r/certificates/user", Role::kUser);
  ASSERT_TRUE(user.ok()) << user.status();
  const auto stub =
      Coordinator::NewStub(*MakeChannel(std::string(absl::StripAsciiWhitespace(address)), *user));
  ASSERT_TRUE(Await([&] {
    grpc::ClientContext context;
    GetStatusReply status;
    return stub->GetStatus(&context, {}, &status).ok();
  }));
  const auto stranger = Coordinator::NewStub(
      *MakeChannel(std::string(absl::StripAsciiWhitespace(address)), Security::PlainText()));
  grpc::ClientContext context;
  GetStatusReply status;
  EXPECT_EQ(stranger->GetStatus(&context, {}, &status).error_code(), grpc::StatusCode::UNAVAILABLE)
      << "a run on one machine has certificates as well";
  EXPECT_THAT(Run("show " + folder_ + "/runs/r").out, HasSubstr("run r: "));
  EXPECT_EQ(Text("runs/r/coordinator.addr"), address) << "show has used the run's own";
  Write("runs/r/go", "");
  const std::optional<int> ended = reckon->Wait(kLong);
  ASSERT_TRUE(ended.has_value());
  EXPECT_EQ(WEXITSTATUS(*ended), 0) << Text("out");
  EXPECT_THAT(Text("out"), HasSubstr("coordinator killed by signal 9"));
}

}  // namespace
}  // namespace reckon
