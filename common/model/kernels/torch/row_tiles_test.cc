#include "common/model/kernels/torch/row_tiles.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/mm.h>

#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "common/model/kernels/torch/torch_ops.h"
#include "common/model/transformer.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/random_weights.h"
#include "tests/support/test_tensors.h"

// The row-invariant mode of LibTorch's products, on the CPU and, if there is one, on a GPU: rows by
// themselves beside the same rows among others, bit by bit.
namespace reckon {
namespace {

struct TilesCase {
  Backend backend;
  Dtype dtype;
};
void PrintTo(const TilesCase& c, std::ostream* out) {
  *out << (c.dtype == Dtype::kBf16 ? "bf16" : "fp32");
}

class RowTilesTest : public testing::TestWithParam<TilesCase> {
 protected:
  void SetUp() override {
    if (GetParam().backend == Backend::kTorchCuda && !ChooseBackend("CUDA").ok()) {
      GTEST_SKIP() << "needs a GPU: " << ChooseBackend("CUDA").status().message();
    }
    threads_ = at::get_num_threads();
    at::set_num_threads(1);  // as in Reckon's programs
    SetRowTile(kRowTile);
  }
  void TearDown() override {
    SetRowTile(0);
    if (threads_ > 0) at::set_num_threads(threads_);
  }

  static at::Tensor OnDevice(const at::Tensor& x) { return x.to(DeviceOf(GetParam().backend)); }
  static at::Tensor Rounded(at::IntArrayRef sizes, uint64_t key) {
    return OnDevice(RandomFloats(sizes, key).to(ScalarTypeOf(GetParam().dtype)));
  }
  static LinearWeight Weight(int64_t n, int64_t k) {
    LinearWeight weight;
    TorchOps().Pack({Rounded({n, k}, 7)}, GetParam().dtype, /*trainable=*/false, &weight);
    return weight;
  }

  // Rows of x whose result of `compute`, over the rows first .. first + count - 1 for several of
  // both, has other bits than among all rows.
  static int64_t RowsThatDiffer(const at::Tensor& x,
                                absl::FunctionRef<at::Tensor(const at::Tensor&)> compute) {
    const at::Tensor all = compute(x);
    int64_t differ = 0;
    for (const int64_t count : {1, 2, 7, 16, 40, 100, 255, 256, 257, 300, 511}) {
      for (const int64_t first : {0, 1, 90, 300}) {
        if (first + count > x.size(0)) continue;
        const at::Tensor some = compute(x.narrow(0, first, count).clone());
        const at::Tensor wanted = all.narrow(0, first, count);
        differ += some.ne(wanted).flatten(1).any(1).sum().template item<int64_t>();
      }
    }
    return differ;
  }
  // None with the mode; how many without it is recorded in the test's output.
  static void ExpectInvariant(const char* what, const at::Tensor& x,
                              absl::FunctionRef<at::Tensor(const at::Tensor&)> compute) {
    EXPECT_EQ(RowsThatDiffer(x, compute), 0) << what;
    SetRowTile(0);
    RecordProperty(what, static_cast<int>(RowsThatDiffer(x, compute)));
    SetRowTile(kRowTile);
  }

 private:
  int threads_ = 0;
};

TEST_P(RowTilesTest, ProductsOfAPassHaveTheBitsOfARowInAnyBatch) {
  const at::NoGradGuard no_grad;
  struct Shape {
    int64_t n, k;
  };
  for (const Shape& shape : {Shape{576, 1536}, Shape{960, 576}, Shape{99, 48}}) {
    LinearWeight weight = Weight(shape.n, shape.k);
    const at::Tensor x = Rounded({600, shape.k}, 1),
                     sum = OnDevice(RandomFloats({600, shape.n}, 2));
    ExpectInvariant("product", x, [&](const at::Tensor& rows) { return ProductOf(rows, weight); });
    ExpectInvariant("product_that_adds", x, [&](const at::Tensor& rows) {
      at::Tensor out = at::cat({sum.narrow(0, 0, 1)}).repeat({rows.size(0), 1});
      AddProductOf(rows, weight, out);
      return out;
    });
    weight.adapters = TorchOps().PackAdapters(
        {{OnDevice(RandomFloats({4, shape.k}, 3)), OnDevice(RandomFloats({shape.n / 3, 4}, 4)), 2},
         {OnDevice(RandomFloats({4, shape.k}, 5)),
          OnDevice(RandomFloats({shape.n - shape.n / 3, 4}, 6)), 2}},
        GetParam().dtype, /*trainable=*/false);
    ExpectInvariant("product_with_adapters", x,
                    [&](const at::Tensor& rows) { return ProductOf(rows, weight); });
  }
}

TEST_P(RowTilesTest, LogProbabilitiesOfTheHeadHaveTheBitsOfARowInAnyBatch) {
  const at::NoGradGuard no_grad;
  const LinearWeight head = Weight(9000, 64);  // two tiles of columns
  const at::Tensor x = Rounded({600, 64}, 1);
  const at::Tensor id = OnDevice(Ints({8500}));
  ExpectInvariant("log_probability", x, [&](const at::Tensor& rows) {
    return TorchOps().HeadLogProb(rows, head, id.expand({rows.size(0)}), 0.7).unsqueeze(1);
  });
  ExpectInvariant("logits", x,
                  [&](const at::Tensor& rows) { return TorchOps().HeadLogits(rows, head); });
}

// The learner's forward pass: sequences alone, and packed with others into one pass, in another
// order. With gradients on, as in training.
TEST_P(RowTilesTest, LogProbabilitiesOfASequenceDoNotDependOnItsMicroBatch) {
  ModelConfig config = SmallConfig();
  config.hidden_size = 64;
  config.intermediate_size = 96;
  config.head_dim = 64;
  const RandomWeights weights = MakeRandomWeights(config, 1);
  Transformer model(config, GetParam().dtype, GetParam().backend);
  ASSERT_TRUE(model.Load(weights.manifest, weights.bytes, /*trainable=*/true).ok());
  const std::vector<int64_t> lengths = {40, 200, 1, 131, 64};
  const auto run = [&](const std::vector<int>& sequences) {
    RowSegments segments;
    std::vector<at::Tensor> tokens, targets;
    std::vector<int32_t> positions;
    for (const int s : sequences) {
      segments.Add(lengths[s]);
      tokens.push_back(RandomInts(lengths[s], 99, s));
      targets.push_back(RandomInts(lengths[s], 99, 10 + s));
      for (const int32_t p : Positions(0, lengths[s])) positions.push_back(p);
    }
    const auto attention = PackedAttention(config, segments, GetParam().backend);
    const at::Tensor hidden = model.Forward(at::cat(tokens), Ints(positions), *attention);
    const at::Tensor all = model.LogProb(hidden, at::cat(targets), 1);
    EXPECT_TRUE(all.requires_grad());
    std::vector<at::Tensor> out(lengths.size());
    for (size_t i = 0; i < sequences.size(); ++i) {
      out[sequences[i]] =
          all.detach().narrow(0, segments.starts[static_cast<int64_t>(i)], lengths[sequences[i]]);
    }
    return out;
  };
  const auto together = run({0, 1, 2, 3, 4}), turned = run({3, 2, 4, 1});
  for (int s = 0; s < 5; ++s) {
    const at::Tensor alone = run({s})[s];
    EXPECT_TRUE(together[s].equal(alone)) << s;
    if (s > 0) {
      EXPECT_TRUE(turned[s].equal(alone)) << s;
    }
  }
}

TEST_P(RowTilesTest, ADeviceThatComputesEqualRowsDifferentlyIsRefused) {
  const at::NoGradGuard no_grad;
  ModelConfig config = SmallConfig();
  EXPECT_TRUE(CheckRowInvariance(config, GetParam().dtype, GetParam().backend).ok())
      << CheckRowInvariance(config, GetParam().dtype, GetParam().backend);
  // The last row in another order, as at the edge of a library's own tiles.
  const auto edge = [](const at::Tensor& x, const at::Tensor& weight) {
    at::Tensor out = at::mm(x.to(at::kFloat), weight.to(at::kFloat).t());
    const at::Tensor last = x.narrow(0, x.size(0) - 1, 1).to(at::kFloat).flip(1);
    out.narrow(0, x.size(0) - 1, 1).copy_(at::mm(last, weight.to(at::kFloat).flip(1).t()));
    return out;
  };
  const absl::Status refused = CheckRowsAlike(config, GetParam().dtype, GetParam().backend, edge);
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(refused.message()),
              testing::StartsWith("model.row_invariant: this device computes "));
  SetRowTile(0);  // nobody asked
  EXPECT_TRUE(CheckRowInvariance(config, GetParam().dtype, GetParam().backend).ok());
}

INSTANTIATE_TEST_SUITE_P(Cpu, RowTilesTest,
                         testing::Values(TilesCase{Backend::kTorchCpu, Dtype::kFp32},
                                         TilesCase{Backend::kTorchCpu, Dtype::kBf16}));
INSTANTIATE_TEST_SUITE_P(Gpu, RowTilesTest,
                         testing::Values(TilesCase{Backend::kTorchCuda, Dtype::kFp32},
                                         TilesCase{Backend::kTorchCuda, Dtype::kBf16}));

TEST(RowTileTest, RowsAreFilledUpToWholeTiles) {
  EXPECT_EQ(WithWholeTiles(5), 5);
  SetRowTile(4);
  EXPECT_EQ(WithWholeTiles(0), 0);
  EXPECT_EQ(WithWholeTiles(4), 4);
  EXPECT_EQ(WithWholeTiles(5), 8);
  const at::Tensor filled = FillTiles(Ints({1, 2, 3, 4, 5}));
  EXPECT_TRUE(filled.equal(Ints({1, 2, 3, 4, 5, 0, 0, 0})));
  SetRowTile(0);
}

}  // namespace
}  // namespace reckon
