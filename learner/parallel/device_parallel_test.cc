#include "learner/parallel/device_parallel.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>

#include <functional>
#include <vector>

#include "gtest/gtest.h"
#include "learner/parallel/single.h"
#include "learner/update/policy_update.h"
#include "tests/support/random_weights.h"
#include "tests/support/rank_threads.h"
#include "tests/support/stream_backend.h"

namespace reckon {
namespace {

constexpr int kRanks = 3;

// The host of a rank whose group belongs to AsRanks.
class Borrowed : public Parallel {
 public:
  explicit Borrowed(Parallel* parallel) : parallel_(*parallel) {}
  int rank() const override { return parallel_.rank(); }
  int world() const override { return parallel_.world(); }
  std::unique_ptr<PendingCollective> BeginAllReduceSum(const at::Tensor& values) override {
    return parallel_.BeginAllReduceSum(values);
  }
  absl::Status Broadcast(absl::Span<char> bytes) override { return parallel_.Broadcast(bytes); }
  std::unique_ptr<PendingCollective> AllGather(const at::Tensor& mine,
                                               const at::Tensor& all) override {
    return parallel_.AllGather(mine, all);
  }
  std::unique_ptr<PendingCollective> ReduceScatterSum(const at::Tensor& all,
                                                      const at::Tensor& mine) override {
    return parallel_.ReduceScatterSum(all, mine);
  }

 private:
  Parallel& parallel_;
};

// Runs `body` as ranks whose tensors go through a StreamBackend.
void OverStreams(const std::shared_ptr<StreamMeeting>& meeting,
                 const std::function<void(Parallel&)>& body) {
  std::stop_source stop;
  AsRanks(kRanks, &stop, [&](Parallel& host) {
    const auto parallel =
        MakeDeviceParallel(std::make_unique<Borrowed>(&host),
                           c10::make_intrusive<StreamBackend>(host.rank(), host.world(), meeting),
                           c10::kCPU, stop.get_token());
    body(*parallel);
  });
}

TEST(DeviceParallelTest, SumsGathersAndScatters) {
  OverStreams(std::make_shared<StreamMeeting>(kRanks), [](Parallel& parallel) {
    const at::Tensor mine = at::full({2}, 1.0 + parallel.rank(), at::kFloat);
    const at::Tensor all = at::empty({2 * kRanks}, at::kFloat);
    const auto gather = parallel.AllGather(mine, all);
    const at::Tensor sums = mine.clone(), part = at::empty({2}, at::kFloat);
    ASSERT_TRUE(parallel.AllReduceSum(sums).ok());
    EXPECT_EQ(sums[1].item<float>(), 6);
    ASSERT_TRUE(gather->Wait().ok());
    EXPECT_EQ(all[4].item<float>(), 3);
    ASSERT_TRUE(parallel.ReduceScatterSum(all, part)->Wait().ok());
    EXPECT_EQ(part[0].item<float>(), kRanks * (1.0f + parallel.rank()));
    std::string bytes = parallel.rank() == 0 ? "abc" : "";
    ASSERT_TRUE(parallel.Broadcast(&bytes).ok());
    EXPECT_EQ(bytes, "abc");
  });
}

TEST(DeviceParallelTest, AnAllReduceThatFailsIsAnErrorOnEveryRank) {
  const auto meeting = std::make_shared<StreamMeeting>(kRanks);
  meeting->FailFrom(1);
  OverStreams(meeting, [&](Parallel& parallel) {
    const at::Tensor values = at::full({5}, 1.0, at::kFloat);
    EXPECT_TRUE(parallel.AllReduceSum(values).ok());
    EXPECT_FALSE(meeting->aborted(parallel.rank()));
    EXPECT_EQ(parallel.AllReduceSum(values).code(), absl::StatusCode::kUnavailable);
    // The device would wait for what is under way with a rank that is gone.
    EXPECT_TRUE(meeting->aborted(parallel.rank()));
    // And of all later calls.
    EXPECT_FALSE(parallel.AllReduceSum(values).ok());
    EXPECT_FALSE(parallel.AllGather(values, at::empty({15}, at::kFloat))->Wait().ok());
  });
}

TEST(DeviceParallelTest, AGatherThatFailsIsAnErrorOfTheNextCallThatBlocks) {
  const auto meeting = std::make_shared<StreamMeeting>(kRanks);
  meeting->FailFrom(0);
  OverStreams(meeting, [](Parallel& parallel) {
    const at::Tensor values = at::full({5}, 1.0, at::kFloat);
    const auto gather = parallel.AllGather(values, at::empty({15}, at::kFloat));
    // It orders streams and knows nothing of the result.
    EXPECT_TRUE(gather->Wait().ok());
    std::string bytes;
    EXPECT_EQ(parallel.Broadcast(&bytes).code(), absl::StatusCode::kUnavailable);
  });
}

// Optimizer steps of a model: the weights at the end, or the error.
absl::StatusOr<std::vector<float>> Train(Parallel& parallel, const ModelMemory& memory, int steps) {
  const RandomWeights weights = MakeRandomWeights(SmallConfig(), 1);
  Transformer model(SmallConfig(), Dtype::kFp32, Backend::kCpuKernels, memory);
  EXPECT_TRUE(model.Load(weights.manifest, weights.bytes, /*trainable=*/true).ok());
  auto update = PolicyUpdate::Create(&model, &parallel, TrainingSettings(), 100);
  std::vector<TrainingSequence> sequences;
  for (uint32_t i = 0; i < 6; ++i) {
    sequences.push_back(MakeSequence({i, i + 1, i + 2}, {i + 3, 2 * i, 7, 9}));
  }
  std::vector<const TrainingSequence*> batch;
  for (const TrainingSequence& sequence : sequences) batch.push_back(&sequence);
  for (int step = 0; step < steps; ++step) {
    if (const auto result = update->Step(batch, 1e-2); !result.ok()) return result.status();
  }
  std::vector<float> out;
  for (const auto& [name, tensor] : model.MergedWeights()) {
    const float* values = tensor.const_data_ptr<float>();
    out.insert(out.end(), values, values + tensor.numel());
  }
  return out;
}

// Two, with shards or with the whole model on each rank.
absl::StatusOr<std::vector<float>> Train(Parallel& parallel, bool sharded) {
  return Train(parallel, {.shard_group = sharded ? &parallel : nullptr}, 2);
}

TEST(DeviceParallelTest, AStepOverStreamsIsAStepOverTheHost) {
  for (const bool sharded : {false, true}) {
    std::vector<float> over_host, over_streams;
    std::stop_source stop;
    AsRanks(kRanks, &stop, [&](Parallel& parallel) {
      const auto out = Train(parallel, sharded);
      if (parallel.rank() == 0) over_host = out.value();
    });
    OverStreams(std::make_shared<StreamMeeting>(kRanks), [&](Parallel& parallel) {
      const auto out = Train(parallel, sharded);
      if (parallel.rank() == 0) over_streams = out.value();
    });
    ASSERT_EQ(over_streams.size(), over_host.size());
    for (size_t i = 0; i < over_host.size(); ++i) {
      ASSERT_NEAR(over_streams[i], over_host[i], 1e-4) << i;
    }
  }
}

TEST(DeviceParallelTest, NoRankStepsAfterACollectiveThatFailed) {
  for (const uint64_t first : {0, 1, 5}) {
    const auto meeting = std::make_shared<StreamMeeting>(kRanks);
    meeting->FailFrom(first);
    OverStreams(meeting, [](Parallel& parallel) {
      EXPECT_EQ(Train(parallel, /*sharded=*/true).status().code(), absl::StatusCode::kUnavailable);
    });
  }
}

// Groups of one rank, which add their gradients over streams: one sum a unit, of which the last is
// followed by no other that would find its error.
TEST(DeviceParallelTest, NoRankStepsAfterASumOverReplicasThatFailed) {
  const uint64_t units = SmallConfig().num_layers + 2;
  for (const uint64_t first : {uint64_t{0}, units - 1, units}) {
    const auto meeting = std::make_shared<StreamMeeting>(kRanks);
    meeting->FailFrom(first);
    std::stop_source stop;
    AsRanks(kRanks, &stop, [&](Parallel& host) {
      const std::unique_ptr<Parallel> shards = MakeSingle();
      const auto replicas =
          MakeDeviceParallel(std::make_unique<Borrowed>(&host),
                             c10::make_intrusive<StreamBackend>(host.rank(), host.world(), meeting),
                             c10::kCPU, stop.get_token());
      ReplicaSums sums(replicas.get());
      const absl::Status step =
          Train(host, {.shard_group = shards.get(), .replicas = &sums}, 1).status();
      EXPECT_EQ(step.code(), first < units ? absl::StatusCode::kUnavailable : absl::StatusCode::kOk)
          << step;
    });
  }
}

}  // namespace
}  // namespace reckon
