#include "common/reward/reward_pool.h"

#include <atomic>
#include <map>
#include <utility>

#include "absl/synchronization/notification.h"
#include "common/testing/await.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

using ::testing::HasSubstr;

// Answers by what the completion says: the failures that it has first, then its value.
class Scripted final : public RewardWorker {
 public:
  using Failures = std::map<std::string, std::vector<RewardFailure>>;
  Scripted(absl::Mutex* mu, Failures* failures) : mu_(mu), failures_(failures) {}

  RewardOutcome Score(const ScoreRequest& request, const std::stop_token&,
                      absl::FunctionRef<void(const std::string&)>) override {
    absl::MutexLock lock(mu_);
    std::vector<RewardFailure>& failures = (*failures_)[request.completion()];
    if (!failures.empty()) {
      const RewardFailure failure = failures.front();
      failures.erase(failures.begin());
      return FailedAttempt{failure, "why"};
    }
    RewardValue value;
    value.set_value(0.5);
    return value;
  }

 private:
  absl::Mutex* const mu_;
  Failures* const failures_;
};

class RewardPoolTest : public testing::Test {
 protected:
  void Start(double max_failed_share, uint32_t workers = 2) {
    RewardPool::Options options;
    options.spec.set_name("mine");
    options.spec.set_workers(workers);
    options.spec.set_max_failed_share(max_failed_share);
    options.make_worker = [this] { return std::make_unique<Scripted>(&mu_, &failures_); };
    options.on_failure = [this](RewardFailure) { ++counted_; };
    pool_ = std::make_unique<RewardPool>(std::move(options));
  }

  absl::StatusOr<RewardValue> Score(const std::string& completion) {
    ScoreRequest request;
    request.set_completion(completion);
    RewardPool::Result result;
    absl::Notification done;
    EXPECT_TRUE(pool_
                    ->Add(request,
                          [&](RewardPool::Result given) {
                            result = std::move(given);
                            done.Notify();
                          })
                    .ok());
    done.WaitForNotification();
    last_failures_ = result.failures;
    return result.value;
  }

  absl::Mutex mu_;
  Scripted::Failures failures_;
  std::atomic<int> counted_ = 0;
  std::vector<RewardFailure> last_failures_;  // of the last completion
  std::unique_ptr<RewardPool> pool_;
};

TEST_F(RewardPoolTest, AFailureIsTriedOnceMoreAndRemembered) {
  failures_["once"] = {RewardFailure::kTimeout};
  failures_["twice"] = {RewardFailure::kCrash, RewardFailure::kNoNumber};
  failures_["refused"] = {RewardFailure::kRefused};
  Start(1);
  EXPECT_TRUE(Score("good").ok());
  EXPECT_TRUE(last_failures_.empty());
  const auto once = Score("once");
  ASSERT_TRUE(once.ok());
  EXPECT_THAT(last_failures_, testing::ElementsAre(RewardFailure::kTimeout));
  EXPECT_EQ(once->value(), 0.5);
  EXPECT_EQ(Score("twice").status().message(), "no_number: why");
  EXPECT_THAT(last_failures_,
              testing::ElementsAre(RewardFailure::kCrash, RewardFailure::kNoNumber));
  EXPECT_EQ(Score("refused").status().message(), "refused: why");
  EXPECT_TRUE(Score("refused").ok());  // the second time, as another actor would find it
  EXPECT_EQ(counted_, 4);
  EXPECT_EQ(pool_->failing(), "");
}

TEST_F(RewardPoolTest, AboveItsShareItIsFailingUntilItIsForgiven) {
  Start(0.05, 1);
  for (int i = 0; i < 300; ++i) EXPECT_TRUE(Score("good").ok());
  for (int i = 0; i < 13; ++i) {  // of 256, 5 % are 12.8
    EXPECT_EQ(pool_->failing(), "");
    failures_["late"] = {i % 2 == 0 ? RewardFailure::kRefused : RewardFailure::kCrash};
    Score("late").IgnoreError();
  }
  EXPECT_THAT(pool_->failing(),
              HasSubstr("reward 'mine': 13 of the latest 256 attempts failed (crash 6, refused 7), "
                        "above max_failed_share 0.05; the last: refused: why"));
  pool_->Forgive();
  EXPECT_EQ(pool_->failing(), "");
}

TEST_F(RewardPoolTest, AtTheBeginningThirtyTwoAttemptsAreCounted) {
  failures_["a"] = failures_["b"] = {RewardFailure::kRefused};
  Start(0.05);
  EXPECT_FALSE(Score("a").ok());
  EXPECT_EQ(pool_->failing(), "");
  EXPECT_FALSE(Score("b").ok());
  EXPECT_NE(pool_->failing(), "");
}

TEST_F(RewardPoolTest, WithAShareOfZeroTheFirstFailureIsOneTooMany) {
  failures_["a"] = {RewardFailure::kTimeout};
  Start(0);
  EXPECT_TRUE(Score("a").ok());
  EXPECT_NE(pool_->failing(), "");
}

TEST_F(RewardPoolTest, AFullQueueIsAnError) {
  class Stuck final : public RewardWorker {
    RewardOutcome Score(const ScoreRequest&, const std::stop_token& stop,
                        absl::FunctionRef<void(const std::string&)> waits) override {
      waits("a service");
      while (!stop.stop_requested()) absl::SleepFor(absl::Milliseconds(1));
      return RewardValue();
    }
  };
  RewardPool::Options options;
  options.spec.set_workers(1);
  options.max_queued = 2;
  options.make_worker = [] { return std::make_unique<Stuck>(); };
  RewardPool pool(std::move(options));
  bool called = false;
  const auto add = [&] { return pool.Add({}, [&](RewardPool::Result) { called = true; }); };
  EXPECT_TRUE(add().ok());
  EXPECT_TRUE(Await([&] { return pool.waiting_for() == "a service"; }));  // it was taken
  EXPECT_TRUE(add().ok());
  EXPECT_TRUE(add().ok());
  EXPECT_EQ(add().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_FALSE(called);  // nor at the end, which does not wait for the queue
}

}  // namespace
}  // namespace reckon
