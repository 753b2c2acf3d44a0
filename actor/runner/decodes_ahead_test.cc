#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "actor/engine/engine.h"
#include "actor/runner/torch_model_runner.h"
#include "common/model/backend.h"
#include "common/model/init/random_model.h"
#include "common/model/kernels/torch/row_tiles.h"
#include "gtest/gtest.h"
#include "tests/support/tiny_model.h"

#ifdef RECKON_CUDA_ON_CPU
#include "tests/support/cuda_on_cpu/cpu_step_device.h"
#include "tests/support/cuda_on_cpu/grid.h"
#define DecodesAheadTest CpuDecodesAheadTest
#else
#define DecodesAheadTest GpuDecodesAheadTest
#endif

// The engine over runners whose passes run ahead, by CUDA kernels, beside the engine over runners
// whose passes are finished one by one, by LibTorch's operations on the CPU: the same rollouts,
// token for token. On a GPU, and on the CPU by the same kernels (tests/support/cuda_on_cpu).
namespace reckon {
namespace {

using Results = std::map<std::tuple<uint64_t, uint32_t>, Rollout>;

struct Work {
  Lease lease;
  PlanSpec plan;
};

Work MakeWork(uint64_t group, int samples, uint32_t max_new) {
  Work work;
  work.lease.set_id(group + 1);
  work.lease.set_plan("p");
  work.lease.mutable_item()->set_group(group);
  // Prompts end before, at and after the end of a page of 64.
  for (uint64_t i = 0; i < 61 + 2 * group; ++i) {
    work.lease.mutable_item()->add_prompt_tokens(kTinyFirstByte + (group * 37 + i * 11) % 256);
  }
  for (int i = 0; i < samples; ++i) work.lease.add_samples(i);
  work.plan.set_name("p");
  work.plan.set_seed(3);
  SamplingParams* p = work.plan.mutable_sampling();
  p->set_temperature(1);
  p->set_top_p(1);
  p->set_max_new_tokens(max_new);
  return work;
}

class DecodesAheadTest : public testing::Test {
 protected:
#ifdef RECKON_CUDA_ON_CPU
  static constexpr Backend kBackend = Backend::kTorchCpu;
  static constexpr int64_t kTile = 8;  // padded rows take long there
  void SetUp() override { SetGridSeed(testing::UnitTest::GetInstance()->random_seed() + 1); }
  std::shared_ptr<CpuStepDevice> device_ = std::make_shared<CpuStepDevice>();
#else
  static constexpr Backend kBackend = Backend::kTorchCuda;
  void SetUp() override {
    if (const auto cuda = ChooseBackend("CUDA"); !cuda.ok()) {
      GTEST_SKIP() << "needs a GPU: " << cuda.status().message();
    }
  }
  static constexpr int64_t kTile = kRowTile;
  std::shared_ptr<StepDevice> device_;  // the maker's own
#endif
  void TearDown() override { SetRowTile(0); }

  std::unique_ptr<TorchModelRunnerMaker> Maker(bool ahead, bool fp32 = true) {
    TorchModelRunnerOptions options = {.fp32 = fp32, .kv_cache_bytes = 16 << 20};
    options.backend = ahead ? kBackend : Backend::kTorchCpu;
    options.steps = ahead ? device_ : nullptr;
    options.max_batch = 4;
    return std::make_unique<TorchModelRunnerMaker>(options);
  }

  static void Admit(const std::vector<Work>& works, Engine* engine) {
    for (const Work& work : works) {
      const auto status = engine->Admit(work.lease, std::make_shared<const PlanSpec>(work.plan));
      ASSERT_TRUE(status.ok()) << status;
    }
  }
  static Results Collect(Engine* engine) {
    Results results;
    while (!engine->idle()) {
      auto finished = engine->RunPass();
      EXPECT_TRUE(finished.ok()) << finished.status();
      if (!finished.ok()) break;
      for (const FinishedSample& f : *finished) {
        const RolloutKey& key = f.rollout.key();
        results[{key.group(), key.sample()}] = f.rollout;
      }
    }
    return results;
  }
  Results Run(ModelRunner* runner, const std::vector<Work>& works, int64_t max_batch = 4,
              int64_t prefill_rows = 1024) {
    const int64_t free_pages = runner->free_pages();
    Results results;
    {
      Engine engine(runner, tokenizer_.get(),
                    {.max_batch = max_batch, .max_prefill_rows = prefill_rows}, 7);
      Admit(works, &engine);
      results = Collect(&engine);
    }
    EXPECT_EQ(runner->free_pages(), free_pages);
    return results;
  }

  static void ExpectSame(const Results& got, const Results& wanted) {
    ASSERT_EQ(got.size(), wanted.size());
    for (const auto& [key, rollout] : wanted) {
      ASSERT_TRUE(got.contains(key));
      Rollout a = got.at(key), b = rollout;
      ASSERT_EQ(a.spans_size(), b.spans_size());
      for (int s = 0; s < a.spans_size(); ++s) {
        ASSERT_EQ(a.spans(s).logprobs_size(), b.spans(s).logprobs_size());
        for (int i = 0; i < a.spans(s).logprobs_size(); ++i) {
          EXPECT_NEAR(a.spans(s).logprobs(i), b.spans(s).logprobs(i), 1e-4);
        }
        a.mutable_spans(s)->clear_logprobs();
        b.mutable_spans(s)->clear_logprobs();
      }
      EXPECT_EQ(a.DebugString(), b.DebugString());
    }
  }

  const Weights weights_ = MakeTinyModel();
  const std::unique_ptr<Tokenizer> tokenizer_ =
      *Tokenizer::Create(weights_.manifest.texts().tokenizer_json());
};

// Groups of unlike sizes, lengths and sampling, more than there is room for: samples join and leave
// at every step, end by every cause and are forced tokens.
TEST_F(DecodesAheadTest, RolloutsAreThoseOfPassesThatAreFinishedOneByOne) {
  std::vector<Work> works;
  for (uint64_t group = 0; group < 5; ++group) {
    works.push_back(MakeWork(group, 1 + group % 3, 3 + 2 * group));
  }
  works[0].plan.mutable_sampling()->set_temperature(0);
  works[1].plan.mutable_sampling()->set_top_k(40);
  works[1].plan.mutable_sampling()->set_top_p(0.9);
  works[2].plan.mutable_sampling()->set_temperature(0.7);
  works[2].plan.mutable_sampling()->set_top_p(0.8);
  // Tokens end samples, or with those left a character does, or a line a solution step.
  for (uint32_t id = 0; id < kTinyVocab; id += 5) works[3].plan.add_stop_token_ids(id);
  for (const char* stop : {"a", "b", "c", "d", "e", "f", "g", "0", "1", "2", " "}) {
    works[2].plan.add_stop_strings(stop);
  }
  works[4].plan.add_step_label_tokens(kTinyFirstByte + 'x');
  works[4].plan.add_step_label_tokens(kTinyFirstByte + 'y');
  const auto one_by_one = Maker(false), ahead = Maker(true);
  const auto wanted = one_by_one->Make(weights_).value();
  const auto runner = ahead->Make(weights_).value();
  ASSERT_EQ(wanted->decodes_ahead(), 0);
  ASSERT_EQ(runner->decodes_ahead(), 1);
  const Results expected = Run(wanted.get(), works);
  ASSERT_EQ(expected.size(), 9u);
  ExpectSame(Run(runner.get(), works), expected);
#ifdef RECKON_CUDA_ON_CPU
  EXPECT_EQ(device_->most_pending(), 2);
  EXPECT_LE(device_->graphs(), 3);  // rows: 1, 2, 4
  EXPECT_GT(device_->runs(), 15);
#endif
}

// Cache, slots and graphs are made again.
TEST_F(DecodesAheadTest, SamplesTheSameAfterItHasLeftTheDevice) {
  const std::vector<Work> works = {MakeWork(0, 2, 5), MakeWork(1, 3, 6)};
  const auto maker = Maker(true);
  auto runner = maker->Make(weights_).value();
  const Results before = Run(runner.get(), works);
  runner.reset();
  maker->LeaveDevice();
  runner = maker->Make(weights_).value();
  ExpectSame(Run(runner.get(), works), before);
}

TEST_F(DecodesAheadTest, AVersionThatChangesInFlightTakesOverTheSequences) {
  const Weights newer_weights = MakeTinyModel(2);
  for (const bool recompute : {false, true}) {
    std::vector<Results> results;
    for (const bool is_ahead : {false, true}) {
      const auto maker = Maker(is_ahead);
      const auto older = maker->Make(weights_).value(), newer = maker->Make(newer_weights).value();
      Engine engine(older.get(), tokenizer_.get(), {.max_batch = 3}, 7);
      Admit({MakeWork(1, 4, 7)}, &engine);
      for (int pass = 0; pass < 3; ++pass) ASSERT_TRUE(engine.RunPass().ok());
      ASSERT_TRUE(engine.FinishStarted().ok());
      ASSERT_TRUE(engine.ChangeRunner(newer.get(), 8, recompute).ok());
      results.push_back(Collect(&engine));
    }
    ASSERT_EQ(results[0].size(), 4u);
    EXPECT_EQ(results[0].begin()->second.spans_size(), 3);  // the prompt, and two versions
    ExpectSame(results[1], results[0]);
  }
}

TEST_F(DecodesAheadTest, AdaptersAreComputedBesideTheirBase) {
  Weights adapters = MakeTinyAdapters(/*base_version=*/0);
  adapters.base = std::make_shared<const Weights>(weights_);
  const auto one_by_one = Maker(false), ahead = Maker(true);
  const std::vector<Work> works = {MakeWork(2, 2, 6)};
  const Results expected = Run(one_by_one->Make(adapters).value().get(), works);
  ExpectSame(Run(ahead->Make(adapters).value().get(), works), expected);
  const Results base = Run(ahead->Make(weights_).value().get(), works);
  EXPECT_NE(base.begin()->second.completion(), expected.begin()->second.completion());
}

// With a row tile, in batches and passes over prompts of other sizes, after other samples and
// alone.
TEST_F(DecodesAheadTest, WithARowTileASampleAloneEqualsItselfAmongStrangersBitForBit) {
  SetRowTile(kTile);
  const auto maker = Maker(true, /*fp32=*/false);
  const auto made = maker->Make(weights_);
  ASSERT_TRUE(made.ok()) << made.status();
  ModelRunner* const runner = made->get();
  const std::vector<Work> works = {MakeWork(0, 2, 3), MakeWork(1, 2, 4)};
  const Results together = Run(runner, works), narrow = Run(runner, works, 3, 33);
  ASSERT_EQ(together.size(), 4u);
  for (const auto& [key, rollout] : together) {
    EXPECT_EQ(rollout.SerializeAsString(), narrow.at(key).SerializeAsString());
    if (std::get<1>(key) == 0) continue;
    Work alone = MakeWork(std::get<0>(key), 0, std::get<0>(key) == 0 ? 3 : 4);
    alone.lease.add_samples(std::get<1>(key));
    const Results one = Run(runner, {alone});
    EXPECT_EQ(rollout.SerializeAsString(), one.at(key).SerializeAsString());
  }
}

TEST_F(DecodesAheadTest, ARowTileIsRefusedForHeadsWithoutAKernel) {
  ModelConfig config = TinyConfig();
  config.hidden_size = 96;
  config.head_dim = 24;
  WeightManifest manifest = RandomModelManifest(config);
  const std::string shape = manifest.texts().config_json();
  *manifest.mutable_texts() = weights_.manifest.texts();
  manifest.mutable_texts()->set_config_json(shape);
  const Weights odd = DrawWeights(std::move(manifest), 1).value();
  EXPECT_TRUE(Maker(true)->Make(odd).ok());
  SetRowTile(kTile);
  EXPECT_EQ(Maker(true)->Make(odd).status().message(),
            "model.row_invariant: heads of 24 elements have no attention kernel that is "
            "(docs/cuda.md); set it to false");
}

// In bf16 a draw may fall on another token where two roundings differ, so the rollout is scored: by
// the passes that are finished one by one, each token has nearly the log-probability that the steps
// recorded.
TEST_F(DecodesAheadTest, LogProbabilitiesInBf16AreThoseThatScoringFinds) {
  const auto one_by_one = Maker(false, /*fp32=*/false), ahead = Maker(true, /*fp32=*/false);
  const auto scorer = one_by_one->Make(weights_).value();
  const Results sampled = Run(ahead->Make(weights_).value().get(), {MakeWork(2, 2, 8)});
  ASSERT_EQ(sampled.size(), 2u);
  for (const auto& [key, rollout] : sampled) {
    Work forced = MakeWork(2, 1, 0);
    *forced.lease.mutable_item()->mutable_forced_tokens() = rollout.spans(1).tokens();
    forced.plan.set_score_forced(true);
    const Rollout scored = Run(scorer.get(), {forced}).begin()->second;
    ASSERT_EQ(scored.spans(1).logprobs_size(), 8);
    for (int i = 0; i < 8; ++i) {
      EXPECT_NEAR(scored.spans(1).logprobs(i), rollout.spans(1).logprobs(i), 0.02) << i;
    }
  }
}

TEST_F(DecodesAheadTest, WhatIsDroppedUnderWayLeavesNothingBehind) {
  const auto ahead = Maker(true);
  const auto runner = ahead->Make(weights_).value();
  const Results expected = Run(runner.get(), {MakeWork(1, 2, 5)});
  const int64_t free_pages = runner->free_pages();
  {
    Engine engine(runner.get(), tokenizer_.get(), {.max_batch = 4}, 7);
    Admit({MakeWork(0, 2, 9), MakeWork(1, 2, 5)}, &engine);
    for (int pass = 0; pass < 2; ++pass) ASSERT_TRUE(engine.RunPass().ok());
    engine.Drop(MakeWork(0, 1, 1).lease.id());
    ExpectSame(Collect(&engine), expected);
    Admit({MakeWork(0, 2, 9)}, &engine);
    for (int pass = 0; pass < 2; ++pass) ASSERT_TRUE(engine.RunPass().ok());
  }
  EXPECT_EQ(runner->free_pages(), free_pages);
  ExpectSame(Run(runner.get(), {MakeWork(1, 2, 5)}), expected);
}

}  // namespace
}  // namespace reckon
