#include <malloc.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/model/transformer_units.h"
#include "gtest/gtest.h"
#include "learner/parallel/single.h"
#include "learner/parallel/traced_parallel.h"
#include "learner/update/policy_update.h"
#include "tests/support/odd_model.h"
#include "tests/support/rank_threads.h"

namespace reckon {
namespace {

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
TEST(UnitsInUseTest, WhatComesNextIsGatheredWhileAPartComputesAndOnce) {
  std::vector<at::Tensor> gathered;
  Recorder group(2, [&](const std::string&, const at::Tensor& mine) { gathered.push_back(mine); });
  const OddModel of = {.tied = false};
  const auto model =
      LoadOddModel(MakeRandomWeights(OddConfig(of.tied), 1), of, {.shard_group = &group});
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

TEST(UnitsInUseTest, WhatIsGatheredIsRoundedFirst) {
  Recorder group(2, [](const std::string&, const at::Tensor& mine) {
    EXPECT_EQ(mine.scalar_type(), at::kBFloat16);
  });
  const OddModel of = {.dtype = Dtype::kBf16};
  const auto model =
      LoadOddModel(MakeRandomWeights(OddConfig(of.tied), 1), of, {.shard_group = &group});
  model->weights().Layer(0, 1);
}

TEST(UnitsInUseTest, FrozenUnitsHaveNoGradient) {
  int scattered = 0;
  Recorder group(
      2, [&](const std::string& kind, const at::Tensor&) { scattered += kind == "scatter"; });
  const auto model =
      LoadOddModel(MakeRandomWeights(OddConfig(true), 1), {}, {.shard_group = &group});
  model->AddAdapters(3, 6, 1);
  const auto update = PolicyUpdate::Create(model.get(), &group, TrainingSettings(), 60);
  const TrainingSequence sequence = MakeSequence({1, 2}, {3, 4});
  ASSERT_TRUE(update->Step({&sequence}, 1e-3).ok());
  EXPECT_EQ(scattered, 0);
}

// Each unit once, when the last micro-batch has left it.
TEST(UnitsInUseTest, ReplicasAddTheirGradientsWhileTheLastBackwardPassGoesOn) {
  std::vector<std::string> begun;
  const auto note = [&](const std::string& kind, const at::Tensor&) {
    if (kind != "gather") begun.push_back(kind);
  };
  Recorder shards(2, note), replicas(2, note);
  const std::unique_ptr<Parallel> all = MakeAloneOf(4);
  ReplicaSums sums(&replicas);
  const RandomWeights weights = MakeRandomWeights(OddConfig(true), 1);
  const auto model = LoadOddModel(weights, {}, {.shard_group = &shards, .replicas = &sums});
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

TEST(UnitsInUseTest, ABackwardPassHasRoomForTheGradientsOfAFewUnits) {
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

// As cli/estimate/learner_memory.h estimates: 16 bytes for what is trained, 4 for the compute
// copies.
TEST(UnitsInUseTest, TwoRanksThatDivideAModelTakeTheMemoryOfOneModelTogether) {
  EXPECT_NEAR(BytesOfAParameter(/*sharded=*/false), 2 * 20, 4);
  // And a packed layer of twelve on each rank.
  EXPECT_NEAR(BytesOfAParameter(/*sharded=*/true), 16 + 2 * 4 / 12.0, 3);
}

// Between the passes there are the activations of three tokens, and of the weights the layer that
// came last as kernels read it, with what is under way.
TEST(UnitsInUseTest, AGraphKeepsActivationsAndNoLayers) {
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
