#ifndef RECKON_TESTS_SUPPORT_WEIGHT_TRANSFER_H_
#define RECKON_TESTS_SUPPORT_WEIGHT_TRANSFER_H_

#include <cstdint>
#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "common/model/files/manifest.h"
#include "common/model/transfer/server.h"
#include "gtest/gtest.h"

namespace reckon {

// A version of `size` bytes that differ by position.
inline Weights MakeWeights(uint64_t version, int64_t size) {
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

inline constexpr int64_t kVersionBytes = 2 * kChunkBytes + 4096;

// A server that has `weights_` as version 3.
class WeightTransfer : public ::testing::Test {
 protected:
  void SetUp() override {
    auto server = WeightServer::Start("127.0.0.1:0", Security::PlainText());
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = std::move(*server);
    weights_ = MakeWeights(3, kVersionBytes);
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

}  // namespace reckon

#endif  // RECKON_TESTS_SUPPORT_WEIGHT_TRANSFER_H_
