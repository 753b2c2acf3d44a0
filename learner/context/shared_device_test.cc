#include "learner/context/shared_device.h"

#include <ATen/core/grad_mode.h>

#include "common/model/shared_bytes.h"
#include "common/testing/temp_folder.h"
#include "gtest/gtest.h"
#include "learner/parallel/single.h"
#include "tests/support/tiny_model.h"

namespace reckon {
namespace {

// A learner whose model is of LibTorch's operations, as on a GPU, and an actor's turn.
class SharedDeviceTest : public testing::Test {
 protected:
  void SetUp() override {
    auto own = DeviceTurn::Open(folder_.path() + "/turn");
    auto actors = DeviceTurn::Open(folder_.path() + "/turn");
    ASSERT_TRUE(own.ok() && actors.ok());
    own_ = *std::move(own);
    actors_ = *std::move(actors);
    const Weights weights = MakeTinyModel();
    ASSERT_TRUE(model_.Load(weights.manifest, weights.bytes->bytes(), /*trainable=*/true).ok());
    run_.turn = own_.get();
    run_.model = &model_;
    run_.reporter = reporter_.get();
    run_.term = 3;
    run_.cursor.set_version(5);
  }

  // What the learner has left for the actor's turn.
  DeviceWeights LeftForActors() {
    EXPECT_TRUE(LeaveDevice(run_).ok());
    EXPECT_TRUE(actors_->TryTake());
    DeviceWeights left;
    EXPECT_TRUE(left.ParseFromString(actors_->left()));
    actors_->Release();
    EXPECT_TRUE(TakeDevice(run_).ok());
    return left;
  }

  const TempFolder folder_;
  std::unique_ptr<DeviceTurn> own_, actors_;
  Transformer model_{TinyConfig(), Dtype::kBf16, Backend::kTorchCpu};
  std::unique_ptr<Reporter> reporter_ = Reporter::Silent();
  RunState run_;
};

TEST_F(SharedDeviceTest, AVersionIsLeftUntilTheModelChanges) {
  ASSERT_TRUE(TakeDevice(run_).ok());
  EXPECT_EQ(LeftForActors().handle(), "") << "nothing is shared yet";
  ASSERT_TRUE(ShareModel(run_).ok());
  EXPECT_EQ(LeftForActors().handle(), "") << "it is no version yet";
  SharesVersion(run_);
  const DeviceWeights left = LeftForActors();
  EXPECT_EQ(left.version(), 5u);
  EXPECT_EQ(left.term(), 3u);
  EXPECT_EQ(left.dtype(), "BF16");
  EXPECT_TRUE(
      OpenSharedBytes(Backend::kTorchCpu, left.handle(), static_cast<int64_t>(left.total_bytes()))
          .ok());
  EXPECT_EQ(LeftForActors().version(), 5u) << "as after an evaluation";

  const std::unique_ptr<Parallel> single = MakeSingle();
  TrainingSettings training;
  const std::shared_ptr<PolicyUpdate> update =
      PolicyUpdate::Create(&model_, single.get(), training, 256);
  run_.update = update;
  const TrainingSequence sequence = MakeSequence({1, 2, 3}, {4, 5, 6});
  ASSERT_TRUE(update->Step({&sequence}, 1e-2).ok());
  EXPECT_EQ(LeftForActors().handle(), "") << "trained, and not published";
  run_.cursor.set_version(6);
  SharesVersion(run_);
  EXPECT_EQ(LeftForActors().version(), 6u);
  EXPECT_EQ(LeftForActors().handle(), left.handle()) << "the same memory";
  ASSERT_TRUE(update->Step({&sequence}, 1e-2).ok());
  const Weights weights = MakeTinyModel();
  ASSERT_TRUE(model_.Load(weights.manifest, weights.bytes->bytes(), /*trainable=*/true).ok());
  EXPECT_EQ(LeftForActors().handle(), "") << "loaded, as by a stage that starts again";
  SharesVersion(run_);
  EXPECT_EQ(LeftForActors().version(), 6u);
  model_.AddAdapters(2, 4, 1);
  SharesVersion(run_);
  EXPECT_EQ(LeftForActors().handle(), "") << "with adapters it is more than what is shared";
}

TEST_F(SharedDeviceTest, ALearnerThatDiesInItsTurnLeavesNoVersion) {
  ASSERT_TRUE(TakeDevice(run_).ok());
  ASSERT_TRUE(ShareModel(run_).ok());
  SharesVersion(run_);
  EXPECT_EQ(LeftForActors().version(), 5u);
  own_->Release();  // as the kernel does for a process that has died
  ASSERT_TRUE(actors_->TryTake());
  EXPECT_EQ(actors_->left(), "");
}

TEST_F(SharedDeviceTest, WithoutATurnNothingIsDone) {
  run_.turn = nullptr;
  EXPECT_TRUE(TakeDevice(run_).ok());
  EXPECT_TRUE(ShareModel(run_).ok());
  EXPECT_EQ(run_.shared_weights.handle(), "");
  EXPECT_TRUE(LeaveDevice(run_).ok());
}

}  // namespace
}  // namespace reckon
