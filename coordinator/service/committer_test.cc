#include "coordinator/service/committer.h"

#include <atomic>

#include "absl/synchronization/notification.h"
#include "common/base/clock.h"
#include "common/testing/await.h"
#include "gtest/gtest.h"
#include "tests/support/service_harness.h"

namespace reckon {
namespace {

TEST(CommitterTest, AWaitIsWokenByAChangeOfItsKindAlone) {
  MemoryStore store;
  FakeClock clock;  // stays, so that no wait ends by itself
  Committer committer(*Core::Recover(&store, CoreOptions()), &store, &clock, {});
  std::atomic<int> attempts = 0;
  absl::Notification answered;
  committer.Await(
      kWeightsChanged, absl::Seconds(30),
      [&](Core& core, absl::Time, bool last, Reads&) {
        ++attempts;
        EXPECT_FALSE(last);
        return core.Status(absl::UnixEpoch()).newest_version() == 4;
      },
      [&](const absl::Status& status) {
        EXPECT_TRUE(status.ok());
        answered.Notify();
      });
  EXPECT_EQ(attempts, 1);
  const auto begin_term = [](Core& core, absl::Time, Reads&) {
    BeginTermRequest begin;
    begin.set_learner("l");
    begin.set_world_size(1);
    begin.set_nonce("n");
    EXPECT_TRUE(core.BeginTerm(begin).ok());
  };
  committer.Do(begin_term, [](const absl::Status&) {});
  EXPECT_EQ(attempts, 1) << "another kind";
  committer.Do([](Core& core, absl::Time,
                  Reads&) { EXPECT_TRUE(core.PublishWeights(PublishRequest(4, 1)).ok()); },
               [](const absl::Status&) {});
  answered.WaitForNotification();
  EXPECT_EQ(attempts, 2);
}

TEST(CommitterTest, AManifestThatIsNotOnTheDiskIsGivenWhenItIs) {
  GatedStore store;
  FakeClock clock;  // stays, so that no wait ends by itself
  Committer committer(*Core::Recover(&store, CoreOptions()), &store, &clock, {});
  store.SetOpen(false);
  const auto publish = [&](uint64_t version) {
    committer.Do([=](Core& core, absl::Time,
                     Reads&) { EXPECT_TRUE(core.PublishWeights(PublishRequest(version)).ok()); },
                 [](const absl::Status&) {});
  };
  publish(0);
  publish(1);
  std::atomic<bool> answered = false;
  committer.Await(
      kWeightsChanged, absl::Seconds(30),
      [](Core& core, absl::Time, bool last, Reads& reads) {
        EXPECT_FALSE(last);
        GetManifestRequest first;
        first.set_version(0);
        return core.GetManifest(first, reads)->has_value();
      },
      [&](const absl::Status& status) { answered = status.ok(); });
  EXPECT_FALSE(answered);
  store.SetOpen(true);
  EXPECT_TRUE(Await([&] { return answered.load(); }));
}

}  // namespace
}  // namespace reckon
