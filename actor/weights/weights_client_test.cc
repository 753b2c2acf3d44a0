#include "actor/weights/weights_client.h"

#include "actor/fake_coordinator.h"
#include "actor/policy/fake_policy.h"
#include "actor/weights/model_set.h"
#include "common/net/channel.h"
#include "common/testing/tiny_model.h"
#include "common/weights/transfer.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace reckon {
namespace {

Weights MakeVersion(uint64_t version, uint64_t seed) {
  TinyModelOptions options;
  options.seed = seed;
  Weights weights = MakeTinyModel(options);
  weights.manifest.set_version(version);
  return weights;
}

class WeightsClientTest : public testing::Test {
 protected:
  void Publish(uint64_t version, uint64_t seed, uint64_t epoch = 1) {
    Weights weights = MakeVersion(version, seed);
    weights.manifest.set_epoch(epoch);
    source_->Drop(version);
    source_->Add(version, weights);
    weights.manifest.add_sources(source_->address());
    coordinator_.SetEpoch(epoch);
    coordinator_.Publish(weights.manifest);
  }
  std::optional<WeightsClient::Fetched> Next(WeightsClient* client) {
    std::optional<WeightsClient::Fetched> fetched;
    coordinator_.Await([&] {
      fetched = client->Take();
      return fetched.has_value();
    });
    return fetched;
  }

  FakeCoordinator coordinator_;
  std::unique_ptr<WeightServer> source_ = *WeightServer::Start("127.0.0.1:0");
  std::unique_ptr<Coordinator::Stub> stub_ =
      Coordinator::NewStub(MakeChannel(coordinator_.address()));
};

TEST_F(WeightsClientTest, FetchesTheNewestAndWhatIsAskedFor) {
  Publish(0, 10);
  WeightsClient client(stub_.get(), [] {});
  auto first = Next(&client);
  ASSERT_TRUE(first.has_value() && first->weights.ok());
  EXPECT_EQ(first->version, 0u);
  EXPECT_EQ(first->weights->bytes->bytes(), MakeVersion(0, 10).bytes->bytes());
  Publish(1, 11);
  auto second = Next(&client);
  ASSERT_TRUE(second.has_value() && second->weights.ok());
  EXPECT_EQ(second->version, 1u);
  client.Want(0);
  auto again = Next(&client);
  ASSERT_TRUE(again.has_value() && again->weights.ok());
  EXPECT_EQ(again->version, 0u);
  EXPECT_FALSE(client.stale());
}

TEST_F(WeightsClientTest, RefusesADamagedVersionAndTakesTheNext) {
  Weights good = MakeVersion(0, 10), bad = MakeVersion(0, 11);
  source_->Add(0, bad);  // these bytes are not those of the manifest
  good.manifest.add_sources(source_->address());
  coordinator_.Publish(good.manifest);
  WeightsClient client(stub_.get(), [] {});
  client.Want(0);
  auto refused = Next(&client);
  ASSERT_TRUE(refused.has_value());
  EXPECT_EQ(refused->weights.status().code(), absl::StatusCode::kDataLoss)
      << refused->weights.status();
  Publish(1, 12);
  auto next = Next(&client);
  ASSERT_TRUE(next.has_value());
  EXPECT_TRUE(next->weights.ok());
  EXPECT_EQ(next->version, 1u);
}

TEST_F(WeightsClientTest, AVersionThatIsNotThereIsReported) {
  WeightsClient client(stub_.get(), [] {});
  client.Want(3);
  auto fetched = Next(&client);
  ASSERT_TRUE(fetched.has_value());
  EXPECT_TRUE(absl::IsNotFound(fetched->weights.status()));
}

TEST_F(WeightsClientTest, NoticesThatANewLearnerPublishesANumberAnew) {
  Publish(5, 10);
  WeightsClient client(stub_.get(), [] {});
  ASSERT_TRUE(Next(&client).has_value());
  Publish(5, 10, /*epoch=*/2);  // the same weights: nothing changes
  Publish(4, 12, /*epoch=*/3);
  auto fetched = Next(&client);
  ASSERT_TRUE(fetched.has_value() && fetched->weights.ok());
  EXPECT_EQ(fetched->version, 4u);
  EXPECT_TRUE(client.stale());
  client.ClearStale();
  EXPECT_FALSE(client.stale());
}

TEST(ModelSetTest, KeepsTheTwoUsedLast) {
  int made = 0;
  ModelSet models([&made](const Weights&) -> absl::StatusOr<std::unique_ptr<Policy>> {
    ++made;
    return std::make_unique<FakePolicy>(FakePolicy::Options());
  });
  const Weights weights = MakeTinyModel();
  ASSERT_TRUE(models.Add(1, weights).ok());
  ASSERT_TRUE(models.Add(2, weights).ok());
  ASSERT_NE(models.Find(1), nullptr);
  ASSERT_TRUE(models.Add(3, weights).ok());
  EXPECT_EQ(models.Find(2), nullptr);
  EXPECT_NE(models.Find(1), nullptr);
  EXPECT_NE(models.Find(3), nullptr);
  EXPECT_EQ(made, 3);
}

TEST(ModelSetTest, ABadTokenizerIsAnErrorAndTheOthersStay) {
  ModelSet models([](const Weights&) -> absl::StatusOr<std::unique_ptr<Policy>> {
    return std::make_unique<FakePolicy>(FakePolicy::Options());
  });
  Weights weights = MakeTinyModel();
  ASSERT_TRUE(models.Add(1, weights).ok());
  weights.manifest.set_tokenizer_json("{");
  EXPECT_FALSE(models.Add(2, weights).ok());
  EXPECT_NE(models.Find(1), nullptr);
}

}  // namespace
}  // namespace reckon
