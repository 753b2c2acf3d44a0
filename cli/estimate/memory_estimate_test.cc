#include "cli/estimate/memory_estimate.h"

#include <map>

#include "absl/strings/str_cat.h"
#include "cli/estimate/actor_memory.h"
#include "cli/estimate/learner_memory.h"
#include "google/protobuf/text_format.h"
#include "gtest/gtest.h"
#include "tests/support/thin_shape.h"

namespace reckon {
namespace {

ModelConfig Shape() { return ThinShape(3); }
constexpr double kAll = 100 * 8 + 3 * 592 + 8;
// Of a critic: 8 to 16 and 16 to 1, with biases.
constexpr double kCriticHead = 8 * 16 + 16 + 16 + 1;

// As its folder has it in bf16.
ModelSize Size(const ModelConfig& shape = Shape()) {
  return {shape, static_cast<uint64_t>(2 * ParameterCount(shape))};
}

RunConfig Config(const std::string& stage) {
  RunConfig config;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(stage, &config));
  return config;
}

std::map<std::string, double> BytesOf(const MemoryEstimate& estimate) {
  std::map<std::string, double> out;
  for (const MemoryLine& line : estimate.lines) out[line.what] = line.bytes;
  return out;
}

std::map<std::string, double> Learner(const std::string& stage, Placement placement,
                                      RunFolder folder = RunFolder::kOfAllRanks) {
  return BytesOf(LearnerMemory(Config(stage), Size(), placement, folder).estimate);
}

TEST(MemoryEstimate, CountsEveryParameter) {
  EXPECT_EQ(ParameterCount(Shape()), kAll);
  ModelConfig other = Shape();
  other.tie_word_embeddings = false;
  other.qkv_bias = true;
  other.qk_norm = true;
  EXPECT_EQ(ParameterCount(other), kAll + 100 * 8 + 3 * (8 + 2 * 4) + 3 * 2 * 4);
  // q 8x8, k and v 4x8, o 8x8, gate and up 16x8, down 8x16: both sides of each, a rank.
  EXPECT_EQ(AdapterCount(Shape(), 5), 5 * 3 * (16 + 12 + 12 + 16 + 24 + 24 + 24));
}

TEST(MemoryEstimate, FullWeightsTakeTheirGradientMomentsAndAReference) {
  auto estimate = Learner("stage { ppo {} }", Placement::kGpu);
  EXPECT_EQ(estimate["weights, gradient, AdamW"], 16 * kAll);
  EXPECT_EQ(estimate["compute copies"], 2 * (kAll + 800));  // the table twice
  EXPECT_EQ(estimate["reference"], 2 * (kAll + 800));
  EXPECT_EQ(estimate["critic"], 16 * kCriticHead);
  EXPECT_EQ(estimate.count("reward model"), 0u);
  // The CPU's kernels pack weights twice, for the forward and the backward pass.
  EXPECT_EQ(Learner("stage { ppo {} }", Placement::kCpu)["compute copies"],
            2 * (kAll + 800) + 2 * kAll);
}

TEST(MemoryEstimate, AdaptersFreezeTheWeightsAndAreTheirOwnReference) {
  auto estimate = Learner(
      "stage { training { lora_rank: 2 } ppo { critic { layers: 1 } reward { kind: ORM orm: \"a\" "
      "} } }",
      Placement::kGpu);
  EXPECT_EQ(estimate.count("weights, gradient, AdamW"), 0u);
  EXPECT_EQ(estimate["frozen weights"], 2 * (kAll + 800));  // the table twice
  EXPECT_EQ(estimate.count("compute copies"), 0u);
  EXPECT_EQ(estimate["adapters, gradient, AdamW"], (16 + 2) * AdapterCount(Shape(), 2));
  EXPECT_EQ(estimate.count("reference"), 0u);
  EXPECT_EQ(estimate["critic"], 16 * (592 + kCriticHead) + 2 * 592);
  EXPECT_EQ(estimate["reward model"], 2 * (kAll + 800));
}

TEST(MemoryEstimate, EvaluationsHaveAWholeRewardModelOnceItIsTrained) {
  const std::string full = "resources { learner_ranks: 4 } learner { sharding: FULL } ";
  const std::string ppo = "stage { ppo { reward { kind: ORM orm: \"a\" } } }";
  EXPECT_EQ(Learner(full + ppo, Placement::kGpu)["reward model"], 2 * kAll / 4);
  EXPECT_EQ(
      Learner(full + ppo + "eval { samples: 4 orm: \"/a\" }", Placement::kGpu)["reward model"],
      2 * (kAll + 800));
  const auto of = [](const std::string& stages, const std::string& eval) {
    return Learner(stages + "eval { " + eval + " }", Placement::kGpu)["reward model"];
  };
  const std::string orm = "stage { name: \"a\" orm {} }";
  EXPECT_EQ(of(orm + "stage { ppo {} }", "samples: 4 orm: \"a\""), 2 * (kAll + 800));
  EXPECT_EQ(of(orm + "stage { ppo {} }", "samples: 0 orm: \"a\""), 0) << "nothing to rank";
  EXPECT_EQ(of(orm + "stage { ppo {} }", ""), 0);
  // The stage that takes most is the one before.
  EXPECT_EQ(of("stage { ppo {} }" + orm, "samples: 4 orm: \"a\""), 0);
}

TEST(MemoryEstimate, RanksDivideWhatTheyTrainAndNotTheirActivations) {
  const std::string stage =
      "stage { ppo { critic { layers: 1 } } } resources { learner_ranks: 4 } ";
  auto whole = Learner(stage, Placement::kGpu);
  auto recomputed = Learner(stage + "learner { activation_checkpointing: true }", Placement::kGpu);
  auto full = Learner(stage + "learner { sharding: FULL }", Placement::kGpu);
  EXPECT_EQ(full["weights, gradient, AdamW"], whole["weights, gradient, AdamW"] / 4);
  EXPECT_EQ(full["reference"], 2 * kAll / 4 + 2 * 592);
  EXPECT_EQ(full["critic"], 16 * (592.0 / 4 + kCriticHead) + 2 * 592);
  EXPECT_EQ(full.count("compute copies"), 0u);
  // A layer, the next one, and two gradients.
  EXPECT_EQ(full["units in use"], (2 + 2 + 2 * 4) * 592);
  EXPECT_LT(recomputed["activations"], whole["activations"]);
  EXPECT_EQ(full["activations"], whole["activations"]);
  auto both =
      Learner(stage + "learner { sharding: FULL activation_checkpointing: true }", Placement::kGpu);
  EXPECT_EQ(both["activations"], recomputed["activations"]);
  EXPECT_EQ(both["units in use"], full["units in use"]);
  // Gloo also holds what arrives, and the CPU's kernels have each layer twice.
  EXPECT_EQ(Learner(stage + "learner { sharding: FULL }", Placement::kCpu)["units in use"],
            (2 * 2 + 2 + 3 * 4) * 592);
}

// What takes most is a matter of the model: layers above, here the head or the embedding.
TEST(MemoryEstimate, UnitsAreCountedWhereTheyAreThereAtOnce) {
  ModelConfig model = Shape();
  model.vocab_size = 1000;
  const auto line = [&](const std::string& learner, Placement placement, const std::string& what) {
    const RunConfig config = Config("stage { sft {} } resources { learner_ranks: 4 } learner { " +
                                    learner + " sharding: FULL micro_batch_tokens: 16 }");
    for (const MemoryLine& line :
         LearnerMemory(config, Size(model), placement, RunFolder::kOfAllRanks).estimate.lines) {
      if (line.what == what) return line.bytes;
    }
    return 0.0;
  };
  const double table = 1000 * 8, layer = 592;
  // The head as kernels read it, its gradient, and the last layer, which is gathered meanwhile.
  EXPECT_EQ(line("", Placement::kGpu, "units in use"), (2 + 4) * table + 2 * layer);
  // The embedding's gradient, by Gloo twice, while a layer is still there.
  EXPECT_EQ(line("", Placement::kCpu, "units in use"), 2 * 4 * table + 2 * 2 * layer);
  const double of_layer = 16 * 248, residuals = 16 * 3 * 4 * 8, logits = 16 * 1000 * (4 + 2);
  EXPECT_EQ(line("", Placement::kCpu, "activations"), 3 * of_layer + logits);
  EXPECT_EQ(line("activation_checkpointing: true", Placement::kCpu, "activations"),
            residuals + logits);
  // With a small vocabulary the backward pass of a layer takes more than that of the head.
  model.vocab_size = 10;
  const double small_logits = 16 * 10 * (4 + 2);
  ASSERT_LT(small_logits, of_layer);
  EXPECT_EQ(line("", Placement::kCpu, "activations"), (3 + 1) * of_layer);
  EXPECT_EQ(line("activation_checkpointing: true", Placement::kCpu, "activations"),
            (1 + 1) * of_layer + residuals);
}

TEST(MemoryEstimate, GroupsThatDivideAModelHoldItTogether) {
  const std::string stage = "stage { ppo {} } resources { learner_ranks: 12 } ";
  auto full = Learner("stage { ppo {} } resources { learner_ranks: 4 } learner { sharding: FULL }",
                      Placement::kCpu);
  auto hybrid = Learner(stage + "learner { sharding: HYBRID shard_ranks: 4 }", Placement::kCpu);
  // All groups write it.
  EXPECT_EQ(hybrid["checkpoint"], full["checkpoint"] / 3);
  full["checkpoint"] = hybrid["checkpoint"];
  EXPECT_EQ(hybrid, full);
}

TEST(MemoryEstimate, HostMemoryAlsoHoldsVersionsAndWhatACheckpointIsWrittenFrom) {
  auto online = Learner("stage { ppo {} } resources { learner_ranks: 2 }", Placement::kCpu);
  EXPECT_EQ(online["checkpoint"], 12 * (kAll + kCriticHead) / 2);
  EXPECT_EQ(Learner("stage { sft {} }", Placement::kCpu)["checkpoint"], 12 * kAll);
  auto adapters = Learner("stage { training { lora_rank: 2 } sft {} }", Placement::kCpu);
  EXPECT_EQ(adapters["versions"], 2 * 2 * kAll);
  EXPECT_EQ(adapters["checkpoint"], 12 * AdapterCount(Shape(), 2));
  EXPECT_EQ(Learner("stage { ppo {} }", Placement::kGpu).count("checkpoint"), 0u);
}

// Of shards it gathers the others' beside its own, one array at a time.
TEST(MemoryEstimate, ALeaderThatAloneReachesTheFolderHoldsTheWholeCheckpoint) {
  for (const auto& [sharding, beside] :
       {std::pair("REPLICATED", 0.0), {"FULL", 4 * (kAll / 4 + kCriticHead)}}) {
    const std::string config = absl::StrCat(
        "stage { ppo {} } resources { learner_ranks: 4 } learner { sharding: ", sharding, " }");
    auto all = Learner(config, Placement::kCpu);
    EXPECT_EQ(all["checkpoint"], 12 * (kAll + kCriticHead) / 4);
    auto alone = Learner(config, Placement::kCpu, RunFolder::kOfTheLeader);
    EXPECT_EQ(alone["checkpoint"], 12 * (kAll + kCriticHead) + beside);
    all["checkpoint"] = alone["checkpoint"];
    EXPECT_EQ(alone, all);
  }
}

TEST(MemoryEstimate, BesideAGpuARankHasVersionsMomentsAndACheckpoint) {
  const auto host = [](const std::string& config, RunFolder folder) {
    return BytesOf(LearnerHostMemory(Config(config), Size(), folder).estimate);
  };
  auto one = host("stage { ei { rounds: 3 } }", RunFolder::kOfAllRanks);
  // Version 0, three buffers, and what has come from the GPU and is packed into one of them.
  EXPECT_EQ(one["versions"], 5 * 2 * kAll);
  EXPECT_EQ(one["AdamW's moments"], 8 * kAll);
  EXPECT_EQ(one["checkpoint"], 12 * kAll);
  EXPECT_EQ(one.size(), 3u);
  const std::string full =
      "stage { ei { rounds: 3 } } resources { learner_ranks: 4 } learner { sharding: FULL }";
  EXPECT_EQ(host(full, RunFolder::kOfAllRanks)["AdamW's moments"], 8 * kAll / 4);
  EXPECT_EQ(host(full, RunFolder::kOfAllRanks)["checkpoint"], 12 * kAll / 4);
  EXPECT_EQ(host(full, RunFolder::kOfTheLeader)["checkpoint"], (12 + 4 / 4) * kAll);
  auto adapted = host("stage { training { lora_rank: 2 } ppo {} }", RunFolder::kOfAllRanks);
  EXPECT_EQ(adapted["versions"], 3 * 2 * kAll);
  EXPECT_EQ(adapted["AdamW's moments"], 8 * (AdapterCount(Shape(), 2) + kCriticHead));
}

// Version 0 and, as the run makes them, two that are served and one that is packed; of what matrix
// products read, one that actors hold and one that is packed.
TEST(MemoryEstimate, VersionsAreCountedAsTheRunMakesThem) {
  const auto versions = [](const std::string& stages) {
    auto estimate = Learner(stages, Placement::kCpu);
    return std::pair(estimate["versions"] / (2 * kAll),
                     estimate["versions as matrix products read them"] / (2 * (kAll + 800)));
  };
  EXPECT_EQ(versions("stage { sft {} }"), std::pair(2.0, 1.0));
  EXPECT_EQ(versions("stage { ppo { steps: 2 } }"), std::pair(3.0, 2.0));
  EXPECT_EQ(versions("stage { ei { rounds: 3 } }"), std::pair(4.0, 2.0));
  EXPECT_EQ(versions("stage { ppo {} }"), std::pair(4.0, 2.0));
  EXPECT_EQ(versions("stage { sft {} } stage { ppo { steps: 2 } }"), std::pair(4.0, 2.0));
  // Ranks that divide a model gather it to be packed, in what they else compute in.
  EXPECT_EQ(versions("learner { sharding: FULL } stage { sft {} }"), std::pair(2.0, 0.0));
  // Adapters are published as such, until the last version, which is merged while nothing is
  // computed.
  const std::string adapted = "stage { training { lora_rank: 2 } ";
  EXPECT_EQ(versions(adapted + "sft {} }"), std::pair(2.0, 0.0));
  EXPECT_EQ(versions(adapted + "ppo {} }"), std::pair(2.0, 0.0));
  EXPECT_EQ(versions(adapted + "ei { rounds: 3 } }"), std::pair(4.0, 0.0));
}

// While it publishes adapters over another version than the first.
TEST(MemoryEstimate, AdaptersKeepTheVersionThatTheyAreOver) {
  const std::string adapted = "stage { training { lora_rank: 2 } ppo { steps: 9 } }";
  const auto versions = [](const std::string& stages) {
    const StageMemory memory = LearnerHostMemory(Config(stages), Size(), RunFolder::kOfAllRanks);
    return BytesOf(memory.estimate)["versions"] / (2 * kAll);
  };
  EXPECT_EQ(versions(adapted), 3);
  EXPECT_EQ(versions("stage { training { lora_rank: 2 } sft {} }" + adapted), 4);
}

// Whatever the run computes in, it is held and sent as it was read.
TEST(MemoryEstimate, Version0IsAsItsFolderHasIt) {
  const ModelSize wide = {Shape(), static_cast<uint64_t>(4 * kAll)};
  const RunConfig config = Config("stage { ei { rounds: 3 } } actor { kv_cache_mib: 1 }");
  const auto more = [&](const auto& estimate) {
    return estimate(wide).total() - estimate(Size()).total();
  };
  EXPECT_EQ(more([&](const ModelSize& model) {
              return LearnerMemory(config, model, Placement::kCpu, RunFolder::kOfAllRanks).estimate;
            }),
            2 * kAll);
  EXPECT_EQ(more([&](const ModelSize& model) {
              return LearnerHostMemory(config, model, RunFolder::kOfAllRanks).estimate;
            }),
            2 * kAll);
  EXPECT_EQ(
      more([&](const ModelSize& model) { return ActorMemory(config, model, Placement::kCpu); }),
      2 * kAll);
  EXPECT_EQ(
      more([&](const ModelSize& model) { return ServerMemory(config, model, Placement::kCpu); }),
      2 * kAll);
  EXPECT_EQ(
      more([&](const ModelSize& model) { return ActorMemory(config, model, Placement::kGpu); }), 0);
}

// Each rank has the whole head, and a share of the layers.
TEST(MemoryEstimate, CheckpointsAndMomentsHoldWhatIsTrainedBesideTheModel) {
  const auto host = [](const std::string& stage, RunFolder folder) {
    const std::string full = "resources { learner_ranks: 4 } learner { sharding: FULL } ";
    return BytesOf(LearnerHostMemory(Config(full + stage), Size(), folder).estimate);
  };
  const double adapters = AdapterCount(Shape(), 2), layers = 2 * 592;
  const std::string stage = "stage { training { lora_rank: 2 } ppo { critic { layers: 2 } } }";
  auto all = host(stage, RunFolder::kOfAllRanks);
  EXPECT_EQ(all["AdamW's moments"], 8 * (adapters + layers / 4 + kCriticHead));
  EXPECT_EQ(all["checkpoint"], 12 * (adapters + layers + kCriticHead) / 4);
  EXPECT_EQ(host(stage, RunFolder::kOfTheLeader)["checkpoint"],
            12 * (adapters + layers + kCriticHead) + 4 * (adapters + layers / 4 + kCriticHead));
  EXPECT_EQ(host("stage { orm {} }", RunFolder::kOfAllRanks)["checkpoint"],
            12 * (kAll + 8 + 1) / 4);
  EXPECT_EQ(Learner("stage { orm {} }", Placement::kGpu)["reward head"], 16 * (8 + 1));
}

TEST(MemoryEstimate, ARewardModelIsWrittenFromAVersionOfItsOwn) {
  const auto versions = [](const std::string& stages) {
    return Learner(stages, Placement::kCpu)["versions"] / (2 * kAll);
  };
  EXPECT_EQ(versions("stage { orm {} }"), 2);
  EXPECT_EQ(versions("stage { training { lora_rank: 2 } orm {} }"), 2);
  // The stage of three buffers takes less.
  EXPECT_EQ(versions("stage { ei { rounds: 5 } } stage { orm {} }"), 5);
}

// What PrepareRun and the reranker load, and no weights to train.
TEST(MemoryEstimate, ARunThatOnlyEvaluatesHoldsVersion0AndItsRewardModel) {
  const std::string stage = "stage { name: \"look\" eval {} } ";
  const StageMemory look =
      LearnerMemory(Config(stage), Size(), Placement::kCpu, RunFolder::kOfAllRanks);
  EXPECT_EQ(look.stage, "look");
  EXPECT_EQ(look.estimate.total(), 2 * kAll + 150 * (1 << 20));
  EXPECT_EQ(Learner(stage, Placement::kGpu).size(), 0u);
  const std::string ranks = stage + "eval { samples: 4 orm: \"/a\" }";
  auto on_cpu = Learner(ranks, Placement::kCpu), on_gpu = Learner(ranks, Placement::kGpu);
  EXPECT_EQ(on_cpu["reward model"], 2 * (kAll + 800));
  EXPECT_EQ(on_gpu["reward model"], 2 * (kAll + 800));
  EXPECT_GT(on_gpu["activations"], 0);
  // As it is read, where there are no activations yet.
  EXPECT_EQ(
      BytesOf(
          LearnerHostMemory(Config(ranks), Size(), RunFolder::kOfAllRanks).estimate)["versions"],
      2 * 2 * kAll);
}

TEST(MemoryEstimate, FrozenUnitsUnderAdaptersHaveNoGradients) {
  const std::string full = "resources { learner_ranks: 4 } learner { sharding: FULL } ";
  auto whole = Learner(full + "stage { sft {} }", Placement::kGpu);
  auto adapted = Learner(full + "stage { training { lora_rank: 2 } sft {} }", Placement::kGpu);
  EXPECT_EQ(whole["units in use"], (2 + 2 + 2 * 4) * 592);
  EXPECT_EQ(adapted["units in use"], (2 + 2) * 800);  // the head, gathered and as kernels read it
}

TEST(MemoryEstimate, ChoosesTheFastestThatFits) {
  // Limits are hundredths of a GiB.
  const auto choose = [](double limit, uint32_t ranks, uint32_t tokens) {
    RunConfig config = Config("stage { sft {} }");
    config.mutable_resources()->set_learner_ranks(ranks);
    config.mutable_learner()->set_micro_batch_tokens(tokens);
    ModelConfig model = Shape();
    model.num_layers = 1000;
    ChooseSharding(Size(model), Placement::kGpu, RunFolder::kOfAllRanks, limit * (1 << 30) / 100,
                   &config);
    return std::pair(config.learner().sharding(), config.learner().activation_checkpointing());
  };
  const std::pair replicated(LearnerSettings::REPLICATED, false),
      recomputed(LearnerSettings::REPLICATED, true), full(LearnerSettings::FULL, false),
      both(LearnerSettings::FULL, true);
  // Weights, copies, gradient and moments take 1. 16 tokens have 0.73 of activations, or 0.05 if
  // layers are recomputed; 2048 have 94, or 7; 16384 have 746, or 51.
  EXPECT_EQ(choose(1000, 4, 2048), replicated);
  EXPECT_EQ(choose(10, 4, 2048), recomputed);
  EXPECT_EQ(choose(0.5, 1, 2048), recomputed);
  EXPECT_EQ(choose(0.5, 4, 2048), both);
  EXPECT_EQ(choose(1.0, 4, 16), full);
  EXPECT_EQ(choose(0.1, 400, 16), both);
  // Both fit: a smaller micro-batch recomputes, a larger one gathers.
  EXPECT_EQ(choose(745.9, 4, 16383), recomputed);
  EXPECT_EQ(choose(745.9, 4, 16384), full);
  // What the config says is not changed.
  RunConfig config = Config("learner { sharding: REPLICATED } stage { sft {} }");
  ChooseSharding(Size(), Placement::kGpu, RunFolder::kOfAllRanks, 1, &config);
  EXPECT_EQ(config.learner().sharding(), LearnerSettings::REPLICATED);
  EXPECT_FALSE(config.learner().activation_checkpointing());
}

TEST(MemoryEstimate, ASequenceThatIsLongerThanAMicroBatchIsOne) {
  ModelConfig model = Shape();
  model.max_positions = 6000;
  const auto activations = [&](uint32_t max_tokens) {
    RunConfig config = Config("learner { micro_batch_tokens: 2048 } stage { sft {} }");
    config.mutable_stage(0)->mutable_training()->set_max_tokens(max_tokens);
    return BytesOf(LearnerMemory(config, Size(model), Placement::kCpu, RunFolder::kOfAllRanks)
                       .estimate)["activations"];
  };
  EXPECT_EQ(activations(1024), activations(2048));
  EXPECT_GT(activations(4096), 1.5 * activations(2048));
  EXPECT_EQ(activations(6000), activations(9000)) << "the model's positions";
}

TEST(MemoryEstimate, IsOfTheStageThatTakesMost) {
  EXPECT_EQ(LearnerMemory(Config("stage { name: \"a\" sft {} } stage { name: \"b\" ppo {} } "
                                 "stage { name: \"c\" ei {} }"),
                          Size(), Placement::kCpu, RunFolder::kOfAllRanks)
                .stage,
            "b");
}

TEST(MemoryEstimate, InAnActorsTurnTheLearnerKeepsItsWeights) {
  const auto kept = [](const std::string& stage) {
    return LearnerMemory(Config(stage), Size(), Placement::kGpu, RunFolder::kOfAllRanks)
        .estimate.kept();
  };
  // Parameters in fp32, the copies that products read, and the reference.
  EXPECT_EQ(kept("stage { ppo {} }"), (4 + 2 + 2) * kAll + 2 * 2 * 800 + 4 * kCriticHead);
  EXPECT_EQ(kept("stage { sft {} }"), (4 + 2) * kAll + 2 * 800);
  const double adapters = AdapterCount(Shape(), 2);
  EXPECT_EQ(kept("stage { training { lora_rank: 2 } sft {} }"),
            2 * (kAll + 800) + (4 + 2) * adapters);
}

TEST(MemoryEstimate, AnActorTakesWhatIsLeftOfAGpuThatIsItsAloneOrByTurns) {
  const auto why = [](const std::string& resources) {
    for (const MemoryLine& line : ActorMemory(Config(resources), Size(), Placement::kGpu).lines) {
      if (line.what == "KV cache") return line.why;
    }
    return std::string();
  };
  for (const char* its : {"", "resources { learner_ranks: 2 }",
                          "resources { actor { gpus: 1 } learner { gpus: 1 } }"}) {
    EXPECT_NE(why(its).find("takes what is left"), std::string::npos) << its;
  }
  EXPECT_EQ(why("resources { turns: OFF }").find("takes what is left"), std::string::npos);
}

TEST(MemoryEstimate, AnActorHoldsTwoVersionsAndItsCache) {
  const MemoryEstimate estimate =
      ActorMemory(Config("actor { kv_cache_mib: 3 max_batch: 7 }"), Size(), Placement::kGpu);
  EXPECT_EQ(estimate.total(), 2 * 2 * (kAll + 800) + 3 * (1 << 20) + 7 * 100 * 4);
  // In main memory the bytes as fetched and the program itself come on top.
  EXPECT_EQ(ActorMemory(Config("actor { kv_cache_mib: 3 max_batch: 7 }"), Size(), Placement::kCpu)
                .total(),
            estimate.total() + 2 * 2 * kAll + 200 * (1 << 20));
}

TEST(MemoryEstimate, BesideAGpuAnActorHoldsTheVersionsThatItFetches) {
  EXPECT_EQ(ActorHostBytes(Config(""), Size()), 2 * 2 * kAll);
  EXPECT_EQ(ActorHostBytes(Config("model { compute: FP32 }"), Size()), 2 * 4 * kAll);
}

TEST(MemoryEstimate, AServerHoldsOneVersionAndItsCache) {
  const RunConfig config = Config("actor { kv_cache_mib: 3 max_batch: 7 }");
  EXPECT_EQ(ServerMemory(config, Size(), Placement::kGpu).total(),
            2 * (kAll + 800) + 3 * (1 << 20) + 7 * 100 * 4);
  EXPECT_EQ(ServerMemory(config, Size(), Placement::kCpu).total(),
            2 * (kAll + 800) + 2 * kAll + 3 * (1 << 20) + 7 * 100 * 4 + 200 * (1 << 20));
}

}  // namespace
}  // namespace reckon
