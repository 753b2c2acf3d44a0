#include "tests/support/rank_processes.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/model/backend.h"
#include "gtest/gtest.h"
#include "learner/parallel/single.h"
#include "learner/update/policy_update.h"
#include "tests/support/random_weights.h"

// Two ranks that are processes: over Gloo, and on a machine with two GPUs over NCCL, each with one.
namespace reckon {
namespace {

using Pending = std::unique_ptr<PendingCollective>;

class RankProcessesTest : public testing::Test {
 protected:
  static constexpr bool kGpus = false;
  static constexpr Backend kBackend = Backend::kCpuKernels;
};

// `./dev gpu` leaves these out by their name where there is one GPU.
class GpuPairTest : public testing::Test {
 protected:
  static constexpr bool kGpus = true;
  static constexpr Backend kBackend = Backend::kTorchCuda;
  void SetUp() override {
    if (const auto cuda = ChooseBackend("CUDA"); !cuda.ok()) {
      GTEST_SKIP() << "needs a GPU: " << cuda.status().message();
    }
    // A rank sees its own alone.
    if (std::getenv("RECKON_TEST_RANK") == nullptr && VisibleGpus() < 2) {
      GTEST_SKIP() << "needs two GPUs";
    }
  }
};

// All of Parallel, with several collectives under way.
void Collectives(Parallel& parallel, c10::Device device) {
  const int rank = parallel.rank();
  ASSERT_EQ(parallel.world(), 2);
  const at::TensorOptions fp32 = at::TensorOptions(at::kFloat).device(device);
  std::vector<std::pair<Pending, at::Tensor>> gathers;
  for (const int64_t n : {1, 7, 100001}) {
    for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
      const at::Tensor mine = at::full({n}, 10.0 + rank, fp32.dtype(type));
      const at::Tensor all = at::empty({2 * n}, mine.options());
      gathers.emplace_back(parallel.AllGather(mine, all), all);
    }
  }
  const at::Tensor numbers = at::arange(2002, fp32) * (1 + rank);
  const at::Tensor part = at::empty({1001}, fp32);
  const Pending scatter = parallel.ReduceScatterSum(numbers, part);
  const at::Tensor sums = at::full({100001}, 1.0 + rank, fp32);
  ASSERT_TRUE(parallel.AllReduceSum(sums).ok());
  EXPECT_TRUE(sums.cpu().eq(3).all().item<bool>());
  ASSERT_TRUE(scatter->Wait().ok());
  const at::Tensor summed = at::arange(2002).narrow(0, 1001 * rank, 1001).to(at::kFloat) * 3;
  EXPECT_TRUE(part.cpu().equal(summed));
  const at::Tensor in_place = numbers.narrow(0, 1001 * rank, 1001);
  ASSERT_TRUE(parallel.ReduceScatterSum(numbers, in_place)->Wait().ok());
  EXPECT_TRUE(in_place.cpu().equal(summed));
  for (auto gather = gathers.rbegin(); gather != gathers.rend(); ++gather) {
    ASSERT_TRUE(gather->first->Wait().ok());
    const at::Tensor all = gather->second.cpu().to(at::kFloat).view({2, -1});
    EXPECT_TRUE(all[0].eq(10).all().item<bool>());
    EXPECT_TRUE(all[1].eq(11).all().item<bool>());
  }
  // In host memory.
  const at::Tensor mine = at::full({3}, 0.5 + rank, at::kDouble), all = at::empty({6}, at::kDouble);
  ASSERT_TRUE(parallel.AllGather(mine, all)->Wait().ok());
  EXPECT_EQ(all[5].item<double>(), 1.5);
  float one = 1;
  ASSERT_TRUE(parallel.AllReduceSum(absl::MakeSpan(&one, 1)).ok());
  EXPECT_EQ(one, 2);
  std::string bytes = rank == 0 ? "abc" : "";
  ASSERT_TRUE(parallel.Broadcast(&bytes).ok());
  EXPECT_EQ(bytes, "abc");
}

struct Trained {
  std::vector<double> losses, norms;
  at::Tensor weights;  // all of them
};

// Three optimizer steps of a model that each rank has whole, or that the ranks divide.
Trained Train(Parallel& parallel, Backend backend, bool divided) {
  const ModelConfig config = AllOptions();
  const RandomWeights weights = MakeRandomWeights(config, 1);
  Transformer model(config, Dtype::kFp32, backend,
                    {.shard_group = divided ? &parallel : nullptr, .recompute = divided});
  EXPECT_TRUE(model.Load(weights.manifest, weights.bytes, /*trainable=*/true).ok());
  TrainingSettings settings;
  settings.set_max_grad_norm(0.3);
  auto update = PolicyUpdate::Create(&model, &parallel, settings, /*micro_batch_tokens=*/20);
  std::vector<TrainingSequence> sequences;
  for (uint32_t i = 5; i < 14; ++i) {
    sequences.push_back(MakeSequence({i, i + 1, i + 2}, {i + 3, 2 * i, 7, 9}));
  }
  std::vector<const TrainingSequence*> batch;
  for (const TrainingSequence& sequence : sequences) batch.push_back(&sequence);
  Trained out;
  for (int step = 0; step < 3; ++step) {
    const auto result = update->Step(batch, 1e-3);
    EXPECT_TRUE(result.ok()) << result.status();
    if (!result.ok()) return out;
    out.losses.push_back(result->loss);
    out.norms.push_back(result->grad_norm);
  }
  std::vector<at::Tensor> flat;
  for (const auto& [name, tensor] : model.MergedWeights()) {
    flat.push_back(tensor.detach().to(at::kCPU, at::kFloat).flatten());
  }
  // A rank that divides the model has no whole tensors but as the leader.
  if (!flat.empty()) out.weights = at::cat(flat);
  return out;
}

void StepsAreThoseOfOneRank(Parallel& parallel, Backend backend) {
  const Trained wanted = Train(*MakeSingle(), backend, /*divided=*/false);
  for (const bool divided : {false, true}) {
    const Trained got = Train(parallel, backend, divided);
    ASSERT_EQ(got.losses.size(), wanted.losses.size());
    for (size_t step = 0; step < got.losses.size(); ++step) {
      EXPECT_NEAR(got.losses[step] / wanted.losses[step], 1, 1e-4) << step;
      EXPECT_NEAR(got.norms[step] / wanted.norms[step], 1, 1e-3) << step;
    }
    EXPECT_EQ(got.weights.defined(), !divided || parallel.rank() == 0);
    if (!got.weights.defined()) continue;
    const at::Tensor difference = got.weights - wanted.weights;
    EXPECT_LT(difference.norm().item<double>(), 1e-3 * wanted.weights.norm().item<double>());
  }
}

// One rank ends. The other, which has a collective with it under way, gets an error from every
// call, and its device can be used: what it waited for has ended as well.
void ARankEnds(Parallel& parallel, c10::Device device) {
  const at::Tensor mine = at::full({1000}, 1.0, at::TensorOptions(at::kFloat).device(device));
  const at::Tensor all = at::empty({2000}, mine.options());
  ASSERT_TRUE(parallel.AllGather(mine, all)->Wait().ok());
  if (parallel.rank() == 1) EndRank();
  // Of NCCL this orders the device's work after a collective that nobody ends.
  parallel.AllGather(mine, all)->Wait().IgnoreError();
  const absl::Status failed = parallel.AllReduceSum(mine);
  EXPECT_TRUE(absl::IsUnavailable(failed) || absl::IsCancelled(failed)) << failed;
  EXPECT_FALSE(parallel.AllReduceSum(mine).ok());
  std::string bytes = "abc";
  EXPECT_FALSE(parallel.Broadcast(&bytes).ok());
  EXPECT_EQ(at::full({3}, 2.0, mine.options()).sum().item<float>(), 6);
}

TEST_F(RankProcessesTest, AllCollectives) {
  AsTwoProcesses(kGpus, [](Parallel& parallel) { Collectives(parallel, DeviceOf(kBackend)); });
}
TEST_F(GpuPairTest, AllCollectives) {
  AsTwoProcesses(kGpus, [](Parallel& parallel) { Collectives(parallel, DeviceOf(kBackend)); });
}

TEST_F(RankProcessesTest, StepsAreThoseOfOneRank) {
  AsTwoProcesses(kGpus, [](Parallel& parallel) { StepsAreThoseOfOneRank(parallel, kBackend); });
}
TEST_F(GpuPairTest, StepsAreThoseOfOneRank) {
  AsTwoProcesses(kGpus, [](Parallel& parallel) { StepsAreThoseOfOneRank(parallel, kBackend); });
}

// As Gloo does when the other rank is gone.
TEST_F(RankProcessesTest, AWriteThatNobodyReadsEndsNoRank) {
  AsTwoProcesses(kGpus, [](Parallel& parallel) {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    ::close(ends[0]);
    EXPECT_EQ(::write(ends[1], "x", 1), -1);
    EXPECT_EQ(errno, EPIPE);
    ::close(ends[1]);
    float one = 1;  // nobody ends before both are connected
    ASSERT_TRUE(parallel.AllReduceSum(absl::MakeSpan(&one, 1)).ok());
  });
}

TEST_F(RankProcessesTest, ARankThatEndsIsAnErrorOfTheOther) {
  AsTwoProcesses(kGpus, [](Parallel& parallel) { ARankEnds(parallel, DeviceOf(kBackend)); });
}
TEST_F(GpuPairTest, ARankThatEndsIsAnErrorOfTheOther) {
  AsTwoProcesses(kGpus, [](Parallel& parallel) { ARankEnds(parallel, DeviceOf(kBackend)); });
}

}  // namespace
}  // namespace reckon
