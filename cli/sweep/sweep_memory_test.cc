#include "cli/sweep/sweep_memory.h"

#include "google/protobuf/text_format.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

RunMemory Plan(const std::string& text) {
  SweepPlan plan;
  SweepRun& run = plan.runs.emplace_back();
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &run.config));
  run.config.mutable_model()->set_path("recipes/models/smollm2-135m");
  run.config.add_stage()->mutable_sft();
  return PlanRunMemory(plan).front();
}

// By the rule of `reckon train`.
TEST(SweepMemoryTest, ARunIsOnAGpuWhereItsProcessesAre) {
  const RunMemory on_cpu = Plan("model { device: CPU }");
  EXPECT_EQ(on_cpu.unknown, "");
  EXPECT_FALSE(on_cpu.on_gpu);
  EXPECT_TRUE(Plan("model { device: CUDA }").on_gpu);
  const RunMemory own = Plan("resources { actor { gpus: 1 } learner { gpus: 1 } }");
  EXPECT_TRUE(own.on_gpu);
  EXPECT_LT(own.actor, on_cpu.actor);
  EXPECT_EQ(MostAtOnce({on_cpu, own}, 2), on_cpu.total);
}

}  // namespace
}  // namespace reckon
