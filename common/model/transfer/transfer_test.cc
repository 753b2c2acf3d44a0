#include <atomic>
#include <cstring>
#include <functional>
#include <future>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
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
#include "tests/support/weight_transfer.h"

namespace reckon {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

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

TEST_F(WeightTransfer, FetchesEveryByte) {
  manifest_.add_sources(server_->address());
  ExpectGood(FetchWeights(manifest_, Security::PlainText(), {}));
}

TEST_F(WeightTransfer, ADroppedVersionIsNotFound) {
  manifest_.add_sources(server_->address());
  server_->Drop(3);
  EXPECT_EQ(FetchWeights(manifest_, Security::PlainText(), {}).status().code(),
            absl::StatusCode::kNotFound);
}

TEST_F(WeightTransfer, ADeadSourceIsSkipped) {
  manifest_.add_sources("127.0.0.1:1");
  manifest_.add_sources(server_->address());
  ExpectGood(FetchWeights(manifest_, Security::PlainText(), {}));
}

TEST_F(WeightTransfer, OnlyDeadSourcesAreUnavailable) {
  manifest_.add_sources("127.0.0.1:1");
  auto status = FetchWeights(manifest_, Security::PlainText(), {}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(status.ToString(), HasSubstr("127.0.0.1:1"));
}

class Damage : public WeightTransfer, public ::testing::WithParamInterface<BadSource::Fault> {};

TEST_P(Damage, IsDataLossAloneAndCuredByASecondSource) {
  BadSource bad(weights_, GetParam(), 1);
  manifest_.add_sources(bad.address());
  EXPECT_EQ(FetchWeights(manifest_, Security::PlainText(), {}).status().code(),
            absl::StatusCode::kDataLoss);
  manifest_.add_sources("127.0.0.1:1");
  EXPECT_EQ(FetchWeights(manifest_, Security::PlainText(), {}).status().code(),
            absl::StatusCode::kDataLoss)
      << "which tells more than that the other is gone";
  manifest_.add_sources(server_->address());
  ExpectGood(FetchWeights(manifest_, Security::PlainText(), {}));
}

INSTANTIATE_TEST_SUITE_P(Faults, Damage,
                         ::testing::Values(BadSource::Fault::kFlipByte,
                                           BadSource::Fault::kShortChunk,
                                           BadSource::Fault::kWrongIndex));

TEST_F(WeightTransfer, ExcessChunksAreNeverStored) {
  BadSource bad(weights_, BadSource::Fault::kTooMany, 0);
  manifest_.add_sources(bad.address());
  ExpectGood(FetchWeights(manifest_, Security::PlainText(),
                          {}));  // every byte of the version was verified
}

TEST_F(WeightTransfer, ContinuesAtTheMissingChunkWithTheNextSource) {
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

TEST_F(WeightTransfer, StopEndsAHangingFetchAtOnce) {
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

TEST_F(WeightTransfer, TellsOfEachSourceAndChunk) {
  manifest_.add_sources("127.0.0.1:1");
  manifest_.add_sources(server_->address());
  absl::Mutex mu;
  std::vector<std::string> told;
  FetchOptions options;
  options.progress = [&](const std::string& source) {
    absl::MutexLock lock(&mu);
    told.push_back(source);
  };
  ExpectGood(FetchWeights(manifest_, Security::PlainText(), {}, options));
  const std::string good = server_->address();
  EXPECT_THAT(told, ElementsAre("127.0.0.1:1", good, good, good, good)) << "three chunks";
}

TEST_F(WeightTransfer, AVersionOfManyCallsOverSeveralConnections) {
  weights_ = MakeWeights(3, 11 * kChunkBytes + 4);
  manifest_ = weights_.manifest;
  server_->Add(3, weights_);
  manifest_.add_sources(server_->address());
  ExpectGood(FetchWeights(manifest_, Security::PlainText(), {}));
  EXPECT_TRUE(Await([&] { return server_->bytes_sent() == manifest_.total_bytes(); }));
}

TEST_F(WeightTransfer, ARelayServesWhatHasArrived) {
  auto arrivals = std::make_shared<ChunkArrivals>(Chunks(manifest_));
  server_->AddArriving(3, weights_, arrivals);
  manifest_.add_sources("127.0.0.1:1");
  std::atomic<int> told = 0;
  FetchOptions options;
  options.relays = {server_->address()};
  options.progress = [&](const std::string&) { ++told; };
  absl::StatusOr<Weights> fetched = absl::UnknownError("not fetched");
  std::thread fetch([&] { fetched = FetchWeights(manifest_, Security::PlainText(), {}, options); });
  arrivals->Mark(0);
  EXPECT_TRUE(Await([&] { return told == 2; })) << "the first chunk, before the others are here";
  arrivals->Mark(2);
  arrivals->Mark(1);
  fetch.join();
  ExpectGood(fetched);
}

TEST_F(WeightTransfer, ARelayThatFailsIsFollowedByThePublisher) {
  auto arrivals = std::make_shared<ChunkArrivals>(Chunks(manifest_));
  auto relay = *WeightServer::Start("127.0.0.1:0", Security::PlainText());
  relay->AddArriving(3, weights_, arrivals);
  arrivals->Mark(0);
  manifest_.add_sources(server_->address());
  FetchOptions options;
  options.relays = {"127.0.0.1:1", relay->address()};
  std::thread end([&] {
    Await([&] { return relay->bytes_sent() > 0; });
    arrivals->End();
  });
  ExpectGood(FetchWeights(manifest_, Security::PlainText(), {}, options));
  end.join();
  // Counted when gRPC says so, which may be later.
  EXPECT_TRUE(Await([&] { return relay->bytes_sent() == kChunkBytes; }));
  EXPECT_TRUE(Await([&] { return server_->bytes_sent() == kVersionBytes - kChunkBytes; }))
      << "nothing is fetched twice";
}

TEST_F(WeightTransfer, WhoFetchesIsARelay) {
  auto relay = *WeightServer::Start("127.0.0.1:0", Security::PlainText());
  manifest_.add_sources(server_->address());
  FetchOptions options;
  options.relay = relay.get();
  ExpectGood(FetchWeights(manifest_, Security::PlainText(), {}, options));
  server_.reset();
  options = {};
  options.relays = {relay->address()};
  ExpectGood(FetchWeights(manifest_, Security::PlainText(), {}, options));
}

TEST_F(WeightTransfer, WhoCannotFetchKeepsNobodyWaiting) {
  auto relay = *WeightServer::Start("127.0.0.1:0", Security::PlainText());
  BadSource hanging(weights_, BadSource::Fault::kHang, 1);  // after the first chunk
  std::stop_source stop;
  auto parent = std::async(std::launch::async, [&] {
    WeightManifest manifest = manifest_;
    manifest.add_sources(hanging.address());
    FetchOptions options;
    options.relay = relay.get();
    return FetchWeights(manifest, Security::PlainText(), stop.get_token(), options);
  });
  hanging.AwaitHang();
  auto child = std::async(std::launch::async, [&] {
    WeightManifest manifest = manifest_;
    manifest.add_sources(server_->address());
    FetchOptions options;
    options.relays = {relay->address()};
    return FetchWeights(manifest, Security::PlainText(), {}, options);
  });
  EXPECT_TRUE(Await([&] { return relay->bytes_sent() == kChunkBytes; }));
  stop.request_stop();
  EXPECT_EQ(parent.get().status().code(), absl::StatusCode::kCancelled);
  // Half of the time after which a source counts as silent.
  EXPECT_EQ(child.wait_for(std::chrono::seconds(5)), std::future_status::ready);
  ExpectGood(child.get());
  manifest_.add_sources(relay->address());
  EXPECT_EQ(FetchWeights(manifest_, Security::PlainText(), {}).status().code(),
            absl::StatusCode::kNotFound);
}

TEST_F(WeightTransfer, WhatABroadcastBroughtIsNotFetched) {
  manifest_.add_sources(server_->address());
  FetchOptions options;
  options.receive = [&](const WeightManifest&, char* buffer, const std::stop_token&,
                        const std::function<void(uint64_t)>& good) {
    std::memcpy(buffer + kChunkBytes, weights_.bytes->data() + kChunkBytes, kChunkBytes);
    good(1);
  };
  ExpectGood(FetchWeights(manifest_, Security::PlainText(), {}, options));
  EXPECT_TRUE(Await([&] { return server_->bytes_sent() >= kVersionBytes - kChunkBytes; }));
  EXPECT_EQ(server_->bytes_sent(), kVersionBytes - kChunkBytes) << "the chunks before and after it";
}

TEST_F(WeightTransfer, AnInconsistentManifestIsRefusedBeforeAnyCall) {
  BadSource source(weights_, BadSource::Fault::kFlipByte, 0);
  manifest_.add_sources(source.address());
  manifest_.set_total_bytes(1ull << 60);
  EXPECT_EQ(FetchWeights(manifest_, Security::PlainText(), {}).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(source.calls(), 0);
}

TEST_F(WeightTransfer, RangesOutsideTheVersionAreInvalid) {
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
