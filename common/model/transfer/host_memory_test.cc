#include <cstring>
#include <memory>
#include <string>

#include "common/model/transfer/fetch.h"
#include "gtest/gtest.h"
#include "tests/support/weight_transfer.h"

namespace reckon {
namespace {

TEST_F(WeightTransfer, TheMemoryOfAPublisherOnThisHostIsMapped) {
  const auto shared = *WeightBytes::Shared(kVersionBytes);
  std::memcpy(shared->data(), weights_.bytes->data(), kVersionBytes);
  shared->EndFill();
  *manifest_.mutable_memory() = shared->where();
  manifest_.add_sources("127.0.0.1:1");
  {
    const absl::StatusOr<Weights> mapped = FetchWeights(manifest_, Security::PlainText(), {});
    ExpectGood(mapped);
    EXPECT_TRUE(mapped->bytes->mapped());
    EXPECT_FALSE(shared->BeginFill()) << "it is read";
  }
  shared->data()[5] ^= 1;
  EXPECT_FALSE(FetchWeights(manifest_, Security::PlainText(), {}).ok()) << "it is damaged";
  shared->data()[5] ^= 1;
  ASSERT_TRUE(shared->BeginFill());
  EXPECT_FALSE(FetchWeights(manifest_, Security::PlainText(), {}).ok()) << "it is being filled";
  shared->data()[5] ^= 1;
  shared->EndFill();
  manifest_.add_sources(server_->address());
  const absl::StatusOr<Weights> fetched = FetchWeights(manifest_, Security::PlainText(), {});
  ExpectGood(fetched);
  EXPECT_FALSE(fetched->bytes->mapped()) << "it holds a later version";
}

TEST_F(WeightTransfer, WhatThePublisherPackedIsMappedByWhoCanReadIt) {
  const auto shared = *WeightBytes::Shared(kVersionBytes), packed = *WeightBytes::Shared(128);
  std::memcpy(shared->data(), weights_.bytes->data(), kVersionBytes);
  shared->EndFill();
  packed->data()[0] = 'p';
  packed->EndFill();
  *manifest_.mutable_memory() = shared->where();
  *manifest_.mutable_packed()->mutable_memory() = packed->where();
  manifest_.mutable_packed()->set_bytes(128);
  manifest_.mutable_packed()->set_layout("panels");
  manifest_.add_sources(server_->address());
  const auto fetch = [&](const std::string& layout) {
    FetchOptions options;
    options.packed_layout = layout;
    const absl::StatusOr<Weights> fetched =
        FetchWeights(manifest_, Security::PlainText(), {}, options);
    ExpectGood(fetched);
    return fetched->packed;
  };
  EXPECT_EQ(fetch(""), nullptr);
  EXPECT_EQ(fetch("tiles"), nullptr);
  const std::shared_ptr<WeightBytes> mapped = fetch("panels");
  ASSERT_NE(mapped, nullptr);
  EXPECT_EQ(mapped->bytes()[0], 'p');
  EXPECT_FALSE(packed->BeginFill()) << "it is read";
}

TEST_F(WeightTransfer, MemoryThatWasFilledAgainIsOfAnotherVersion) {
  const auto packed = *WeightBytes::Shared(128);
  packed->EndFill();
  const HostMemory before = packed->where();
  EXPECT_TRUE(WeightBytes::Map(before, 128).ok());
  ASSERT_TRUE(packed->BeginFill());
  packed->EndFill();
  EXPECT_EQ(WeightBytes::Map(before, 128).status().code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(WeightBytes::Map(packed->where(), 128).ok());
}

TEST_F(WeightTransfer, Xxh3IsForThisHostAlone) {
  Digest(weights_.bytes->bytes(), &manifest_, DigestKind::kXxh3);
  manifest_.add_sources("10.0.0.1:7071");
  EXPECT_EQ(FetchWeights(manifest_, Security::PlainText(), {}).status().code(),
            absl::StatusCode::kFailedPrecondition);
  manifest_.add_sources(server_->address());
  ExpectGood(FetchWeights(manifest_, Security::PlainText(), {}));
  manifest_.set_chunk_xxh3(1, manifest_.chunk_xxh3(1) ^ 1);
  EXPECT_EQ(FetchWeights(manifest_, Security::PlainText(), {}).status().code(),
            absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace reckon
