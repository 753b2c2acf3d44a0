#include "cli/launcher/slurm_scripts.h"

#include "absl/strings/str_cat.h"
#include "cli/launcher/shell.h"
#include "gmock/gmock.h"
#include "google/protobuf/text_format.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

RunConfig SlurmConfig(const std::string& more) {
  RunConfig config;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(
      "name: 'r' resources { actors: 3 learner_ranks: 4 learner_nodes: 2 "
      "coordinator { cpus: 2 memory_gib: 4 } actor { cpus: 2 memory_gib: 3 } "
      "learner { cpus: 8 memory_gib: 10 } }" +
          more,
      &config));
  return config;
}

struct Scripts {
  std::string learner, actor;
};

Scripts Render(const RunConfig& config, const std::string& run_dir = "/runs/r") {
  const absl::StatusOr<std::vector<RenderedFile>> files =
      RenderSlurm(config, {.run_dir = run_dir, .programs = "/opt/reckon/bin"});
  EXPECT_TRUE(files.ok()) << files.status();
  EXPECT_EQ(files->size(), 2);
  for (const RenderedFile& file : *files) {
    // The grammar of both, as bash reads it.
    const auto checked = RunTool({"bash", "-n", "-c", file.text});
    EXPECT_TRUE(checked.ok()) << checked.status();
    EXPECT_THAT(file.text, Not(HasSubstr("{RUN}")));
  }
  return {(*files)[0].text, (*files)[1].text};
}

TEST(SlurmScriptsTest, AskForWhatTheConfigGivesToEachProcess) {
  const Scripts scripts = Render(
      SlurmConfig("slurm { partition: 'gpu' actor_partition: 'spot' account: 'a1' qos: 'high' "
                  "time_limit_minutes: 240 grace_seconds: 90 option: '--constraint=h100' "
                  "setup: 'module load cuda' }"));
  EXPECT_THAT(scripts.learner,
              AllOf(HasSubstr("#SBATCH --nodes=2\n#SBATCH --ntasks-per-node=2\n"),
                    HasSubstr("#SBATCH --cpus-per-task=8\n"),
                    HasSubstr("#SBATCH --mem-per-cpu=1536M\n"),  // two ranks, and the coordinator
                    HasSubstr("#SBATCH --partition=gpu\n"), HasSubstr("#SBATCH --account=a1\n"),
                    HasSubstr("#SBATCH --qos=high\n"), HasSubstr("#SBATCH --time=240\n"),
                    HasSubstr("#SBATCH --signal=B:USR1@90\n"), HasSubstr("#SBATCH --requeue\n"),
                    HasSubstr("#SBATCH --constraint=h100\n"), HasSubstr("\nmodule load cuda\n"),
                    HasSubstr("--world_size=4")));
  EXPECT_THAT(scripts.actor,
              AllOf(HasSubstr("#SBATCH --partition=spot\n"), HasSubstr("#SBATCH --ntasks=1\n"),
                    HasSubstr("#SBATCH --mem-per-cpu=1536M\n"), HasSubstr("#SBATCH --requeue\n"),
                    HasSubstr("--threads=2")));
}

TEST(SlurmScriptsTest, OneHeterogeneousJobHasTheActorsInIt) {
  const Scripts array = Render(SlurmConfig("")),
                one = Render(SlurmConfig("slurm { actors: HETEROGENEOUS }"));
  EXPECT_THAT(array.learner, AllOf(HasSubstr("keep_actors &"), Not(HasSubstr("hetjob"))));
  EXPECT_THAT(one.learner,
              AllOf(HasSubstr("#SBATCH hetjob\n#SBATCH --ntasks=3\n"), HasSubstr("--het-group=0"),
                    HasSubstr("--het-group=1"), Not(HasSubstr("keep_actors"))));
}

TEST(SlurmScriptsTest, TheCoordinatorListensWhereActorsReachIt) {
  EXPECT_THAT(Render(SlurmConfig("")).learner, HasSubstr("'--listen=[::]:0'"));
  EXPECT_THAT(Render(SlurmConfig("coordinator { listen: '127.0.0.1:7070' }")).learner,
              HasSubstr("'--listen=[::]:7070'"));
  EXPECT_THAT(Render(SlurmConfig("coordinator { listen: '10.0.0.1:7070' }")).learner,
              HasSubstr("--listen=10.0.0.1:7070"));
}

TEST(SlurmScriptsTest, NamesAndFoldersAreQuoted) {
  const std::string run_dir = "/runs/it's $(touch x) 100%";
  const absl::Status refused =
      RenderSlurm(SlurmConfig(""), {.run_dir = run_dir, .programs = "/bin"}).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("has a quote"));
  const Scripts scripts = Render(SlurmConfig(""), "/runs/a $(touch x) 100%");
  EXPECT_THAT(scripts.learner,
              AllOf(HasSubstr("\nrun='/runs/a $(touch x) 100%'\n"),
                    HasSubstr("#SBATCH --output=\"/runs/a $(touch x) 100%%/logs/slurm-%j.log\"\n"),
                    HasSubstr("'--store=/runs/a $(touch x) 100%/store'")));
}

TEST(SlurmScriptsTest, RefusesWhatNoScriptCanSay) {
  for (const auto& [more, why] : {std::pair{"slurm { partition: 'a\\nb' }", "slurm.partition"},
                                  {"slurm { option: 'constraint=h100' }", "slurm.option"},
                                  {"slurm { option: '--a\\n#SBATCH --b' }", "slurm.option"}}) {
    const absl::Status status =
        RenderSlurm(SlurmConfig(more), {.run_dir = "/r", .programs = "/bin"}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << more;
    EXPECT_THAT(std::string(status.message()), HasSubstr(why));
  }
  RunConfig uneven = SlurmConfig("");
  uneven.mutable_resources()->set_learner_ranks(3);
  EXPECT_THAT(
      std::string(RenderSlurm(uneven, {.run_dir = "/r", .programs = "/bin"}).status().message()),
      HasSubstr("must be a multiple of resources.learner_nodes, 2"));
}

}  // namespace
}  // namespace reckon
