#include "common/model/transfer/chunk_delta.h"

#include <cstring>
#include <string>

#include "common/model/transfer/fetch.h"
#include "common/testing/await.h"
#include "gtest/gtest.h"
#include "tests/support/weight_transfer.h"

namespace reckon {
namespace {

// What a step of RL does: some words of each chunk move by one, some chunks change a lot.
Weights Stepped(const Weights& weights, uint64_t version) {
  Weights out = MakeWeights(version, kVersionBytes);
  std::memcpy(out.bytes->data(), weights.bytes->bytes().data(), kVersionBytes);
  for (int64_t i = 0; i < kVersionBytes; i += 2000) out.bytes->data()[i] += i % 3 == 0 ? 1 : -1;
  std::memset(out.bytes->data() + kChunkBytes, 7, kChunkBytes);
  Digest(out.bytes->bytes(), &out.manifest);
  return out;
}

TEST_F(WeightTransfer, OnlyWhatChangedIsSentToWhoHasTheVersionBefore) {
  const Weights older = weights_;
  weights_ = Stepped(older, 4);
  server_->Add(4, weights_);
  manifest_ = weights_.manifest;
  manifest_.add_sources(server_->address());
  FetchOptions options;
  options.older = &older;
  ExpectGood(FetchWeights(manifest_, Security::PlainText(), {}, options));
  EXPECT_TRUE(Await([&] { return server_->bytes_sent() > kChunkBytes; }));
  EXPECT_LT(server_->bytes_sent(), kChunkBytes + 20000) << "the chunk that changed a lot, whole";
  server_->Drop(3);
  ExpectGood(FetchWeights(manifest_, Security::PlainText(), {}, options));  // all of it
  EXPECT_GT(server_->bytes_sent(), kVersionBytes);
}

TEST_F(WeightTransfer, AnOlderVersionThatIsNotTheSourcesIsForgotten) {
  weights_ = Stepped(weights_, 4);
  server_->Add(4, weights_);
  const Weights other =
      Stepped(MakeWeights(3, kVersionBytes), 3);  // not what the server has as version 3
  manifest_ = weights_.manifest;
  manifest_.add_sources(server_->address());
  FetchOptions options;
  options.older = &other;
  ExpectGood(FetchWeights(manifest_, Security::PlainText(), {}, options));
}

TEST(ChunkDeltaTest, GivesTheNewerChunkAndIsShort) {
  std::string older(1000, 'a'), newer = older;
  EXPECT_EQ(ChunkDelta(older, newer).size(), 2u) << "nothing changed";
  newer[0] = 'b';
  newer[501] = 'z';
  newer[999] = '`';
  const std::string delta = ChunkDelta(older, newer);
  EXPECT_LE(delta.size(), 12u);
  std::string chunk = older;
  ASSERT_TRUE(ApplyDelta(delta, absl::MakeSpan(chunk)).ok());
  EXPECT_EQ(chunk, newer);
  for (size_t i = 0; i < older.size(); ++i) newer[i] = static_cast<char>(i * 77);
  EXPECT_EQ(ChunkDelta(older, newer), "") << "longer than the chunk itself";
}

TEST(ChunkDeltaTest, EveryWordAndEveryMove) {
  std::string older(2 * 65536, '\0'), newer = older;
  for (size_t i = 0; i < 65536; i += 37) {
    const auto word = static_cast<uint16_t>(i), moved = static_cast<uint16_t>(i * 31);
    std::memcpy(older.data() + 2 * i, &word, 2);
    std::memcpy(newer.data() + 2 * i, &moved, 2);
  }
  std::string chunk = older;
  ASSERT_TRUE(ApplyDelta(ChunkDelta(older, newer), absl::MakeSpan(chunk)).ok());
  EXPECT_EQ(chunk, newer);
}

TEST(ChunkDeltaTest, HostileDeltasAreRefused) {
  std::string chunk(16, 'a');
  for (const std::string& delta :
       {std::string("\x09", 1), std::string("\x00\xff\xff\x7f", 4), std::string("\x00", 1),
        std::string("\x08\x01", 2), std::string(12, '\xff'), std::string("\x07\x02\x01\x02", 4)}) {
    EXPECT_EQ(ApplyDelta(delta, absl::MakeSpan(chunk)).code(), absl::StatusCode::kDataLoss)
        << delta.size();
  }
}

}  // namespace
}  // namespace reckon
