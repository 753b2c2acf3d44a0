#include "actor/runner/torch_model_runner.h"

#include <map>
#include <tuple>
#include <utility>
#include <vector>

#include "actor/engine/engine.h"
#include "common/model/init/random_model.h"
#include "common/model/shared_bytes.h"
#include "common/model/transformer.h"
#include "gtest/gtest.h"
#include "tests/support/tiny_model.h"

namespace reckon {
namespace {

using Results = std::map<std::tuple<uint64_t, uint32_t>, Rollout>;

Lease MakeLease(uint64_t group, int samples) {
  Lease lease;
  lease.set_id(group);
  lease.set_plan("p");
  lease.mutable_item()->set_group(group);
  // Prompts end before, at and after the end of a page of 64.
  for (uint64_t i = 0; i < 60 + 2 * group; ++i) {
    lease.mutable_item()->add_prompt_tokens(kTinyFirstByte + (group * 37 + i * 11) % 256);
  }
  for (int i = 0; i < samples; ++i) lease.add_samples(i);
  return lease;
}

PlanSpec MakePlan() {
  PlanSpec plan;
  plan.set_name("p");
  SamplingParams* p = plan.mutable_sampling();
  p->set_temperature(0.8);
  p->set_top_k(40);
  p->set_top_p(0.95);
  p->set_max_new_tokens(24);
  plan.set_seed(3);
  plan.add_stop_token_ids(kTinyEnd);
  return plan;
}

class TorchModelRunnerTest : public testing::TestWithParam<bool> {
 protected:
  std::unique_ptr<ModelRunner> Make() {
    auto runner = maker_.Make(weights_);
    EXPECT_TRUE(runner.ok()) << runner.status();
    return runner.ok() ? *std::move(runner) : nullptr;
  }
  Results Run(ModelRunner* runner, const std::vector<Lease>& leases, const PlanSpec& plan,
              EngineOptions options) {
    Engine engine(runner, tokenizer_.get(), options);
    const int64_t free_pages = runner->free_pages();
    for (const Lease& lease : leases) {
      absl::Status status = engine.Admit(lease, std::make_shared<const PlanSpec>(plan));
      EXPECT_TRUE(status.ok()) << status;
    }
    Results results;
    while (!engine.idle()) {
      auto finished = engine.RunPass();
      EXPECT_TRUE(finished.ok()) << finished.status();
      if (!finished.ok()) break;
      for (const FinishedSample& f : *finished) {
        const RolloutKey& key = f.rollout.key();
        results[{key.group(), key.sample()}] = f.rollout;
      }
    }
    EXPECT_EQ(runner->free_pages(), free_pages);
    return results;
  }

  Weights weights_ = MakeTinyModel();
  TorchModelRunnerMaker maker_{[] {
    TorchModelRunnerOptions options;
    options.fp32 = GetParam();
    options.kv_cache_bytes = 16 << 20;
    return options;
  }()};
  std::unique_ptr<Tokenizer> tokenizer_ =
      *Tokenizer::Create(weights_.manifest.texts().tokenizer_json());
};

TEST_P(TorchModelRunnerTest, ASampleAloneEqualsItselfAmongStrangersBitForBit) {
  std::unique_ptr<ModelRunner> runner = Make();
  ASSERT_NE(runner, nullptr);
  std::vector<Lease> leases;
  for (uint64_t group = 0; group < 5; ++group) leases.push_back(MakeLease(group, 5));
  EngineOptions together;
  together.max_batch = 25;
  EngineOptions narrow;
  narrow.max_batch = 7;
  narrow.max_prefill_rows = 33;
  const Results all = Run(runner.get(), leases, MakePlan(), together);
  ASSERT_EQ(all.size(), 25u);
  const Results few = Run(runner.get(), leases, MakePlan(), narrow);
  ASSERT_EQ(few.size(), 25u);
  for (const auto& [key, rollout] : all) {
    EXPECT_EQ(rollout.SerializeAsString(), few.at(key).SerializeAsString());
    if (std::get<1>(key) % 2 == 1) continue;
    Lease alone = MakeLease(std::get<0>(key), 0);
    alone.add_samples(std::get<1>(key));
    const Results one = Run(runner.get(), {alone}, MakePlan(), narrow);
    EXPECT_EQ(rollout.SerializeAsString(), one.at(key).SerializeAsString());
  }
  EXPECT_NE(all.at({1, 0}).completion(), all.at({1, 1}).completion());
}

TEST_P(TorchModelRunnerTest, SamplesTheSameAfterItHasLeftTheDevice) {
  const std::vector<Lease> leases = {MakeLease(0, 3), MakeLease(1, 3)};
  std::unique_ptr<ModelRunner> runner = Make();
  ASSERT_NE(runner, nullptr);
  const Results before = Run(runner.get(), leases, MakePlan(), {});
  ASSERT_EQ(before.size(), 6u);
  const int64_t pages = runner->total_pages();
  runner.reset();
  maker_.LeaveDevice();
  runner = Make();
  ASSERT_NE(runner, nullptr);
  EXPECT_EQ(runner->total_pages(), pages);
  const Results after = Run(runner.get(), leases, MakePlan(), {});
  for (const auto& [key, rollout] : before) {
    EXPECT_EQ(rollout.SerializeAsString(), after.at(key).SerializeAsString());
  }
}

// The learner of a shared device, as far as an actor sees it.
TEST_P(TorchModelRunnerTest, InItsTurnItReadsTheLearnersWeightsInPlace) {
  constexpr Backend kBackend = Backend::kTorchCpu;
  TorchModelRunnerMaker maker(
      {.fp32 = GetParam(), .kv_cache_bytes = 16 << 20, .backend = kBackend});
  const std::vector<Lease> leases = {MakeLease(0, 2)};
  PlanSpec plan = MakePlan();
  plan.mutable_sampling()->set_max_new_tokens(5);
  const auto sample = [&](uint64_t version) {
    Weights weights = weights_;
    weights.manifest.set_version(version);
    weights.manifest.set_term(2);
    auto runner = maker.Make(weights);
    EXPECT_TRUE(runner.ok()) << runner.status();
    Results results = Run(runner->get(), leases, plan, {});
    runner->reset();
    maker.LeaveDevice();
    return results;
  };
  const auto same = [](const Results& a, const Results& b) {
    for (const auto& [key, rollout] : a) {
      if (rollout.SerializeAsString() != b.at(key).SerializeAsString()) return false;
    }
    return true;
  };
  const Results loaded = sample(7);

  // Other weights than those that the manifest describes, so that it shows which are used.
  const Weights other = MakeTinyModel(/*seed=*/2);
  Transformer learner(TinyConfig(), GetParam() ? Dtype::kFp32 : Dtype::kBf16, kBackend);
  ASSERT_TRUE(learner.Load(other.manifest, other.bytes->bytes(), /*trainable=*/true).ok());
  auto memory = MakeSharedBytes(kBackend, learner.packed_size());
  ASSERT_TRUE(memory.ok()) << memory.status();
  learner.PackInto([&](int64_t) { return memory->bytes; });
  DeviceWeights left;
  left.set_term(2);
  left.set_version(7);
  left.set_dtype(GetParam() ? "F32" : "BF16");
  left.set_total_bytes(static_cast<uint64_t>(memory->bytes.numel()));
  left.set_handle(memory->handle);
  maker.TakeDevice(left.SerializeAsString());
  const Results shared = sample(7);
  EXPECT_FALSE(same(shared, loaded));
  EXPECT_TRUE(same(sample(7), loaded)) << "LeaveDevice ends it";
  maker.TakeDevice(left.SerializeAsString());
  EXPECT_TRUE(same(sample(7), shared)) << "again, in the memory that is open already";

  // What is not that version, or cannot be opened, is loaded.
  maker.TakeDevice(left.SerializeAsString());
  EXPECT_TRUE(same(sample(8), loaded));
  DeviceWeights wrong = left;
  wrong.set_term(1);
  maker.TakeDevice(wrong.SerializeAsString());
  EXPECT_TRUE(same(sample(7), loaded));
  wrong = left;
  wrong.set_dtype(GetParam() ? "BF16" : "F32");
  maker.TakeDevice(wrong.SerializeAsString());
  EXPECT_TRUE(same(sample(7), loaded));
  wrong = left;
  wrong.set_handle("of a learner that has ended");
  maker.TakeDevice(wrong.SerializeAsString());
  EXPECT_TRUE(same(sample(7), loaded));
  maker.TakeDevice("no message");
  EXPECT_TRUE(same(sample(7), loaded));
}

TEST_P(TorchModelRunnerTest, WhatWasSampledScoresTheSameBitForBit) {
  std::unique_ptr<ModelRunner> runner = Make();
  ASSERT_NE(runner, nullptr);
  PlanSpec plan = MakePlan();
  plan.mutable_sampling()->set_temperature(1);
  plan.mutable_sampling()->set_top_k(0);
  plan.mutable_sampling()->set_top_p(1);
  const Lease lease = MakeLease(2, 3);
  const Results sampled = Run(runner.get(), {lease}, plan, {});
  PlanSpec score;
  score.set_name("p");
  score.set_score_forced(true);
  for (const auto& [key, rollout] : sampled) {
    Lease forced = MakeLease(2, 1);
    *forced.mutable_item()->mutable_forced_tokens() = rollout.spans(1).tokens();
    const Rollout scored = Run(runner.get(), {forced}, score, {}).begin()->second;
    ASSERT_EQ(scored.spans(1).logprobs_size(), rollout.spans(1).logprobs_size());
    for (int i = 0; i < scored.spans(1).logprobs_size(); ++i) {
      EXPECT_EQ(scored.spans(1).logprobs(i), rollout.spans(1).logprobs(i)) << i;
      EXPECT_LE(scored.spans(1).logprobs(i), 0);
    }
  }
}

// A version that is adapters alone, of a model that has been loaded by a runner, or has not.
TEST_P(TorchModelRunnerTest, AdaptersAreLoadedOverTheirBase) {
  Weights adapters = MakeTinyAdapters(/*base_version=*/0);
  adapters.base = std::make_shared<const Weights>(weights_);
  std::unique_ptr<ModelRunner> base = Make();
  auto shared = maker_.Make(adapters);
  ASSERT_TRUE(shared.ok()) << shared.status();
  base.reset();
  auto second = maker_.Make(adapters);  // finds the base by the first
  ASSERT_TRUE(second.ok()) << second.status();
  second->reset();
  const Results first = Run(shared->get(), {MakeLease(2, 3)}, MakePlan(), {});
  shared->reset();
  auto alone = maker_.Make(adapters);
  ASSERT_TRUE(alone.ok()) << alone.status();
  const Results again = Run(alone->get(), {MakeLease(2, 3)}, MakePlan(), {});
  alone->reset();
  const Results before = Run(Make().get(), {MakeLease(2, 3)}, MakePlan(), {});
  for (const auto& [key, rollout] : first) {
    EXPECT_EQ(rollout.SerializeAsString(), again.at(key).SerializeAsString());
    EXPECT_NE(rollout.SerializeAsString(), before.at(key).SerializeAsString());
  }
}

// A learner writes into config.json what is true of the weights that it has trained.
TEST_P(TorchModelRunnerTest, WhatIsInFlightContinuesWithAVersionWhoseTextsDiffer) {
  Weights trained = MakeTinyModel(/*seed=*/2);
  SetConfigField("torch_dtype", "float32", &trained);
  SetConfigField("eos_token_id", 5, &trained);
  PlanSpec plan = MakePlan();
  plan.clear_stop_token_ids();
  for (const bool recompute : {false, true}) {
    std::unique_ptr<ModelRunner> first = Make();
    ASSERT_NE(first, nullptr);
    const int64_t free_pages = first->free_pages();
    Engine engine(first.get(), tokenizer_.get(), {}, 0);
    ASSERT_TRUE(engine.Admit(MakeLease(2, 3), std::make_shared<const PlanSpec>(plan)).ok());
    for (int pass = 0; pass < 4; ++pass) ASSERT_TRUE(engine.RunPass().ok());
    auto second = maker_.Make(trained);
    ASSERT_TRUE(second.ok()) << second.status();
    EXPECT_EQ((*second)->free_pages(), first->free_pages()) << "they have one cache";
    ASSERT_TRUE(engine.FinishStarted().ok());
    ASSERT_TRUE(engine.ChangeRunner(second->get(), 1, recompute).ok());
    first.reset();
    int finished = 0;
    while (!engine.idle()) {
      const auto samples = engine.RunPass();
      ASSERT_TRUE(samples.ok()) << samples.status();
      for (const FinishedSample& sample : *samples) {
        ++finished;
        ASSERT_EQ(sample.rollout.spans_size(), 3);
        EXPECT_EQ(sample.rollout.spans(1).tokens_size(), 4);
        EXPECT_EQ(sample.rollout.spans(2).weight_version(), 1u);
      }
    }
    EXPECT_EQ(finished, 3);
    EXPECT_EQ((*second)->free_pages(), free_pages);
  }
}

TEST_P(TorchModelRunnerTest, AVersionOfAnotherShapeHasACacheOfItsOwn) {
  std::unique_ptr<ModelRunner> runner = Make();
  ASSERT_NE(runner, nullptr);
  const int64_t pages = runner->total_pages();
  ModelConfig config = TinyConfig();
  config.num_layers = 4;
  WeightManifest manifest = RandomModelManifest(config);
  manifest.mutable_texts()->set_tokenizer_json(weights_.texts().tokenizer_json());
  const Weights other = DrawWeights(std::move(manifest), 1).value();
  EXPECT_DEATH(maker_.Make(other).IgnoreError(), "a runner is left");
  runner.reset();
  auto deeper = maker_.Make(other);
  ASSERT_TRUE(deeper.ok()) << deeper.status();
  EXPECT_EQ((*deeper)->total_pages(), pages / 2);
  EXPECT_EQ(Run(deeper->get(), {MakeLease(1, 2)}, MakePlan(), {}).size(), 2u);
  deeper->reset();
  EXPECT_EQ(Make()->total_pages(), pages);
}

TEST_P(TorchModelRunnerTest, WeightsThatDoNotFitAreRefused) {
  Weights wrong = weights_;
  wrong.manifest.mutable_tensors(3)->set_name("model.stranger.weight");
  EXPECT_FALSE(maker_.Make(wrong).ok());
  wrong = weights_;
  wrong.manifest.mutable_texts()->set_config_json("{}");
  EXPECT_FALSE(maker_.Make(wrong).ok());
  EXPECT_TRUE(maker_.Make(weights_).ok());
}

TEST(TorchModelRunnerBackendTest, TheKernelsOfLibTorchDrawWhatTheCpuKernelsDraw) {
  const Weights weights = MakeTinyModel();
  auto draw = [&](Backend backend) {
    TorchModelRunnerMaker maker({.fp32 = true, .kv_cache_bytes = 16 << 20, .backend = backend});
    std::unique_ptr<ModelRunner> runner = maker.Make(weights).value();
    const ModelRunner::Sequence parent = runner->Add(100).value();
    std::vector<ModelRunner::Row> prompt;
    for (uint32_t i = 0; i < 70; ++i) prompt.push_back({parent, i % 7});
    prompt.back().draws = true;
    std::vector<DrawnToken> drawn = runner->RunPass(prompt).value();
    const ModelRunner::Sequence child = runner->Fork(parent, 70, 100).value();
    for (int t = 0; t < 20; ++t) {
      const TokenDraw draw = {.uniform = t / 20.0};
      const std::vector<ModelRunner::Row> rows = {{parent, drawn.back().token, false},
                                                  {child, drawn.back().token, true, draw}};
      drawn.push_back(runner->RunPass(rows).value().at(0));
    }
    return drawn;
  };
  const auto wanted = draw(Backend::kCpuKernels), got = draw(Backend::kTorchCpu);
  ASSERT_EQ(wanted.size(), 21u);
  for (size_t i = 0; i < wanted.size(); ++i) {
    ASSERT_EQ(got.at(i).token, wanted[i].token) << i;
    EXPECT_NEAR(got[i].logprob, wanted[i].logprob, 1e-4) << i;
  }
}

TEST(TorchModelRunnerVocabularyTest, RowsThatNoTokenHasAreNeitherDrawnNorGiven) {
  ModelConfig config = TinyConfig();
  config.vocab_size = kTinyVocab + 41;
  WeightManifest manifest = RandomModelManifest(config);
  manifest.mutable_texts()->set_tokenizer_json(MakeTinyModel().manifest.texts().tokenizer_json());
  const Weights weights = DrawWeights(std::move(manifest), 1).value();
  TorchModelRunnerMaker maker({.fp32 = true, .kv_cache_bytes = 16 << 20});
  std::unique_ptr<ModelRunner> runner = maker.Make(weights).value();
  EXPECT_EQ(runner->vocab_size(), kTinyVocab);
  const ModelRunner::Sequence sequence = runner->Add(300).value();
  uint32_t token = 5;
  for (int i = 0; i < 300; ++i) {
    // So hot that every row would be drawn.
    const TokenDraw draw = {.temperature = 100, .uniform = i / 300.0};
    token = runner->RunPass({{sequence, token, true, draw}}).value().at(0).token;
    ASSERT_LT(token, kTinyVocab) << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Compute, TorchModelRunnerTest, testing::Bool(),
                         [](const auto& info) { return info.param ? "Fp32" : "Bf16"; });

}  // namespace
}  // namespace reckon
