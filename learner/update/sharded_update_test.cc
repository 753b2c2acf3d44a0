#include <ATen/TensorOperators.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>
#include <vector>

#include "common/model/torch_status.h"
#include "gtest/gtest.h"
#include "learner/parallel/single.h"
#include "learner/update/critic.h"
#include "learner/update/policy_update.h"
#include "learner/update/scoring.h"
#include "tests/support/odd_model.h"
#include "tests/support/rank_threads.h"

namespace reckon {
namespace {

// What a policy and a critic learn together, without the sampling around it.
class ActorCritic : public SequenceLoss {
 public:
  explicit ActorCritic(Critic* critic) : critic_(*critic) {}
  void Begin(absl::Span<const TrainingSequence* const>) override { critic_.Repack(); }
  TokenQuery query() const override { return {.tap_layer = critic_.tap_layer()}; }
  at::Tensor Of(const std::vector<size_t>&, const MicroBatch& micro,
                const TokenStates& states) override {
    const at::Tensor values = critic_.Values(micro, states);
    return states.logprobs.sum() * -0.01 + (values - 1).square().sum() * 0.01;
  }

 private:
  Critic& critic_;
};

struct Outcome {
  std::vector<double> losses, norms;
  std::vector<float> weights;  // rank 0's
  TokenValues reference, values;
};

enum Kind { kFineTuning, kPpo, kAdapters };

// Three optimizer steps and, but for a fine-tuning, the scores before each of them.
Outcome Learn(Parallel& parallel, const OddModel& of, Kind kind, const ModelMemory& memory,
              int64_t micro_batch_tokens) {
  const RandomWeights weights = MakeRandomWeights(OddConfig(of.tied), 1);
  const std::unique_ptr<Transformer> model = LoadOddModel(weights, of, memory);
  const std::unique_ptr<Transformer> reference =
      LoadOddModel(weights, of, memory, /*trainable=*/false);
  if (kind == kAdapters) model->AddAdapters(3, 6, 1);
  Critic critic(*model, /*layers=*/2, of.detach, 7);
  EXPECT_TRUE(critic.Load(weights.manifest, weights.bytes).ok());
  TrainingSettings training;
  training.set_max_grad_norm(0.3);
  auto update = PolicyUpdate::Create(model.get(), &parallel, training, micro_batch_tokens,
                                     kind == kPpo ? critic.Trained() : TrainedTensors());
  ActorCritic loss(&critic);
  Outcome out;
  for (int step = 0; step < 3; ++step) {
    const std::vector<TrainingSequence> sequences = SomeSequences(7, step);
    std::vector<const TrainingSequence*> batch;
    for (const TrainingSequence& sequence : sequences) batch.push_back(&sequence);
    if (kind == kPpo) {
      critic.Repack();
      const TokenHead head = [&](const MicroBatch& micro, const TokenStates& states) {
        return critic.Values(micro, states);
      };
      EXPECT_TRUE(
          ScoreTokens(*reference, parallel, batch, micro_batch_tokens, {}, &out.reference).ok());
      EXPECT_TRUE(ScoreTokens(*model, parallel, batch, micro_batch_tokens,
                              {.logprobs = false, .tap_layer = critic.tap_layer()}, nullptr, head,
                              &out.values)
                      .ok());
    }
    auto result = update->Step(batch, 1e-3, kind == kPpo ? &loss : nullptr);
    EXPECT_TRUE(result.ok()) << result.status();
    if (!result.ok()) return out;
    out.losses.push_back(result->loss);
    out.norms.push_back(result->grad_norm);
  }
  const NamedTensors merged = model->MergedWeights(),
                     on_host = model->MergedWeights(/*on_host=*/true);
  EXPECT_EQ(on_host.size(), merged.size());
  for (size_t i = 0; i < merged.size(); ++i) {
    EXPECT_TRUE(on_host[i].second.equal(merged[i].second.to(at::kCPU))) << merged[i].first;
  }
  for (const auto& [name, tensor] : merged) {
    const at::Tensor values = tensor.to(at::kFloat).contiguous();
    const float* from = values.const_data_ptr<float>();
    out.weights.insert(out.weights.end(), from, from + values.numel());
  }
  return out;
}

Outcome LearnAsRanks(int world, const OddModel& of, Kind kind, bool recompute, bool sharded,
                     int64_t micro_batch_tokens) {
  Outcome out;
  std::stop_source stop;
  AsRanks(world, &stop, [&](Parallel& parallel) {
    ModelMemory memory = {.recompute = recompute};
    if (sharded) memory.shard_group = &parallel;
    Outcome mine = Learn(parallel, of, kind, memory, micro_batch_tokens);
    if (parallel.rank() == 0) out = std::move(mine);
  });
  return out;
}

// Of every rank, where each `shard_ranks` of them divide a model.
std::vector<Outcome> LearnAsHybridRanks(int world, int shard_ranks, const OddModel& of, Kind kind,
                                        bool recompute, int64_t micro_batch_tokens) {
  std::vector<Outcome> out(world);
  std::stop_source stop;
  AsHybridRanks(world, shard_ranks, &stop, [&](RankGroups& groups) {
    ReplicaSums sums(groups.replicas.get());
    const ModelMemory memory = {
        .shard_group = groups.shards.get(), .replicas = &sums, .recompute = recompute};
    out[groups.all->rank()] = Learn(*groups.all, of, kind, memory, micro_batch_tokens);
  });
  return out;
}

double Distance(const std::vector<float>& a, const std::vector<float>& b) {
  EXPECT_EQ(a.size(), b.size());
  double difference = 0, norm = 0;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    difference += std::pow(double{a[i]} - b[i], 2);
    norm += std::pow(double{a[i]}, 2);
  }
  return std::sqrt(difference / norm);
}

void ExpectNear(const Outcome& a, const Outcome& b, double tolerance) {
  ASSERT_EQ(a.losses.size(), 3u);
  ASSERT_EQ(b.losses.size(), 3u);
  for (int step = 0; step < 3; ++step) {
    EXPECT_NEAR(a.losses[step] / b.losses[step], 1, tolerance);
    EXPECT_NEAR(a.norms[step] / b.norms[step], 1, tolerance);
  }
  EXPECT_LT(Distance(a.weights, b.weights), tolerance);
  ASSERT_EQ(a.values.size(), b.values.size());
  EXPECT_EQ(a.reference, b.reference);
  for (size_t i = 0; i < a.values.size(); ++i) {
    EXPECT_LT(Distance(a.values[i], b.values[i]), tolerance * 10);
  }
}

TEST(ShardedUpdateTest, RanksThatDivideAModelLearnAsThoseThatHoldAllOfIt) {
  for (int world = 1; world <= 4; ++world) {
    for (Kind kind : {kFineTuning, kPpo, kAdapters}) {
      for (bool tied : {true, false}) {
        SCOPED_TRACE(testing::Message() << world << " ranks, kind " << kind << ", tied " << tied);
        const OddModel of = {.tied = tied};
        // A few micro-batches a rank, and not as many for each.
        const Outcome whole =
            LearnAsRanks(world, of, kind, /*recompute=*/false, /*sharded=*/false, 60);
        for (const bool recompute : {false, true}) {
          ExpectNear(LearnAsRanks(world, of, kind, recompute, /*sharded=*/true, 60), whole, 1e-5);
        }
      }
    }
  }
}

TEST(ShardedUpdateTest, GroupsThatDivideAModelEachLearnAsRanksThatHoldAllOfIt) {
  for (Kind kind : {kFineTuning, kPpo, kAdapters}) {
    for (bool tied : {true, false}) {
      SCOPED_TRACE(testing::Message() << "kind " << kind << ", tied " << tied);
      const OddModel of = {.tied = tied};
      const Outcome whole = LearnAsRanks(4, of, kind, /*recompute=*/false, /*sharded=*/false, 60);
      const std::vector<Outcome> groups =
          LearnAsHybridRanks(4, 2, of, kind, /*recompute=*/!tied, 60);
      ExpectNear(groups[0], whole, 1e-5);
      EXPECT_EQ(groups[2].weights, groups[0].weights);  // the other group's
      EXPECT_EQ(groups[3].norms, groups[0].norms);
    }
  }
  // Groups of one rank, and one group of all.
  const OddModel of;
  const Outcome whole = LearnAsRanks(3, of, kPpo, /*recompute=*/false, /*sharded=*/false, 60);
  for (int shard_ranks : {1, 3}) {
    ExpectNear(LearnAsHybridRanks(3, shard_ranks, of, kPpo, /*recompute=*/false, 60)[0], whole,
               1e-5);
  }
}

// The cross-entropy of a batch, whose backward pass fails below the second layer if asked to.
class FailingLoss : public SequenceLoss {
 public:
  TokenQuery query() const override { return {.tap_layer = 1}; }
  at::Tensor Of(const std::vector<size_t>&, const MicroBatch&, const TokenStates& states) override {
    if (fails) {
      states.residual.register_hook([](const at::Tensor&) -> at::Tensor {
        throw StatusError(absl::InternalError("asked to fail"));
      });
    }
    return states.logprobs.sum() * -0.01;
  }
  bool fails = false;
};

TEST(ShardedUpdateTest, NothingOfABackwardPassThatFailedIsInTheNextStep) {
  const OddModel of = {.tied = false};
  const RandomWeights weights = MakeRandomWeights(OddConfig(of.tied), 1);
  const std::vector<TrainingSequence> sequences = SomeSequences(8, 3);
  std::vector<const TrainingSequence*> batch;
  for (const TrainingSequence& sequence : sequences) batch.push_back(&sequence);
  std::stop_source stop;
  AsHybridRanks(2, 1, &stop, [&](RankGroups& groups) {
    ReplicaSums sums(groups.replicas.get());
    const auto model =
        LoadOddModel(weights, of, {.shard_group = groups.shards.get(), .replicas = &sums});
    // With one micro-batch all sums of the replicas are on their way when it fails.
    for (const int64_t micro_batch_tokens : {60, 10000}) {
      const auto update = PolicyUpdate::Create(model.get(), groups.all.get(), TrainingSettings(),
                                               micro_batch_tokens);
      FailingLoss loss;
      const auto step = [&] { return update->Step(batch, /*learning_rate=*/0, &loss); };
      const auto first = step();
      ASSERT_TRUE(first.ok()) << first.status();
      loss.fails = true;
      EXPECT_EQ(step().status(), absl::InternalError("asked to fail"));
      loss.fails = false;
      const auto second = step();
      ASSERT_TRUE(second.ok()) << second.status();
      EXPECT_DOUBLE_EQ(second->grad_norm, first->grad_norm);
    }
  });
}

// Two numbers have the same sum in any order, and one micro-batch a rank is one sum.
TEST(ShardedUpdateTest, TwoRanksGiveTheSameBitsWhereSumsAllowIt) {
  for (Dtype dtype : {Dtype::kFp32, Dtype::kBf16}) {
    const OddModel of = {.tied = false, .dtype = dtype};
    const Outcome whole = LearnAsRanks(2, of, kFineTuning, false, false, 10000);
    for (const bool recompute : {false, true}) {
      const Outcome shards = LearnAsRanks(2, of, kFineTuning, recompute, true, 10000);
      EXPECT_EQ(shards.losses, whole.losses);
      if (dtype == Dtype::kBf16) {
        EXPECT_LT(Distance(shards.weights, whole.weights), 4e-3);  // whole are not rounded
      } else {
        EXPECT_EQ(shards.weights, whole.weights);
      }
    }
  }
}

TEST(ShardedUpdateTest, RecomputedLayersGiveTheSameBits) {
  const std::unique_ptr<Parallel> single = MakeSingle();
  for (Backend backend : {Backend::kCpuKernels, Backend::kTorchCpu}) {
    for (Kind kind : {kFineTuning, kPpo, kAdapters}) {
      for (Dtype dtype : {Dtype::kFp32, Dtype::kBf16}) {
        SCOPED_TRACE(testing::Message() << "backend " << static_cast<int>(backend) << ", kind "
                                        << kind << ", dtype " << static_cast<int>(dtype));
        // Without it the states that the critic taps have three gradients, and recomputing sums
        // those of the layer first.
        const OddModel of = {.backend = backend, .dtype = dtype, .detach = true};
        for (RankGroup* shards : {static_cast<Parallel*>(nullptr), single.get()}) {
          if (shards != nullptr && dtype == Dtype::kBf16) continue;
          const Outcome kept = Learn(*single, of, kind, {.shard_group = shards}, 60);
          const Outcome recomputed =
              Learn(*single, of, kind, {.shard_group = shards, .recompute = true}, 60);
          EXPECT_EQ(kept.losses, recomputed.losses);
          EXPECT_EQ(kept.norms, recomputed.norms);
          EXPECT_EQ(kept.weights, recomputed.weights);
        }
      }
    }
  }
}

TEST(ShardedUpdateTest, OneRankOfTheLibTorchBackendWorksToo) {
  const std::unique_ptr<Parallel> single = MakeSingle();
  const OddModel of = {.backend = Backend::kTorchCpu};
  for (const bool recompute : {false, true}) {
    ExpectNear(Learn(*single, of, kPpo, {.shard_group = single.get(), .recompute = recompute}, 60),
               Learn(*single, of, kPpo, {}, 60), 1e-5);
  }
}

}  // namespace
}  // namespace reckon
