#include "cli/commands/resource_plan.h"

#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

ModelSize Size(int64_t layers) {
  ModelConfig shape;
  shape.num_layers = layers;
  shape.hidden_size = 2048;
  shape.num_heads = 16;
  shape.num_kv_heads = 16;
  shape.head_dim = 128;
  shape.intermediate_size = 8192;
  shape.vocab_size = 32000;
  return {shape, static_cast<uint64_t>(2 * ParameterCount(shape))};
}

TEST(ResourcePlanTest, FillsInWhatAProcessNeedsOnACluster) {
  RunConfig config;
  config.add_stage()->mutable_sft();
  const ModelSize model = Size(16);
  ASSERT_TRUE(PlanClusterResources(&model, Site::kSlurm, &config).ok());
  const ResourceSettings& resources = config.resources();
  EXPECT_EQ(resources.coordinator().cpus(), 2);
  EXPECT_EQ(resources.actor().cpus(), 4);
  EXPECT_EQ(resources.learner().cpus(), 4);
  EXPECT_GT(resources.actor().memory_gib(), 1);
  EXPECT_GT(resources.learner().memory_gib(), resources.actor().memory_gib());

  // A second time nothing is open, and what was filled in is enough.
  const std::string before = config.SerializeAsString();
  ASSERT_TRUE(PlanClusterResources(&model, Site::kSlurm, &config).ok());
  EXPECT_EQ(config.SerializeAsString(), before);
}

TEST(ResourcePlanTest, MemoryIsWhatTheLeaderHas) {
  const ModelSize model = Size(16);
  const auto memory_gib = [&](uint32_t gpus, Site site) {
    RunConfig config;
    config.add_stage()->mutable_ppo();
    config.mutable_resources()->set_learner_ranks(4);
    config.mutable_resources()->mutable_learner()->set_gpus(gpus);
    EXPECT_TRUE(PlanClusterResources(&model, site, &config).ok());
    return config.resources().learner().memory_gib();
  };
  const double parameters = ParameterCount(model.shape);
  for (const uint32_t gpus : {0, 1}) {
    const uint32_t more = memory_gib(gpus, Site::kKubernetes) - memory_gib(gpus, Site::kSlurm);
    EXPECT_NEAR(more, 1.1 * 12 * 3 / 4 * parameters / (1 << 30), 1.0) << gpus;
  }
  // 10 for versions, 8 for moments, 12 for a checkpoint, and the program.
  EXPECT_NEAR(memory_gib(1, Site::kKubernetes), 1.1 * (30 * parameters / (1 << 30) + 4), 1.0);
}

TEST(ResourcePlanTest, ALearnerThatTrainsNothingHasTheModelThatItServes) {
  const ModelSize model = Size(16);
  for (const uint32_t gpus : {0, 1}) {
    RunConfig config;
    config.add_stage()->mutable_eval();
    config.mutable_resources()->mutable_learner()->set_gpus(gpus);
    ASSERT_TRUE(PlanClusterResources(&model, Site::kSlurm, &config).ok());
    EXPECT_NEAR(config.resources().learner().memory_gib(),
                1.1 * (static_cast<double>(model.weight_bytes) / (1 << 30) + 4 * gpus), 1.2)
        << gpus;
  }
}

TEST(ResourcePlanTest, AnActorOnAGpuFetchesWhatIsComputedIn) {
  const ModelSize model = Size(16);
  const auto memory_gib = [&](ModelSettings::Compute compute) {
    RunConfig config;
    config.add_stage()->mutable_ppo();
    config.mutable_model()->set_compute(compute);
    config.mutable_resources()->mutable_actor()->set_gpus(1);
    EXPECT_TRUE(PlanClusterResources(&model, Site::kSlurm, &config).ok());
    return config.resources().actor().memory_gib();
  };
  const double parameters = ParameterCount(model.shape);
  EXPECT_NEAR(memory_gib(ModelSettings::FP32) - memory_gib(ModelSettings::BF16),
              1.1 * 4 * parameters / (1 << 30), 1.0);
}

// Those of this machine say nothing of a cluster.
TEST(ResourcePlanTest, OnlyOnThisMachineProcessesShareGpus) {
  RunConfig config;
  config.mutable_model()->set_device(ModelSettings::CUDA);
  const auto places = [&](Site site) {
    return std::pair(ActorPlacement(config, site), LearnerPlacement(config, site));
  };
  const Placement cpu = Placement::kCpu, gpu = Placement::kGpu;
  EXPECT_EQ(places(Site::kThisMachine), std::pair(gpu, gpu));
  EXPECT_EQ(places(Site::kSlurm), std::pair(cpu, cpu));
  config.mutable_resources()->mutable_actor()->set_gpus(1);
  EXPECT_EQ(places(Site::kThisMachine), std::pair(gpu, cpu)) << "actors have all that there are";
  EXPECT_EQ(places(Site::kKubernetes), std::pair(gpu, cpu));
}

// With what the machine has beside a GPU: no activations, no KV cache.
TEST(ResourcePlanTest, WhatComputesOnASharedGpuIsNotComparedWithThisMachine) {
  RunConfig config;
  config.add_stage()->mutable_sft();
  config.mutable_actor()->set_kv_cache_mib(1 << 20);
  config.mutable_learner()->set_micro_batch_tokens(1 << 20);
  const ModelSize model = Size(1);
  EXPECT_THAT(std::string(CheckLocalMemory(config, &model).message()),
              HasSubstr("this machine has"));
  config.mutable_model()->set_device(ModelSettings::CUDA);
  EXPECT_TRUE(CheckLocalMemory(config, &model).ok()) << CheckLocalMemory(config, &model);
}

TEST(ResourcePlanTest, ARankHasWhatActorsLeaveOfAGpuThatTheyUseAtTheSameTime) {
  const ModelSize model = Size(16);
  const auto sharding = [&](ResourceSettings::Turns turns, uint32_t kv_cache_mib) {
    RunConfig config;
    config.add_stage()->mutable_sft();
    config.mutable_model()->set_device(ModelSettings::CUDA);
    config.mutable_resources()->set_learner_ranks(4);
    config.mutable_resources()->set_actors(4);
    config.mutable_resources()->set_turns(turns);
    config.mutable_actor()->set_kv_cache_mib(kv_cache_mib);
    PlanSharding(&model, Site::kThisMachine, &config);
    return config.learner().sharding();
  };
  EXPECT_EQ(sharding(ResourceSettings::OFF, 1 << 10), LearnerSettings::REPLICATED);
  EXPECT_EQ(sharding(ResourceSettings::OFF, 70 << 10), LearnerSettings::FULL);
  EXPECT_EQ(sharding(ResourceSettings::AUTO, 70 << 10), LearnerSettings::REPLICATED);
}

TEST(ResourcePlanTest, ThereAreNoTurnsOnACluster) {
  RunConfig config;
  config.mutable_resources()->set_turns(ResourceSettings::ON);
  const ModelSize model = Size(16);
  EXPECT_THAT(
      std::string(PlanClusterResources(&model, Site::kSlurm, &config).message()),
      HasSubstr("resources.turns is ON, and on a cluster no rank and actor share a device"));
}

TEST(ResourcePlanTest, RefusesMemoryBelowThePlan) {
  RunConfig config;
  config.add_stage()->mutable_sft();
  config.mutable_resources()->mutable_learner()->set_memory_gib(1);
  const ModelSize model = Size(16);
  for (const absl::Status& status :
       {CheckLocalMemory(config, &model), PlanClusterResources(&model, Site::kSlurm, &config)}) {
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(std::string(status.message()),
                AllOf(HasSubstr("resources.learner.memory_gib is 1, but learner needs about"),
                      HasSubstr("learner.micro_batch_tokens")));
  }
}

TEST(ResourcePlanTest, RefusesMoreThanThisMachineHas) {
  RunConfig config;
  config.add_stage()->mutable_sft();
  const ModelSize small = Size(1), large = Size(4000);
  EXPECT_TRUE(CheckLocalMemory(config, &small).ok());
  EXPECT_THAT(
      std::string(CheckLocalMemory(config, &large).message()),
      AllOf(HasSubstr("1 actors and 1 learner ranks need about"), HasSubstr("this machine has")));
}

TEST(ResourcePlanTest, WhatIsNotKnownHasToBeSaid) {
  RunConfig config;
  EXPECT_THAT(std::string(PlanClusterResources(nullptr, Site::kSlurm, &config).message()),
              HasSubstr("set resources.actor.memory_gib and resources.learner.memory_gib"));
  config.mutable_resources()->mutable_actor()->set_memory_gib(8);
  config.mutable_resources()->mutable_learner()->set_memory_gib(8);
  EXPECT_TRUE(PlanClusterResources(nullptr, Site::kSlurm, &config).ok());
  config.mutable_model()->set_device(ModelSettings::CUDA);
  EXPECT_THAT(std::string(PlanClusterResources(nullptr, Site::kSlurm, &config).message()),
              HasSubstr("resources.actor.gpus is 0"));
}

}  // namespace
}  // namespace reckon
