// `reckon launch --slurm`, with scripts in the place of Slurm's programs.

#include <stdlib.h>

#include <filesystem>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/reckon_program.h"

namespace reckon {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

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
  EXPECT_THAT(result.out, AllOf(HasSubstr("memory per process"), HasSubstr("of a cluster"),
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
                    HasSubstr(absl::StrCat("then run: ", RECKON_BINARY, " launch --slurm ")),
                    HasSubstr("--resume")));
}

}  // namespace
}  // namespace reckon
