#include "common/model/kv_cache.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>

#include <cmath>
#include <cstring>
#include <memory>

#include "common/model/kernels/cpu/attention.h"
#include "common/model/transformer.h"
#include "gtest/gtest.h"
#include "tests/support/random_weights.h"
#include "tests/support/test_tensors.h"

namespace reckon {
namespace {

using Ids = std::vector<KvCache::SequenceId>;

class KvCacheTest : public testing::TestWithParam<Dtype> {
 protected:
  KvCacheTest()
      : weights_(MakeRandomWeights(SmallConfig(), 1)),
        model_(Load(weights_)),
        cache_(std::make_unique<KvCache>(SmallConfig(), GetParam(), 1 << 20)) {}

  static std::unique_ptr<Transformer> Load(const RandomWeights& weights) {
    auto model = std::make_unique<Transformer>(SmallConfig(), GetParam());
    EXPECT_TRUE(model->Load(weights.manifest, weights.bytes, false).ok());
    return model;
  }

  // Appends tokens first, first+1, .. to a sequence.
  at::Tensor Append(Transformer& model, KvCache::SequenceId id, int n, int first = 0) {
    std::vector<int32_t> tokens, positions;
    for (int i = 0; i < n; ++i) {
      tokens.push_back((first + i) % 99);
      positions.push_back(static_cast<int32_t>(cache_->length(id)) + i);
    }
    auto step = cache_->BeginPass(Ids(n, id));
    return model.Forward(Ints(tokens), Ints(positions), *step);
  }

  at::NoGradGuard no_grad_;
  RandomWeights weights_;
  std::unique_ptr<Transformer> model_;
  std::unique_ptr<KvCache> cache_;
};

TEST_P(KvCacheTest, ASharedPageIsFreedWithItsLastSequence) {
  const int64_t all = cache_->free_pages();
  auto parent = cache_->Add(3 * kPageTokens).value();
  Append(*model_, parent, kPageTokens + 5);
  auto child = cache_->Fork(parent, kPageTokens + 5, 3 * kPageTokens).value();
  EXPECT_EQ(cache_->free_pages(), all - 3 - 2);
  cache_->Remove(parent);
  EXPECT_EQ(cache_->free_pages(), all - 3) << "the child still reads the shared page";
  cache_->Remove(child);
  EXPECT_EQ(cache_->free_pages(), all);
}

TEST_P(KvCacheTest, AForkSurvivesItsParentAndTheReuseOfItsPages) {
  auto parent = cache_->Add(2 * kPageTokens).value();
  Append(*model_, parent, kPageTokens + 5);
  auto child = cache_->Fork(parent, kPageTokens + 5, 2 * kPageTokens).value();
  at::Tensor wanted = Append(*model_, parent, 1, 7);
  cache_->Remove(parent);
  while (true) {
    auto other = cache_->Add(kPageTokens);
    if (!other.ok()) break;
    Append(*model_, *other, kPageTokens, 50);
  }
  EXPECT_TRUE(Append(*model_, child, 1, 7).equal(wanted));
}

TEST_P(KvCacheTest, AFailedAddReservesNothing) {
  const int64_t all = cache_->free_pages();
  auto full = cache_->Add((all + 1) * kPageTokens);
  EXPECT_EQ(full.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(cache_->free_pages(), all);
}

TEST_P(KvCacheTest, AnEarlierSequenceDoesNotAffectALaterOneNotEvenByNaN) {
  auto clean = cache_->Add(kPageTokens).value();
  at::Tensor wanted = Append(*model_, clean, 1);
  cache_->Remove(clean);
  // A model that has diverged leaves NaN in the pages.
  RandomWeights broken = weights_;
  for (const TensorEntry& entry : broken.manifest.tensors()) {
    if (entry.name().find("v_proj") == std::string::npos) continue;
    for (int64_t i = 0; i < entry.shape(0) * entry.shape(1); ++i) {
      const float nan = std::nanf("");
      std::memcpy(broken.bytes.data() + entry.offset() + 4 * i, &nan, 4);
    }
  }
  auto dirty = cache_->Add(kPageTokens).value();
  Append(*Load(broken), dirty, kPageTokens);
  cache_->Remove(dirty);
  auto again = cache_->Add(kPageTokens).value();
  EXPECT_TRUE(Append(*model_, again, 1).equal(wanted));
}

INSTANTIATE_TEST_SUITE_P(Computes, KvCacheTest, testing::Values(Dtype::kBf16, Dtype::kFp32));

}  // namespace
}  // namespace reckon
