#include "learner/context/shared_device.h"

#include <ATen/core/grad_mode.h>

#include <atomic>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/model/shared_bytes.h"
#include "common/testing/await.h"
#include "common/testing/temp_folder.h"
#include "gtest/gtest.h"
#include "learner/parallel/single.h"
#include "tests/support/rank_threads.h"
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
    for (const auto& [name, parameter] : model_.Parameters()) {
      EXPECT_FALSE(parameter.grad().defined()) << name;
    }
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
  ASSERT_TRUE(model_.Load(weights.manifest, weights.bytes->bytes(), /*trainable=*/true).ok());
  EXPECT_EQ(LeftForActors().handle(), "") << "loaded, though nothing was trained";
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

TEST_F(SharedDeviceTest, WhatComputesInAnActorsTurnIsABug) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_FALSE(HasDevice(run_));
  EXPECT_DEATH(CheckHasDevice(run_), "in an actor's turn");
  ASSERT_TRUE(TakeDevice(run_).ok());
  EXPECT_TRUE(HasDevice(run_));
  CheckHasDevice(run_);
}

TEST_F(SharedDeviceTest, WithoutATurnNothingIsDone) {
  run_.turn = nullptr;
  CheckHasDevice(run_);
  EXPECT_TRUE(TakeDevice(run_).ok());
  EXPECT_TRUE(ShareModel(run_).ok());
  EXPECT_EQ(run_.shared_weights.handle(), "");
  EXPECT_TRUE(LeaveDevice(run_).ok());
}

// Two ranks, each with a device that it shares by turns with an actor, which is the test.
class SharedDevicesTest : public testing::Test {
 protected:
  std::unique_ptr<DeviceTurn> Open(int card) {
    auto turn = DeviceTurn::Open(absl::StrCat(folder_.path(), "/turn-", card));
    EXPECT_TRUE(turn.ok()) << turn.status();
    return *std::move(turn);
  }
  // `alone`: rank 1 has its device for itself. `sharded`: the ranks divide the model.
  void AsTwoRanks(const std::function<void(RankContext&)>& body, bool alone = false,
                  bool sharded = false) {
    AsRanks(2, &stop_, [&](Parallel& parallel) {
      const std::unique_ptr<DeviceTurn> own = Open(parallel.rank());
      const Weights weights = MakeTinyModel();
      Transformer model(TinyConfig(), Dtype::kBf16, Backend::kTorchCpu,
                        {.shard_group = sharded ? &parallel : nullptr});
      ASSERT_TRUE(model.Load(weights.manifest, weights.bytes->bytes(), /*trainable=*/true).ok());
      const std::unique_ptr<Reporter> reporter = Reporter::Silent();
      RunState run;
      run.turn = alone && parallel.rank() == 1 ? nullptr : own.get();
      run.turns_taken = true;
      run.model = &model;
      run.reporter = reporter.get();
      run.stop = stops_[parallel.rank()].get_token();
      RankContext ranks = {run, parallel, nullptr};
      body(ranks);
    });
  }

  const TempFolder folder_;
  std::stop_source stop_, stops_[2];
};

TEST_F(SharedDevicesTest, ARankAsksForItsTurnAfterTheLeaderAndNobodyComputesBeforeAllHaveTheirs) {
  const std::unique_ptr<DeviceTurn> actor = Open(1);
  ASSERT_TRUE(actor->TryTake());
  std::atomic<bool> asked = false, left = false;
  std::thread drawing([&] {
    EXPECT_TRUE(Await([&] { return actor->wanted(); }));
    EXPECT_TRUE(asked) << "the leader may still wait for these samples";
    left = true;
    actor->Release();
  });
  AsTwoRanks([&](RankContext& ranks) {
    if (ranks.parallel.rank() == 0) {
      absl::SleepFor(absl::Milliseconds(100));  // in which a rank that does not wait would ask
      asked = true;
    }
    const absl::StatusOr<bool> all = AllTakeDevices(ranks);
    ASSERT_TRUE(all.ok()) << all.status();
    EXPECT_TRUE(*all);
    EXPECT_TRUE(left);
    EXPECT_TRUE(HasDevice(ranks.run));
  });
  drawing.join();
}

TEST_F(SharedDevicesTest, ARankThatIsStoppedInLineLeavesNoneWithItsDevice) {
  const std::unique_ptr<DeviceTurn> actor = Open(1);
  ASSERT_TRUE(actor->TryTake());
  std::thread stopper([&] {
    EXPECT_TRUE(Await([&] { return actor->wanted(); }));
    stops_[1].request_stop();
  });
  AsTwoRanks([&](RankContext& ranks) {
    ASSERT_TRUE(ShareModel(ranks.run).ok());
    SharesVersion(ranks.run);
    const absl::StatusOr<bool> all = AllTakeDevices(ranks);
    ASSERT_TRUE(all.ok()) << all.status();
    EXPECT_FALSE(*all);
    EXPECT_FALSE(HasDevice(ranks.run));
    if (ranks.parallel.rank() == 0) {  // which had it, and has left it as always
      const std::unique_ptr<DeviceTurn> looks = Open(0);
      EXPECT_TRUE(looks->TryTake());
      EXPECT_NE(looks->left(), "");
    }
    EXPECT_FALSE(ranks.run.turn->in_line());
    EXPECT_FALSE(*AllHaveDevices(ranks));
  });
  stopper.join();
  EXPECT_FALSE(actor->wanted());
  EXPECT_TRUE(Open(0)->TryTake());
}

TEST_F(SharedDevicesTest, AllLeaveOrStayAsTheLeaderSays) {
  AsTwoRanks([&](RankContext& ranks) {
    const bool leader = ranks.parallel.rank() == 0;
    ASSERT_TRUE(AllNeedDevices(ranks).ok());
    ASSERT_TRUE(AllLeaveDevices(ranks, /*waits=*/!leader).ok());
    EXPECT_TRUE(HasDevice(ranks.run));
    EXPECT_TRUE(*AllHaveDevices(ranks));
    ASSERT_TRUE(AllLeaveDevices(ranks, /*waits=*/leader).ok());
    EXPECT_FALSE(HasDevice(ranks.run));
  });
}

TEST_F(SharedDevicesTest, EachRankLeavesItsOwnMemoryToItsActors) {
  std::string handles[2];
  const auto leave = [&](RankContext& ranks) {
    ASSERT_TRUE(AllNeedDevices(ranks).ok());
    ASSERT_TRUE(ShareModel(ranks.run).ok());
    ranks.run.term = 3;
    ranks.run.cursor.set_version(5);
    SharesVersion(ranks.run);
    ASSERT_TRUE(AllLeaveDevices(ranks, /*waits=*/true).ok());
    const std::unique_ptr<DeviceTurn> actor = Open(ranks.parallel.rank());
    ASSERT_TRUE(actor->TryTake());
    DeviceWeights left;
    ASSERT_TRUE(left.ParseFromString(actor->left()));
    handles[ranks.parallel.rank()] = left.handle();
    if (left.handle().empty()) return;
    EXPECT_EQ(left.version(), 5u);
    Transformer reader(TinyConfig(), Dtype::kBf16, Backend::kTorchCpu);
    const auto memory = OpenSharedBytes(Backend::kTorchCpu, left.handle(),
                                        static_cast<int64_t>(left.total_bytes()));
    ASSERT_TRUE(memory.ok()) << memory.status();
    EXPECT_TRUE(reader.Adopt(*memory).ok());
  };
  AsTwoRanks(leave);
  EXPECT_NE(handles[0], "");
  EXPECT_NE(handles[1], "");
  EXPECT_NE(handles[0], handles[1]);
  AsTwoRanks(leave, /*alone=*/false, /*sharded=*/true);
  EXPECT_EQ(handles[0] + handles[1], "") << "no rank has all weights";
}

TEST_F(SharedDevicesTest, ARankThatDiesInItsTurnLeavesNoVersion) {
  AsTwoRanks([&](RankContext& ranks) {
    ASSERT_TRUE(AllNeedDevices(ranks).ok());
    ASSERT_TRUE(ShareModel(ranks.run).ok());
    SharesVersion(ranks.run);
    const std::unique_ptr<DeviceTurn> actor = Open(ranks.parallel.rank());
    ASSERT_TRUE(AllLeaveDevices(ranks, /*waits=*/true).ok());
    ASSERT_TRUE(actor->TryTake());
    EXPECT_NE(actor->left(), "");
    actor->Release();
    ASSERT_TRUE(AllNeedDevices(ranks).ok());
    ranks.run.turn->Release();  // as the kernel does
    ASSERT_TRUE(actor->TryTake());
    EXPECT_EQ(actor->left(), "");
  });
}

TEST_F(SharedDevicesTest, ARankThatIsAloneOnItsDeviceKeepsItAndWaitsForTheOthers) {
  AsTwoRanks(
      [&](RankContext& ranks) {
        ASSERT_TRUE(AllNeedDevices(ranks).ok());
        ASSERT_TRUE(AllLeaveDevices(ranks, /*waits=*/true).ok());
        EXPECT_EQ(HasDevice(ranks.run), ranks.parallel.rank() == 1);
        EXPECT_FALSE(*AllHaveDevices(ranks)) << "equal on both";
        ASSERT_TRUE(AllNeedDevices(ranks).ok());
        EXPECT_TRUE(*AllHaveDevices(ranks));
      },
      /*alone=*/true);
}

}  // namespace
}  // namespace reckon
