#include <atomic>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "common/model/files/manifest.h"
#include "common/model/transfer/fetch.h"
#include "common/model/transfer/server.h"
#include "common/net/channel.h"
#include "common/testing/await.h"
#include "gmock/gmock.h"
#include "grpcpp/grpcpp.h"
#include "gtest/gtest.h"
#include "proto/weight_source.grpc.pb.h"

namespace reckon {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// A version of `size` bytes that differ by position.
Weights MakeWeights(uint64_t version, int64_t size) {
  Weights weights;
  weights.bytes = WeightBytes::OfSize(size).value();
  for (int64_t i = 0; i < size; ++i) {
    weights.bytes->data()[i] = static_cast<char>(i * 2654435761u >> 11);
  }
  weights.manifest.set_version(version);
  auto* tensor = weights.manifest.add_tensors();
  tensor->set_name("w");
  tensor->set_dtype("F32");
  tensor->add_shape(size / 4);
  EXPECT_TRUE(LayOut(&weights.manifest).ok());
  Digest(weights.bytes->bytes(), &weights.manifest);
  return weights;
}

// A source that misbehaves on purpose.
class BadSource : public WeightSource::Service {
 public:
  enum class Fault { kFlipByte, kShortChunk, kWrongIndex, kTooMany, kEndEarly, kHang };
  BadSource(Weights weights, Fault fault, uint64_t at)
      : weights_(std::move(weights)), fault_(fault), at_(at) {
    grpc::ServerBuilder builder;
    EXPECT_TRUE(ListenOn({"127.0.0.1", 0}, Security::PlainText(), &builder, &port_).ok());
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
  }
  ~BadSource() override {
    server_->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(1));
  }
  std::string address() const { return absl::StrCat("127.0.0.1:", port_); }
  int calls() const { return calls_; }
  void AwaitHang() { hangs_.WaitForNotification(); }

  grpc::Status FetchChunks(grpc::ServerContext* context, const FetchChunksRequest* request,
                           grpc::ServerWriter<WeightChunk>* writer) override {
    ++calls_;
    uint64_t end = request->first_chunk() + request->num_chunks();
    if (fault_ == Fault::kTooMany) ++end;
    for (uint64_t i = request->first_chunk(); i < end; ++i) {
      auto part = weights_.bytes->bytes().subspan((i % 3) * kChunkBytes, kChunkBytes);
      WeightChunk chunk;
      chunk.set_index(i);
      chunk.set_data(part.data(), part.size());
      if (i >= at_) {
        if (fault_ == Fault::kFlipByte) (*chunk.mutable_data())[7] ^= 1;
        if (fault_ == Fault::kShortChunk) chunk.mutable_data()->pop_back();
        if (fault_ == Fault::kWrongIndex) chunk.set_index(i + 1);
        if (fault_ == Fault::kEndEarly) break;
        if (fault_ == Fault::kHang) {
          hangs_.Notify();
          Await([&] { return context->IsCancelled(); }, absl::Minutes(2));
        }
      }
      if (!writer->Write(chunk)) break;
    }
    return grpc::Status::OK;
  }

 private:
  Weights weights_;
  Fault fault_;
  uint64_t at_;
  int port_ = 0;
  std::atomic<int> calls_ = 0;
  absl::Notification hangs_;
  std::unique_ptr<grpc::Server> server_;
};

constexpr int64_t kSize = 2 * kChunkBytes + 4096;

class Transfer : public ::testing::Test {
 protected:
  void SetUp() override {
    auto server = WeightServer::Start("127.0.0.1:0", Security::PlainText());
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = std::move(*server);
    weights_ = MakeWeights(3, kSize);
    manifest_ = weights_.manifest;
    server_->Add(3, weights_);
  }

  void ExpectGood(const absl::StatusOr<Weights>& fetched) {
    ASSERT_TRUE(fetched.ok()) << fetched.status();
    EXPECT_TRUE(fetched->bytes->bytes() == weights_.bytes->bytes());
  }

  std::unique_ptr<WeightServer> server_;
  Weights weights_;
  WeightManifest manifest_;
};

TEST_F(Transfer, FetchesEveryByte) {
  manifest_.add_sources(server_->address());
  ExpectGood(FetchWeights(manifest_, Security::PlainText(), {}));
}

TEST_F(Transfer, ADroppedVersionIsNotFound) {
  manifest_.add_sources(server_->address());
  server_->Drop(3);
  EXPECT_EQ(FetchWeights(manifest_, Security::PlainText(), {}).status().code(),
            absl::StatusCode::kNotFound);
}

TEST_F(Transfer, ADeadSourceIsSkipped) {
  manifest_.add_sources("127.0.0.1:1");
  manifest_.add_sources(server_->address());
  ExpectGood(FetchWeights(manifest_, Security::PlainText(), {}));
}

TEST_F(Transfer, OnlyDeadSourcesAreUnavailable) {
  manifest_.add_sources("127.0.0.1:1");
  auto status = FetchWeights(manifest_, Security::PlainText(), {}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(status.ToString(), HasSubstr("127.0.0.1:1"));
}

class Damage : public Transfer, public ::testing::WithParamInterface<BadSource::Fault> {};

TEST_P(Damage, IsDataLossAloneAndCuredByASecondSource) {
  BadSource bad(weights_, GetParam(), 1);
  manifest_.add_sources(bad.address());
  EXPECT_EQ(FetchWeights(manifest_, Security::PlainText(), {}).status().code(),
            absl::StatusCode::kDataLoss);
  manifest_.add_sources(server_->address());
  ExpectGood(FetchWeights(manifest_, Security::PlainText(), {}));
}

INSTANTIATE_TEST_SUITE_P(Faults, Damage,
                         ::testing::Values(BadSource::Fault::kFlipByte,
                                           BadSource::Fault::kShortChunk,
                                           BadSource::Fault::kWrongIndex));

TEST_F(Transfer, ExcessChunksAreNeverStored) {
  BadSource bad(weights_, BadSource::Fault::kTooMany, 0);
  manifest_.add_sources(bad.address());
  ExpectGood(FetchWeights(manifest_, Security::PlainText(),
                          {}));  // every byte of the version was verified
}

TEST_F(Transfer, ContinuesAtTheMissingChunkWithTheNextSource) {
  BadSource first(weights_, BadSource::Fault::kEndEarly, 1);  // chunk 0, then nothing
  manifest_.add_sources(first.address());
  manifest_.add_sources(server_->address());
  ExpectGood(FetchWeights(manifest_, Security::PlainText(), {}));
  EXPECT_EQ(first.calls(), 1);
  BadSource tail(weights_, BadSource::Fault::kEndEarly, 3);
  manifest_.clear_sources();
  manifest_.add_sources(first.address());
  manifest_.add_sources(tail.address());
  ExpectGood(FetchWeights(manifest_, Security::PlainText(), {}));
}

TEST_F(Transfer, StopEndsAHangingFetchAtOnce) {
  BadSource hanging(weights_, BadSource::Fault::kHang, 0);
  manifest_.add_sources(hanging.address());
  std::stop_source stop;
  std::thread stopper([&] {
    hanging.AwaitHang();
    stop.request_stop();
  });
  // Without the stop it would be DEADLINE_EXCEEDED, half a minute later.
  EXPECT_EQ(FetchWeights(manifest_, Security::PlainText(), stop.get_token()).status().code(),
            absl::StatusCode::kCancelled);
  stopper.join();
}

TEST_F(Transfer, TellsOfEachSourceAndChunk) {
  manifest_.add_sources("127.0.0.1:1");
  manifest_.add_sources(server_->address());
  std::vector<std::string> told;
  ExpectGood(FetchWeights(manifest_, Security::PlainText(), {},
                          [&](const std::string& source) { told.push_back(source); }));
  const std::string good = server_->address();
  EXPECT_THAT(told, ElementsAre("127.0.0.1:1", good, good, good, good)) << "three chunks";
}

TEST_F(Transfer, AnInconsistentManifestIsRefusedBeforeAnyCall) {
  BadSource source(weights_, BadSource::Fault::kFlipByte, 0);
  manifest_.add_sources(source.address());
  manifest_.set_total_bytes(1ull << 60);
  EXPECT_EQ(FetchWeights(manifest_, Security::PlainText(), {}).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(source.calls(), 0);
}

TEST_F(Transfer, RangesOutsideTheVersionAreInvalid) {
  auto stub = WeightSource::NewStub(*MakeChannel(server_->address(), Security::PlainText()));
  for (auto [first, count] :
       {std::pair<uint64_t, uint64_t>{3, 1}, {2, 2}, {1, ~0ull}, {~0ull, 2}}) {
    FetchChunksRequest request;
    request.set_version(3);
    request.set_first_chunk(first);
    request.set_num_chunks(count);
    grpc::ClientContext context;
    SetDeadline(&context, kPatience);
    auto reader = stub->FetchChunks(&context, request);
    WeightChunk chunk;
    EXPECT_FALSE(reader->Read(&chunk));
    EXPECT_EQ(FromGrpc(reader->Finish()).code(), absl::StatusCode::kInvalidArgument);
  }
}

TEST(WeightServer, TellsTheHostThatItIsToAnnounce) {
  const auto server = WeightServer::Start("127.0.0.1:0", Security::PlainText(), "node-7");
  ASSERT_TRUE(server.ok()) << server.status();
  EXPECT_THAT((*server)->address(), ::testing::MatchesRegex("node-7:[1-9][0-9]*"));
}

TEST(WeightServer, RefusesAddressesThatOthersCannotReach) {
  for (const auto& [listen, announce] :
       {std::pair{"nonsense", ""}, {"127.0.0.1:0", "0.0.0.0"}, {"127.0.0.1:0", "node-7:1"}}) {
    EXPECT_EQ(WeightServer::Start(listen, Security::PlainText(), announce).status().code(),
              absl::StatusCode::kInvalidArgument)
        << listen << " " << announce;
  }
}

}  // namespace
}  // namespace reckon
