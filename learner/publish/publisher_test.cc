#include "learner/publish/publisher.h"

#include <memory>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "common/model/transfer/fetch.h"
#include "gmock/gmock.h"
#include "grpcpp/grpcpp.h"
#include "gtest/gtest.h"
#include "tests/support/tiny_model.h"

namespace reckon {
namespace {

using testing::ElementsAre;

// A coordinator that keeps the manifests it gets, after it has refused some calls.
class ManifestCoordinator : public Coordinator::Service {
 public:
  explicit ManifestCoordinator(int refusals, grpc::StatusCode code = grpc::StatusCode::UNAVAILABLE)
      : code_(code), refusals_(refusals) {
    grpc::ServerBuilder builder;
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
  }
  ~ManifestCoordinator() override { server_->Shutdown(); }

  std::unique_ptr<Coordinator::StubInterface> NewStub() {
    return Coordinator::NewStub(server_->InProcessChannel({}));
  }
  std::vector<WeightManifest> manifests() const {
    absl::MutexLock lock(&mu_);
    return manifests_;
  }

  grpc::Status PublishWeights(grpc::ServerContext*, const PublishWeightsRequest* request,
                              MarkReply*) override {
    absl::MutexLock lock(&mu_);
    if (refusals_-- > 0) return {code_, "refused"};
    manifests_.push_back(request->manifest());
    return grpc::Status::OK;
  }

 private:
  const grpc::StatusCode code_;
  mutable absl::Mutex mu_;
  int refusals_ ABSL_GUARDED_BY(mu_);
  std::vector<WeightManifest> manifests_ ABSL_GUARDED_BY(mu_);
  std::unique_ptr<grpc::Server> server_;
};

absl::StatusOr<std::unique_ptr<Publisher>> StartPublisher(Coordinator::StubInterface* stub,
                                                          std::stop_token stop = {}) {
  return Publisher::Start("127.0.0.1:0", /*announce=*/"", Security::PlainText(), stub, /*term=*/5,
                          std::move(stop));
}

TEST(PublisherTest, ServesTheBaseAndTheNewestTwoVersions) {
  ManifestCoordinator coordinator(1);
  const auto stub = coordinator.NewStub();
  auto publisher = StartPublisher(stub.get());
  ASSERT_TRUE(publisher.ok()) << publisher.status();
  for (uint64_t version = 0; version < 5; ++version) {
    Weights weights = MakeTinyModel(version + 1);
    // Of the run that it comes from.
    weights.manifest.add_sources("127.0.0.1:1");
    weights.manifest.mutable_memory()->set_name("of another process");
    const absl::Status status = (*publisher)->Publish(version, std::move(weights));
    ASSERT_TRUE(status.ok()) << status;
  }
  std::vector<uint64_t> fetched;
  const std::vector<WeightManifest> manifests = coordinator.manifests();
  ASSERT_EQ(manifests.size(), 5u);
  for (size_t version = 0; version < manifests.size(); ++version) {
    EXPECT_EQ(manifests[version].version(), version);
    EXPECT_EQ(manifests[version].term(), 5u);
    EXPECT_EQ(manifests[version].sources_size(), 1);
    EXPECT_FALSE(manifests[version].has_memory());
    const absl::StatusOr<Weights> weights =
        FetchWeights(manifests[version], Security::PlainText(), std::stop_token());
    if (!weights.ok()) continue;
    fetched.push_back(version);
    const Weights expected = MakeTinyModel(version + 1);
    EXPECT_TRUE(weights->bytes->bytes() == expected.bytes->bytes());
  }
  EXPECT_THAT(fetched, ElementsAre(0, 3, 4));
}

TEST(PublisherTest, ServesWhatItsAdaptersAreOver) {
  ManifestCoordinator coordinator(0);
  const auto stub = coordinator.NewStub();
  auto publisher = StartPublisher(stub.get());
  ASSERT_TRUE(publisher.ok()) << publisher.status();
  for (uint64_t version = 0; version < 8; ++version) {
    // Whole are 0, 1 and 2; then adapters over 2.
    ASSERT_TRUE((*publisher)
                    ->Publish(version, version < 3 ? MakeTinyModel(version + 1)
                                                   : MakeTinyAdapters(2, version))
                    .ok());
  }
  std::vector<uint64_t> fetched;
  for (const WeightManifest& manifest : coordinator.manifests()) {
    if (FetchWeights(manifest, Security::PlainText(), std::stop_token()).ok()) {
      fetched.push_back(manifest.version());
    }
  }
  EXPECT_THAT(fetched, ElementsAre(0, 2, 6, 7));
}

TEST(PublisherTest, TextsAreSentWhenTheyChange) {
  ManifestCoordinator coordinator(0);
  const auto stub = coordinator.NewStub();
  auto publisher = StartPublisher(stub.get());
  ASSERT_TRUE(publisher.ok()) << publisher.status();
  Weights other = MakeTinyModel();
  other.manifest.mutable_texts()->mutable_tokenizer_json()->append(" ");
  uint64_t version = 0;
  // Adapters have none.
  for (const Weights& weights :
       {MakeTinyModel(1), MakeTinyModel(2), MakeTinyAdapters(1), MakeTinyModel(3), other}) {
    ASSERT_TRUE((*publisher)->Publish(version++, weights).ok());
  }
  std::vector<bool> sent, named;
  for (const WeightManifest& manifest : coordinator.manifests()) {
    sent.push_back(manifest.has_texts());
    named.push_back(!manifest.texts_sha256().empty());
  }
  EXPECT_THAT(sent, ElementsAre(true, false, false, false, true));
  EXPECT_THAT(named, ElementsAre(true, true, false, true, true));
}

TEST(PublisherTest, KeepsWhatTheNewestVersionWasPackedIn) {
  ManifestCoordinator coordinator(0);
  const auto stub = coordinator.NewStub();
  auto publisher = StartPublisher(stub.get());
  ASSERT_TRUE(publisher.ok()) << publisher.status();
  Weights weights = MakeTinyModel();
  weights.packed = *WeightBytes::Shared(64);
  const std::weak_ptr<WeightBytes> packed = weights.packed;
  ASSERT_TRUE((*publisher)->Publish(0, std::move(weights)).ok());
  EXPECT_FALSE(packed.expired());
  ASSERT_TRUE((*publisher)->Publish(1, MakeTinyModel()).ok());
  EXPECT_TRUE(packed.expired());
}

TEST(PublisherTest, AnOlderTermIsAnErrorAtOnce) {
  ManifestCoordinator coordinator(1, grpc::StatusCode::ABORTED);
  const auto stub = coordinator.NewStub();
  auto publisher = StartPublisher(stub.get());
  ASSERT_TRUE(publisher.ok()) << publisher.status();
  EXPECT_EQ((*publisher)->Publish(0, MakeTinyModel()).code(), absl::StatusCode::kAborted);
  EXPECT_TRUE(coordinator.manifests().empty());
}

TEST(PublisherTest, AStopEndsTheWaitForTheCoordinator) {
  ManifestCoordinator coordinator(1 << 30);
  const auto stub = coordinator.NewStub();
  std::stop_source stop;
  auto publisher = StartPublisher(stub.get(), stop.get_token());
  ASSERT_TRUE(publisher.ok()) << publisher.status();
  stop.request_stop();
  EXPECT_EQ((*publisher)->Publish(0, MakeTinyModel()).code(), absl::StatusCode::kCancelled);
}

}  // namespace
}  // namespace reckon
