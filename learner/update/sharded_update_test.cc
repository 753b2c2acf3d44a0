#include <ATen/TensorOperators.h>
#include <malloc.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <utility>

#include "common/base/rng.h"
#include "common/model/torch_status.h"
#include "common/model/transformer_units.h"
#include "gtest/gtest.h"
#include "learner/parallel/single.h"
#include "learner/parallel/traced_parallel.h"
#include "learner/update/critic.h"
#include "learner/update/policy_update.h"
#include "learner/update/scoring.h"
#include "tests/support/random_weights.h"
#include "tests/support/rank_threads.h"

namespace reckon {
namespace {

struct ModelCase {
  bool tied = true;
  Backend backend = Backend::kCpuKernels;
  Dtype dtype = Dtype::kFp32;
  bool detach = false;  // of the critic
};

// Sizes that two, three and four ranks do not divide.
ModelConfig OddConfig(bool tied) {
  ModelConfig config = SmallConfig();
  config.num_layers = 3;
  config.hidden_size = config.intermediate_size = 50;
  config.tie_word_embeddings = tied;
  config.qkv_bias = config.qk_norm = !tied;
  return config;
}

std::unique_ptr<Transformer> Load(const RandomWeights& weights, const ModelCase& of,
                                  const ModelMemory& memory, bool trainable = true) {
  auto model = std::make_unique<Transformer>(OddConfig(of.tied), of.dtype, of.backend, memory);
  EXPECT_TRUE(model->Load(weights.manifest, weights.bytes, trainable).ok());
  return model;
}

std::vector<TrainingSequence> SomeSequences(int count, uint64_t seed) {
  const CounterRng rng(seed);
  uint64_t draw = 0;
  std::vector<TrainingSequence> sequences;
  for (int i = 0; i < count; ++i) {
    std::vector<uint32_t> prompt(1 + rng.Below(20, draw++)), completion(1 + rng.Below(30, draw++));
    for (uint32_t& token : prompt) token = rng.Below(99, draw++);
    for (uint32_t& token : completion) token = rng.Below(99, draw++);
    sequences.push_back(MakeSequence(prompt, completion));
  }
  return sequences;
}

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
Outcome Learn(Parallel& parallel, const ModelCase& of, Kind kind, const ModelMemory& memory,
              int64_t micro_batch_tokens) {
  const RandomWeights weights = MakeRandomWeights(OddConfig(of.tied), 1);
  const std::unique_ptr<Transformer> model = Load(weights, of, memory);
  const std::unique_ptr<Transformer> reference = Load(weights, of, memory, /*trainable=*/false);
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

Outcome LearnAsRanks(int world, const ModelCase& of, Kind kind, bool recompute, bool sharded,
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
std::vector<Outcome> LearnAsHybridRanks(int world, int shard_ranks, const ModelCase& of, Kind kind,
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
        const ModelCase of = {.tied = tied};
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
      const ModelCase of = {.tied = tied};
      const Outcome whole = LearnAsRanks(4, of, kind, /*recompute=*/false, /*sharded=*/false, 60);
      const std::vector<Outcome> groups =
          LearnAsHybridRanks(4, 2, of, kind, /*recompute=*/!tied, 60);
      ExpectNear(groups[0], whole, 1e-5);
      EXPECT_EQ(groups[2].weights, groups[0].weights);  // the other group's
      EXPECT_EQ(groups[3].norms, groups[0].norms);
    }
  }
  // Groups of one rank, and one group of all.
  const ModelCase of;
  const Outcome whole = LearnAsRanks(3, of, kPpo, /*recompute=*/false, /*sharded=*/false, 60);
  for (int shard_ranks : {1, 3}) {
    ExpectNear(LearnAsHybridRanks(3, shard_ranks, of, kPpo, /*recompute=*/false, 60)[0], whole,
               1e-5);
  }
}

// A group of which one rank is here, and which tells what is begun, with this rank's part of it.
class Recorder : public Parallel {
 public:
  using Begun = std::function<void(const std::string& kind, const at::Tensor& mine)>;
  Recorder(int world, Begun begun) : alone_(MakeAloneOf(world)), begun_(std::move(begun)) {}
  int rank() const override { return 0; }
  int world() const override { return alone_->world(); }
  std::unique_ptr<PendingCollective> AllGather(const at::Tensor& mine,
                                               const at::Tensor& all) override {
    begun_("gather", mine);
    return alone_->AllGather(mine, all);
  }
  std::unique_ptr<PendingCollective> ReduceScatterSum(const at::Tensor& all,
                                                      const at::Tensor& mine) override {
    begun_("scatter", mine);
    return alone_->ReduceScatterSum(all, mine);
  }
  std::unique_ptr<PendingCollective> BeginAllReduceSum(const at::Tensor& values) override {
    begun_("sum", values);
    return alone_->BeginAllReduceSum(values);
  }
  absl::Status Broadcast(absl::Span<char> bytes) override { return alone_->Broadcast(bytes); }

 private:
  const std::unique_ptr<Parallel> alone_;
  const Begun begun_;
};

// Parts of a model are units, from the embedding (0) over three layers and the norm to the head.
TEST(ShardedUpdateTest, WhatComesNextIsGatheredWhileAPartComputesAndOnce) {
  std::vector<at::Tensor> gathered;
  Recorder group(2, [&](const std::string&, const at::Tensor& mine) { gathered.push_back(mine); });
  const ModelCase of = {.tied = false};
  const auto model = Load(MakeRandomWeights(OddConfig(of.tied), 1), of, {.shard_group = &group});
  const TrainedTensors shards = model->Trained();
  const auto units = [&] {  // since the last call
    std::vector<size_t> out;
    for (const at::Tensor& mine : std::exchange(gathered, {})) {
      for (size_t unit = 0; unit < shards.size(); ++unit) {
        if (mine.const_data_ptr() == shards[unit].values.const_data_ptr()) out.push_back(unit);
      }
    }
    return out;
  };
  using Units = std::vector<size_t>;
  const TransformerWeights& weights = model->weights();
  weights.Embedding();
  EXPECT_EQ(units(), (Units{0, 1}));
  for (int64_t layer : {0, 1, 2}) {
    weights.Layer(layer, layer + 1);
    EXPECT_EQ(units(), Units{static_cast<size_t>(layer) + 2}) << layer;
  }
  weights.FinalNorm();
  EXPECT_EQ(units(), Units{});
  weights.Head();
  EXPECT_EQ(units(), Units{5});
  weights.BeginBackward(TransformerUnits::kHead);
  weights.BeginBackward(TransformerUnits::kFinalNorm);
  EXPECT_EQ(units(), Units{3});
  for (int64_t layer : {2, 1}) {
    weights.LayerForBackward(layer);
    EXPECT_EQ(units(), Units{static_cast<size_t>(layer)}) << layer;
  }
  weights.LayerForBackward(0);
  EXPECT_EQ(units(), Units{});
}

TEST(ShardedUpdateTest, WhatIsGatheredIsRoundedFirst) {
  Recorder group(2, [](const std::string&, const at::Tensor& mine) {
    EXPECT_EQ(mine.scalar_type(), at::kBFloat16);
  });
  const ModelCase of = {.dtype = Dtype::kBf16};
  const auto model = Load(MakeRandomWeights(OddConfig(of.tied), 1), of, {.shard_group = &group});
  model->weights().Layer(0, 1);
}

// Each unit once, when the last micro-batch has left it.
TEST(ShardedUpdateTest, ReplicasAddTheirGradientsWhileTheLastBackwardPassGoesOn) {
  std::vector<std::string> begun;
  const auto note = [&](const std::string& kind, const at::Tensor&) {
    if (kind != "gather") begun.push_back(kind);
  };
  Recorder shards(2, note), replicas(2, note);
  const std::unique_ptr<Parallel> all = MakeAloneOf(4);
  ReplicaSums sums(&replicas);
  const RandomWeights weights = MakeRandomWeights(OddConfig(true), 1);
  const auto model = Load(weights, {}, {.shard_group = &shards, .replicas = &sums});
  auto update = PolicyUpdate::Create(model.get(), all.get(), TrainingSettings(), 30);
  const std::vector<TrainingSequence> sequences = SomeSequences(12, 3);
  std::vector<const TrainingSequence*> batch;
  for (const TrainingSequence& sequence : sequences) batch.push_back(&sequence);
  ASSERT_TRUE(update->Step(batch, 1e-3).ok());
  // Of a pass: head, norm, three layers, and the embedding, which is the head's unit.
  const std::string scatter = "scatter", sum = "sum";
  ASSERT_GE(begun.size(), 6u + 11u);  // several micro-batches
  const std::vector<std::string> last(begun.end() - 11, begun.end());
  EXPECT_EQ(last, (std::vector<std::string>{scatter, scatter, sum, scatter, sum, scatter, sum,
                                            scatter, sum, scatter, sum}));
  EXPECT_EQ(std::count(begun.begin(), begun.end() - 11, sum), 0);
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
  const ModelCase of = {.tied = false};
  const RandomWeights weights = MakeRandomWeights(OddConfig(of.tied), 1);
  const std::vector<TrainingSequence> sequences = SomeSequences(8, 3);
  std::vector<const TrainingSequence*> batch;
  for (const TrainingSequence& sequence : sequences) batch.push_back(&sequence);
  std::stop_source stop;
  AsHybridRanks(2, 1, &stop, [&](RankGroups& groups) {
    ReplicaSums sums(groups.replicas.get());
    const auto model = Load(weights, of, {.shard_group = groups.shards.get(), .replicas = &sums});
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
    const ModelCase of = {.tied = false, .dtype = dtype};
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
        const ModelCase of = {.backend = backend, .dtype = dtype, .detach = true};
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
  const ModelCase of = {.backend = Backend::kTorchCpu};
  for (const bool recompute : {false, true}) {
    ExpectNear(Learn(*single, of, kPpo, {.shard_group = single.get(), .recompute = recompute}, 60),
               Learn(*single, of, kPpo, {}, 60), 1e-5);
  }
}

// Bytes that this process has allocated and not freed.
double AllocatedBytes() {
  const struct mallinfo2 info = ::mallinfo2();
  return static_cast<double>(info.uordblks) + static_cast<double>(info.hblkhd);
}

ModelConfig DeepConfig() {
  ModelConfig config = SmallConfig();
  config.hidden_size = 128;
  config.intermediate_size = 512;
  config.num_layers = 12;
  return config;
}

// What two ranks hold after an optimizer step, in bytes of one parameter of the model.
double BytesOfAParameter(bool sharded) {
  const ModelConfig config = DeepConfig();
  const RandomWeights weights = MakeRandomWeights(config, 1);
  const std::vector<TrainingSequence> sequences = SomeSequences(2, 1);
  const double before = AllocatedBytes();
  double after = 0;
  std::stop_source stop;
  AsRanks(2, &stop, [&](Parallel& parallel) {
    ModelMemory memory;
    if (sharded) memory.shard_group = &parallel;
    Transformer model(config, Dtype::kBf16, Backend::kCpuKernels, memory);
    ASSERT_TRUE(model.Load(weights.manifest, weights.bytes, /*trainable=*/true).ok());
    auto update = PolicyUpdate::Create(&model, &parallel, TrainingSettings(), 60);
    ASSERT_TRUE(update->Step({&sequences[0], &sequences[1]}, 1e-3).ok());
    float one = 1;
    for (int i = 0; i < 2; ++i) {  // nobody is in the step any more, and nobody leaves yet
      if (i == 1 && parallel.rank() == 0) after = AllocatedBytes();
      ASSERT_TRUE(parallel.AllReduceSum(absl::MakeSpan(&one, 1)).ok());
    }
  });
  return (after - before) / (static_cast<double>(weights.bytes.size()) / 4);
}

TEST(ShardedUpdateTest, ABackwardPassHasRoomForTheGradientsOfAFewUnits) {
  const ModelConfig config = DeepConfig();
  const RandomWeights weights = MakeRandomWeights(config, 1);
  std::vector<double> held;  // when a unit's gradient is whole
  Recorder group(2, [&](const std::string& kind, const at::Tensor&) {
    if (kind == "scatter") held.push_back(AllocatedBytes());
  });
  Transformer model(config, Dtype::kFp32, Backend::kCpuKernels, {.shard_group = &group});
  ASSERT_TRUE(model.Load(weights.manifest, weights.bytes, /*trainable=*/true).ok());
  auto update = PolicyUpdate::Create(&model, &group, TrainingSettings(), 60);
  const TrainingSequence sequence = MakeSequence({1, 2}, {3, 4});
  ASSERT_TRUE(update->Step({&sequence}, 1e-3).ok());
  ASSERT_EQ(held.size(), 15u);  // head, norm, twelve layers, embedding
  const double layer = static_cast<double>(weights.bytes.size()) / 12;
  // From the second layer on: the first makes room for matrices as well.
  EXPECT_LT(*std::max_element(held.begin() + 3, held.end()) - held[3], 2 * layer);
}

// As cli/commands/memory_estimate.h plans: 16 bytes for what is trained, 4 for the compute copies.
TEST(ShardedUpdateTest, TwoRanksThatDivideAModelTakeTheMemoryOfOneModelTogether) {
  EXPECT_NEAR(BytesOfAParameter(/*sharded=*/false), 2 * 20, 4);
  // And a packed layer of twelve on each rank.
  EXPECT_NEAR(BytesOfAParameter(/*sharded=*/true), 16 + 2 * 4 / 12.0, 3);
}

// Between the passes there are the activations of three tokens, and of the weights the layer that
// came last as kernels read it, with what is under way.
TEST(ShardedUpdateTest, AGraphKeepsActivationsAndNoLayers) {
  const ModelConfig config = DeepConfig();
  const RandomWeights weights = MakeRandomWeights(config, 1);
  const double layer = static_cast<double>(weights.bytes.size()) / 4 / 12;  // elements, and more
  const std::unique_ptr<Parallel> single = MakeSingle();
  const TrainingSequence sequence = MakeSequence({1, 2}, {3, 4});
  for (Backend backend : {Backend::kCpuKernels, Backend::kTorchCpu}) {
    for (Dtype dtype : {Dtype::kFp32, Dtype::kBf16}) {
      SCOPED_TRACE(testing::Message() << "backend " << static_cast<int>(backend) << ", dtype "
                                      << static_cast<int>(dtype));
      Transformer model(config, dtype, backend, {.shard_group = single.get()});
      ASSERT_TRUE(model.Load(weights.manifest, weights.bytes, /*trainable=*/true).ok());
      const MicroBatch micro = PackSequences({&sequence});
      const double before = AllocatedBytes();
      const TokenStates states = ForwardTokens(model, micro, {.logprobs = false});
      EXPECT_LT(AllocatedBytes() - before, 4 * layer * static_cast<double>(BytesOf(dtype)));
      EXPECT_TRUE(states.hidden.requires_grad());
    }
  }
}

}  // namespace
}  // namespace reckon
