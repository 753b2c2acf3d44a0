#include "actor/weights/weights_client.h"

#include <cstring>

#include "absl/strings/str_cat.h"
#include "actor/actor_metrics.h"
#include "actor/weights/model_set.h"
#include "common/model/files/manifest.h"
#include "common/model/transfer/server.h"
#include "common/testing/await.h"
#include "gmock/gmock.h"
#include "grpcpp/grpcpp.h"
#include "gtest/gtest.h"
#include "proto/weight_source.grpc.pb.h"
#include "tests/support/fake_model_runner.h"
#include "tests/support/in_process_coordinator.h"
#include "tests/support/tiny_model.h"

namespace reckon {
namespace {

Weights MakeVersion(uint64_t version, uint64_t seed) {
  Weights weights = MakeTinyModel(seed);
  weights.manifest.set_version(version);
  return weights;
}

class WeightsClientTest : public testing::Test {
 protected:
  void Publish(uint64_t version, uint64_t seed, uint64_t term = 1) {
    while (coordinator_.status().term() < term) coordinator_.BeginTerm();
    Serve(version, MakeVersion(version, seed));
  }
  void PublishAdapters(uint64_t version, uint64_t base) {
    Weights weights = MakeTinyAdapters(base, version);
    weights.manifest.set_version(version);
    Serve(version, std::move(weights));
  }
  void Serve(uint64_t version, Weights weights) {
    source_->Drop(version);
    source_->Add(version, weights);
    weights.manifest.add_sources(source_->address());
    coordinator_.Publish(weights.manifest);
  }
  std::optional<WeightsClient::Fetched> Next(WeightsClient* client) {
    std::optional<WeightsClient::Fetched> fetched;
    Await([&] {
      fetched = client->TakeFetched();
      return fetched.has_value();
    });
    return fetched;
  }

  InProcessCoordinator coordinator_;
  std::unique_ptr<WeightServer> source_ =
      *WeightServer::Start("127.0.0.1:0", Security::PlainText());
  std::shared_ptr<Coordinator::StubInterface> stub_ = coordinator_.NewStub();
};

TEST_F(WeightsClientTest, FetchesTheNewestAndWhatIsRequested) {
  Publish(0, 10);
  WeightsClient client(stub_.get(), Security::PlainText(), [] {});
  auto first = Next(&client);
  ASSERT_TRUE(first.has_value() && first->weights.ok());
  EXPECT_EQ(first->version, 0u);
  EXPECT_EQ(first->weights->bytes->bytes(), MakeVersion(0, 10).bytes->bytes());
  Publish(1, 11);
  auto second = Next(&client);
  ASSERT_TRUE(second.has_value() && second->weights.ok());
  EXPECT_EQ(second->version, 1u);
  client.Request(0);
  auto again = Next(&client);
  ASSERT_TRUE(again.has_value() && again->weights.ok());
  EXPECT_EQ(again->version, 0u);
  EXPECT_FALSE(client.invalidated());
  Publish(2, 12);
  auto third = Next(&client);
  ASSERT_TRUE(third.has_value() && third->weights.ok());
  EXPECT_EQ(third->version, 2u);
  EXPECT_EQ(coordinator_.faults().answered<GetManifestRequest>("GetManifest").back().newer_than(),
            1u)
      << "what was requested is not the newest";
}

TEST_F(WeightsClientTest, RefusesADamagedVersionAndTakesTheNext) {
  Weights good = MakeVersion(0, 10), bad = MakeVersion(0, 11);
  source_->Add(0, bad);  // not the bytes that the manifest describes
  good.manifest.add_sources(source_->address());
  coordinator_.Publish(good.manifest);
  WeightsClient client(stub_.get(), Security::PlainText(), [] {});
  client.Request(0);
  auto refused = Next(&client);
  ASSERT_TRUE(refused.has_value());
  EXPECT_EQ(refused->weights.status().code(), absl::StatusCode::kDataLoss)
      << refused->weights.status();
  ASSERT_TRUE(client.trouble().has_value());
  EXPECT_TRUE(client.trouble()->refused);
  Publish(1, 12);
  auto next = Next(&client);
  ASSERT_TRUE(next.has_value());
  EXPECT_TRUE(next->weights.ok());
  EXPECT_EQ(next->version, 1u);
  EXPECT_FALSE(client.trouble().has_value());
}

TEST_F(WeightsClientTest, ASourceThatDoesNotAnswerIsTroubleThatMayHeal) {
  Weights weights = MakeVersion(0, 10);
  const std::string address = source_->address();
  weights.manifest.add_sources(address);
  source_.reset();
  coordinator_.Publish(weights.manifest);
  WeightsClient client(stub_.get(), Security::PlainText(), [] {});
  ASSERT_TRUE(Await([&] { return client.trouble().has_value(); }));
  EXPECT_EQ(client.trouble()->version, 0u);
  EXPECT_FALSE(client.trouble()->refused);
  EXPECT_EQ(client.trouble()->why.message(),
            "weight version 0 from " + address + ": connection refused");
  source_ = *WeightServer::Start(address, Security::PlainText());
  source_->Add(0, weights);
  const auto fetched = Next(&client);
  ASSERT_TRUE(fetched.has_value() && fetched->weights.ok());
  EXPECT_FALSE(client.trouble().has_value());
}

TEST_F(WeightsClientTest, ActorsServeWhatTheyHaveToEachOther) {
  Publish(0, 10);
  std::vector<std::unique_ptr<WeightsClient>> clients;
  for (int i = 0; i < 3; ++i) {
    // The first two get it from the publisher, the third from the first.
    if (i == 2) source_->Drop(0);
    clients.push_back(std::make_unique<WeightsClient>(
        stub_.get(), Security::PlainText(), [] {},
        *WeightServer::Start("127.0.0.1:0", Security::PlainText())));
    const auto fetched = Next(clients.back().get());
    ASSERT_TRUE(fetched.has_value() && fetched->weights.ok()) << i;
    EXPECT_EQ(fetched->weights->bytes->bytes(), MakeVersion(0, 10).bytes->bytes());
  }
  // Without its parent an actor continues above it.
  clients[0].reset();
  Publish(1, 11);
  for (int i = 1; i < 3; ++i) {
    const auto fetched = Next(clients[i].get());
    ASSERT_TRUE(fetched.has_value() && fetched->weights.ok()) << i;
    EXPECT_EQ(fetched->version, 1u);
  }
}

TEST_F(WeightsClientTest, ServesTheVersionThatItHasAlone) {
  auto server = *WeightServer::Start("127.0.0.1:0", Security::PlainText());
  const std::string address = server->address();
  WeightsClient client(stub_.get(), Security::PlainText(), [] {}, std::move(server));
  const auto is_served = [&](uint64_t version, uint64_t seed) {
    WeightManifest manifest = MakeVersion(version, seed).manifest;
    manifest.add_sources(address);
    return FetchWeights(manifest, Security::PlainText(), {}).ok();
  };
  for (uint64_t version = 0; version < 3; ++version) {
    Publish(version, 10 + version);
    ASSERT_TRUE(Next(&client).has_value());
    EXPECT_TRUE(is_served(version, 10 + version));
    EXPECT_TRUE(version == 0 || !is_served(version - 1, 9 + version));
  }
}

TEST_F(WeightsClientTest, WhatABroadcastBringsIsNotFetched) {
  Publish(0, 10);
  const Weights weights = MakeVersion(0, 10);
  const double before = ActorMetrics::Process().broadcast_bytes.Value();
  WeightsClient client(
      stub_.get(), Security::PlainText(), [] {},
      *WeightServer::Start("127.0.0.1:0", Security::PlainText()),
      {.receive = [&](const WeightManifest& manifest, char* buffer, const std::stop_token&,
                      const std::function<void(uint64_t)>& good) {
        std::memcpy(buffer, weights.bytes->bytes().data(), manifest.total_bytes());
        for (uint64_t chunk = 0; chunk < Chunks(manifest); ++chunk) good(chunk);
      }});
  const auto fetched = Next(&client);
  ASSERT_TRUE(fetched.has_value() && fetched->weights.ok());
  EXPECT_EQ(fetched->weights->bytes->bytes(), weights.bytes->bytes());
  EXPECT_EQ(source_->bytes_sent(), 0u);
  EXPECT_EQ(ActorMetrics::Process().broadcast_bytes.Value() - before,
            static_cast<double>(weights.manifest.total_bytes()));
}

// Adapters come with the version that they are over, which is fetched once, and which another actor
// can have from this one.
TEST_F(WeightsClientTest, AdaptersComeWithTheirBase) {
  Publish(1, 10);
  std::vector<std::unique_ptr<WeightsClient>> clients;
  const auto add = [&] {
    clients.push_back(std::make_unique<WeightsClient>(
        stub_.get(), Security::PlainText(), [] {},
        *WeightServer::Start("127.0.0.1:0", Security::PlainText())));
  };
  const auto expect_adapters = [&](WeightsClient* client) {
    const auto fetched = Next(client);
    ASSERT_TRUE(fetched.has_value() && fetched->weights.ok());
    EXPECT_EQ(fetched->version, 2u);
    ASSERT_NE(fetched->weights->base, nullptr);
    EXPECT_EQ(fetched->weights->base->bytes->bytes(), MakeVersion(1, 10).bytes->bytes());
    EXPECT_EQ(fetched->weights->bytes->bytes(), MakeTinyAdapters(1, 2).bytes->bytes());
    EXPECT_FALSE(fetched->weights->texts().config_json().empty());
  };
  for (int i = 0; i < 2; ++i) {
    add();
    ASSERT_TRUE(Next(clients[i].get()).has_value());
  }
  PublishAdapters(2, /*base=*/1);
  expect_adapters(clients[0].get());
  expect_adapters(clients[1].get());
  // One that comes late: the first has both.
  source_->Drop(1);
  source_->Drop(2);
  add();
  expect_adapters(clients[2].get());
}

TEST_F(WeightsClientTest, AdaptersOverAnotherBaseReplaceIt) {
  Publish(0, 10);
  PublishAdapters(1, /*base=*/0);
  WeightsClient client(stub_.get(), Security::PlainText(), [] {});
  auto fetched = Next(&client);
  ASSERT_TRUE(fetched.has_value() && fetched->weights.ok()) << fetched->weights.status();
  EXPECT_EQ(fetched->weights->base->bytes->bytes(), MakeVersion(0, 10).bytes->bytes());
  PublishAdapters(2, /*base=*/0);
  const auto* base = fetched->weights->base.get();
  fetched = Next(&client);
  ASSERT_TRUE(fetched.has_value() && fetched->weights.ok());
  EXPECT_EQ(fetched->weights->base.get(), base);  // not fetched again
  Publish(3, 13);
  ASSERT_TRUE(Next(&client).has_value());
  PublishAdapters(4, /*base=*/3);
  fetched = Next(&client);
  ASSERT_TRUE(fetched.has_value() && fetched->weights.ok());
  EXPECT_EQ(fetched->weights->base->bytes->bytes(), MakeVersion(3, 13).bytes->bytes());
  // A new learner publishes other weights under the number of the base.
  Publish(3, 14, /*term=*/2);
  PublishAdapters(4, /*base=*/3);
  do {
    fetched = Next(&client);
    ASSERT_TRUE(fetched.has_value() && fetched->weights.ok());
  } while (fetched->version != 4);
  EXPECT_TRUE(client.invalidated());
  EXPECT_EQ(fetched->weights->base->bytes->bytes(), MakeVersion(3, 14).bytes->bytes());
}

// A source that takes a call and sends nothing until it is cancelled.
class SilentSource : public WeightSource::Service {
 public:
  SilentSource() {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
  }
  grpc::Status FetchChunks(grpc::ServerContext* context, const FetchChunksRequest*,
                           grpc::ServerWriter<WeightChunk>*) override {
    Await([&] { return context->IsCancelled(); }, absl::Minutes(2));
    return grpc::Status::CANCELLED;
  }
  std::string address() const { return absl::StrCat("127.0.0.1:", port_); }

 private:
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

TEST_F(WeightsClientTest, ASourceThatSendsNothingIsTroubleBeforeItsDeadline) {
  SilentSource silent;
  Weights weights = MakeVersion(0, 10);
  weights.manifest.add_sources(silent.address());
  coordinator_.Publish(weights.manifest);
  WeightsClient client(stub_.get(), Security::PlainText(), [] {});
  ASSERT_TRUE(Await([&] { return client.trouble().has_value(); }));
  EXPECT_FALSE(client.trouble()->refused);
  EXPECT_EQ(client.trouble()->why.message(),
            "weight version 0 from " + silent.address() + ": no answer");
}

TEST_F(WeightsClientTest, AVersionThatDoesNotExistIsReported) {
  WeightsClient client(stub_.get(), Security::PlainText(), [] {});
  client.Request(3);
  auto fetched = Next(&client);
  ASSERT_TRUE(fetched.has_value());
  EXPECT_TRUE(absl::IsNotFound(fetched->weights.status()));
}

TEST_F(WeightsClientTest, NoticesThatANewLearnerPublishesANumberAgain) {
  Publish(5, 10);
  WeightsClient client(stub_.get(), Security::PlainText(), [] {});
  ASSERT_TRUE(Next(&client).has_value());
  Publish(5, 10, /*term=*/2);  // the same weights: nothing changes
  Publish(4, 12, /*term=*/3);
  auto fetched = Next(&client);
  ASSERT_TRUE(fetched.has_value() && fetched->weights.ok());
  EXPECT_EQ(fetched->version, 4u);
  EXPECT_TRUE(client.invalidated());
  client.ClearInvalidated();
  EXPECT_FALSE(client.invalidated());
}

TEST(ModelSetTest, KeepsTheTwoUsedLast) {
  int made = 0;
  ModelSet models([&made](const Weights&) -> absl::StatusOr<std::unique_ptr<ModelRunner>> {
    ++made;
    return std::make_unique<FakeModelRunner>(FakeModelRunner::Options());
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

TEST(ModelSetTest, AllHaveOneShapeAndNoneIsLeftWhenOneOfAnotherIsMade) {
  std::weak_ptr<FakeModelRunner::Cache> cache;
  int64_t left = 0;  // runners, when the last one was made
  ModelSet models([&](const Weights&) -> absl::StatusOr<std::unique_ptr<ModelRunner>> {
    left = cache.use_count();
    auto runner = std::make_unique<FakeModelRunner>(FakeModelRunner::Options(), cache.lock());
    cache = runner->cache();
    return runner;
  });
  Weights weights = MakeTinyModel();
  EXPECT_FALSE(models.HasAnotherShape(weights)) << "there is none";
  ASSERT_TRUE(models.Add(0, weights).ok());
  // What a learner changes in the text of what it has trained.
  SetConfigField("torch_dtype", "float32", &weights);
  SetConfigField("eos_token_id", 5, &weights);
  EXPECT_FALSE(models.HasAnotherShape(weights));
  ASSERT_TRUE(models.Add(1, weights).ok());
  EXPECT_EQ(left, 1);
  EXPECT_NE(models.Find(0), nullptr);

  SetConfigField("max_position_embeddings", 1024, &weights);
  EXPECT_TRUE(models.HasAnotherShape(weights));
  ASSERT_TRUE(models.Add(2, weights).ok());
  EXPECT_EQ(left, 0);
  EXPECT_EQ(models.Find(0), nullptr);
  EXPECT_EQ(models.Find(1), nullptr);
  SetConfigField("hidden_size", "wide", &weights);
  EXPECT_FALSE(models.HasAnotherShape(weights));
  EXPECT_FALSE(models.Add(3, weights).ok());
  EXPECT_NE(models.Find(2), nullptr);
}

TEST(ModelSetTest, ABadTokenizerIsAnErrorAndTheOthersStay) {
  ModelSet models([](const Weights&) -> absl::StatusOr<std::unique_ptr<ModelRunner>> {
    return std::make_unique<FakeModelRunner>(FakeModelRunner::Options());
  });
  Weights weights = MakeTinyModel();
  ASSERT_TRUE(models.Add(1, weights).ok());
  weights.manifest.mutable_texts()->set_tokenizer_json("{");
  EXPECT_FALSE(models.Add(2, weights).ok());
  EXPECT_NE(models.Find(1), nullptr);
}

}  // namespace
}  // namespace reckon
