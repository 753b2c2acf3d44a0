// What the commands refuse, plan and print, before and without a run.

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "cli/sweep/sweep_plan.h"
#include "common/base/files.h"
#include "common/config/config.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/reckon_program.h"
#include "tests/support/tensor_file.h"
#include "tests/support/tiny_model.h"

namespace reckon {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

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

TEST_F(ReckonTest, ARolesHelpHasItsFlagsAndThoseThatRolesShare) {
  EXPECT_THAT(Call(absl::StrCat(RECKON_COORDINATOR, " --help")).out,
              AllOf(HasSubstr("--store"), HasSubstr("--metrics_listen"),
                    Not(HasSubstr("--flagfile")), Not(HasSubstr("No flags matched"))));
}

TEST_F(ReckonTest, ErrorsNameTheFileFlagOrKeyAndExitWith1) {
  Write("long.jsonl",
        absl::StrCat("{\"question\": \"1?\", \"answer\": \"#### 1\"}\n", "{\"question\": \"",
                     std::string(3000, 'x'), "\", \"answer\": \"#### 1\"}\n"));
  std::filesystem::create_directory(folder_ + "/run");
  Write("run/config.textproto", "");
  const std::string reward =
      "score-rewards " + folder_ + "/long.jsonl --reward 'kind: PROCESS command: \"cat\" ";
  // Paths of which nobody can tell whether they exist.
  const std::string loop = folder_ + "/loop", name(300, 'n');
  std::filesystem::create_symlink(loop, loop);
  Write("program.textproto",
        R"(base: "config.textproto" stage { sft {} } stage { ppo { reward { kind: PROCESS
           command: "sh -c 'echo no program >&2; exit 3'" } } })");
  const std::pair<std::string, std::string> cases[] = {
      {"train " + folder_ + "/program.textproto",
       "the reward's command \"sh -c 'echo no program >&2; exit 3'\" cannot run here: exited with "
       "code 3: no program"},
      {"train /nowhere.textproto", "/nowhere.textproto"},
      {"train " + config() + " --set training.lr=1", "--set training.lr: no field named 'lr'"},
      {"train " + config() + " --set model.path=/nowhere", "model.path: model folder /nowhere"},
      {"train " + config() + " --set data.train=/nowhere.jsonl --set data.eval=builtin",
       "data.train: "},
      {"eval --model /nowhere --data builtin", "--model: model folder /nowhere does not exist"},
      {"eval --model nobody/no-model --data builtin",
       "Reckon downloads nothing: `hf download nobody/no-model --local-dir DIR`"},
      {"eval --model " + folder_ + "/run --data builtin",
       "/run is a run directory, not a model folder; give " + folder_ + "/run/best"},
      {"watch " + folder_ + "/model", "not a run directory"},
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
      {reward + "workers: 0'", "--reward.workers is 0; allowed: 1 to "},
      {reward + "timeout_ms: 0'", "--reward.timeout_ms is 0; allowed: "},
      {reward + "max_failed_share: nan'", "--reward.max_failed_share is nan"},
      {"sft --model m --data x.jsonl --output o", "--eval-data: "},
      {"sft --model m --data builtin --output o --set seed=x", "--set seed: "},
      {"show " + folder_, "not a run directory"},
      {"show " + loop, "cannot look at " + loop},
      {"report " + name, "cannot look at "},
      {"train " + name, name},
      {"train " + config() + " --set output_dir=" + loop, "cannot look at " + loop},
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
  // A run's `best` is a link, and its model has the name of the folder.
  std::filesystem::create_directory_symlink("model", folder_ + "/best");
  EXPECT_THAT(Run("serve --model " + folder_ + "/best").out,
              HasSubstr("--model=" + folder_ + "/model\n"));
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

TEST_F(ReckonTest, AProgramThatNoImageHasIsNamedBeforeItsRunIsOnKubernetes) {
  Write("program.textproto", absl::StrCat(R"(name: "p" output_dir: ")", folder_, R"(/runs"
    data { train: "builtin" } stage { init {} }
    stage { ppo { reward { kind: PROCESS command: "python3 mine.py" } kl { coef: 0 } } })"));
  const std::string launch = absl::StrCat("launch --kubernetes --dry-run ", folder_);
  Result result = Run(launch + "/program.textproto");
  EXPECT_EQ(result.code, 0) << result.out;
  EXPECT_THAT(result.out, HasSubstr("warning: actors run `python3 mine.py`, and images"));
  result = Run(launch +
               "/program.textproto --set stage[1].ppo.reward[0].kind=EXACT_MATCH_STRICT "
               "--set stage[1].ppo.reward[0].command=");
  EXPECT_THAT(result.out, Not(HasSubstr("warning: actors run")));
}

TEST_F(ReckonTest, ADryRunNamesEachMissingFileOnce) {
  Write("missing.textproto",
        "data { train: \"/nowhere.jsonl\" eval: \"/nor_here.jsonl\" } stage { init {} } "
        "stage { sft {} }");
  const Result result = Run("train " + folder_ + "/missing.textproto --dry-run");
  EXPECT_EQ(result.code, 0);
  std::vector<std::string> named;
  for (const absl::string_view line : absl::StrSplit(result.out, '\n')) {
    if (absl::StrContains(line, "/nowhere.jsonl") && !absl::StrContains(line, "train: \"")) {
      named.emplace_back(line);
    }
  }
  EXPECT_THAT(named, testing::ElementsAre(testing::StartsWith("not checked: data.train: ")));
  EXPECT_THAT(result.out, HasSubstr("\nnot checked: data.eval: "));
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

// What readers paste.
TEST_F(ReckonTest, EveryConfigOfAPageIsPlanned) {
  const std::string page = ReadFile("docs/coming_from.md").value();
  std::vector<std::string> parts = absl::StrSplit(page, "```textproto\n");
  ASSERT_EQ(parts.size(), 1 + 4u);
  parts.erase(parts.begin());
  for (const std::string& part : parts) {
    const std::string block = part.substr(0, part.find("```"));
    Write("pasted.textproto", block);
    const Result result = Run(absl::StrCat("train ", folder_, "/pasted.textproto --dry-run"));
    EXPECT_EQ(result.code, 0) << block << result.out;
    EXPECT_THAT(result.out, HasSubstr("dry run: nothing was started"));
    const RunConfig config = LoadConfig(folder_ + "/pasted.textproto", {}).value();
    // The learner refuses sequences that are longer.
    EXPECT_GT(config.stage(0).training().max_tokens(),
              config.stage(0).ppo().sampling().max_new_tokens());
  }
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

// Finished runs take none, so what is left of a sweep fits where all of it would not.
TEST_F(ReckonTest, ASweepPlansTheMemoryOfItsUnfinishedRuns) {
  Write("s.textproto", absl::StrCat(R"(name: "s" config: "config.textproto" output_dir: ")",
                                    folder_, R"(" parallel: 2 seed_count: 2)"));
  const std::string sweep = "sweep " + folder_ + "/s.textproto --dry-run";
  EXPECT_THAT(Run(sweep).out, HasSubstr("memory of 2 runs at a time"));
  const SweepPlan plan = PlanSweep(LoadSweep(folder_ + "/s.textproto").value()).value();
  for (const char* left : {"memory of 1 run at a time", "2 finished\ndry run"}) {
    const SweepRun& run = plan.runs[*left == 'm' ? 0 : 1];
    std::filesystem::create_directories(run.folder());
    std::ofstream(run.folder() + "/config.textproto") << FormatConfig(run.config);
    std::ofstream(run.folder() + "/progress.json") << R"({"finished": true})";
    EXPECT_THAT(Run(sweep).out, HasSubstr(left));
  }
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

}  // namespace
}  // namespace reckon
