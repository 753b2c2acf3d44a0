#include "common/model/kernels/cuda/fused_ops.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <ostream>
#include <vector>

#include "common/base/rng.h"
#include "common/model/kernels/cuda/draw_tokens.h"
#include "common/model/kernels/cuda/paged_attention.h"
#include "common/model/kernels/cuda/step_state.h"
#include "common/model/kernels/torch/kv_pages.h"
#include "common/model/kernels/torch/torch_ops.h"
#include "common/model/sampler.h"
#include "gtest/gtest.h"
#include "tests/support/kernel_test.h"
#include "tests/support/test_tensors.h"

#ifdef RECKON_CUDA_ON_CPU
#define FusedOpsTest CpuFusedOpsTest
#else
#define FusedOpsTest GpuFusedOpsTest
#endif

// Compares every kernel with the same composed of LibTorch's operations: on a GPU, and with the
// kernels compiled as C++ (tests/support/cuda_on_cpu) on the CPU.
namespace reckon {
namespace {

class FusedOpsTest : public KernelTest<testing::TestWithParam<Dtype>> {
 protected:
  static at::ScalarType type() { return ScalarTypeOf(GetParam()); }
  static at::Tensor OnDevice(const at::Tensor& x) { return x.to(DeviceOf(kBackend)); }
  static at::Tensor Random(at::IntArrayRef sizes, uint64_t key) {
    return OnDevice(RandomFloats(sizes, key));
  }

  static void ExpectClose(const at::Tensor& got, const at::Tensor& wanted, const char* what) {
    ASSERT_EQ(got.sizes(), wanted.sizes()) << what;
    ASSERT_EQ(got.scalar_type(), wanted.scalar_type()) << what;
    const at::Tensor a = got.to(at::kCPU, at::kFloat), b = wanted.to(at::kCPU, at::kFloat);
    const double largest = b.abs().max().item<double>();
    ASSERT_GT(largest, 0) << what;
    // One step of bf16 where the order of a sum decides how a number is rounded.
    const double allowed = got.scalar_type() == at::kBFloat16 ? 1.0 / 128 : 1e-5;
    EXPECT_LE((a - b).abs().max().item<double>() / largest, allowed) << what;
  }
  static void ExpectSame(const at::Tensor& got, const at::Tensor& wanted, const char* what) {
    EXPECT_TRUE(got.to(at::kCPU).equal(wanted.to(at::kCPU))) << what;
  }

  // Pages of rows with the given positions, shuffled over a cache of `total` pages.
  static DeviceRows MakeRows(const std::vector<int32_t>& positions, int64_t total, uint64_t key) {
    int64_t most = 1;
    for (int32_t p : positions) most = std::max<int64_t>(most, p / kPageTokens + 1);
    std::vector<int32_t> free(total);
    std::iota(free.begin(), free.end(), 0);
    Shuffle(free, key);
    // What is beyond a row's own pages must not be read: no page has this number.
    at::Tensor pages_of =
        at::full({static_cast<int64_t>(positions.size()), most}, 1 << 30, at::kInt);
    for (size_t row = 0; row < positions.size(); ++row) {
      for (int64_t p = 0; p * kPageTokens <= positions[row]; ++p) {
        pages_of.mutable_data_ptr<int32_t>()[row * most + p] = free.back();
        free.pop_back();
      }
    }
    return {OnDevice(pages_of), OnDevice(Ints(positions))};
  }
};

TEST_P(FusedOpsTest, AddRmsNormIsTheSumThenTheNorm) {
  for (const int64_t n : {7, 256, 1000}) {
    at::Tensor x = Random({5, n}, 1);
    const at::Tensor bias = Random({n}, 2), weight = Random({n}, 3);
    const at::Tensor sum = x + bias;
    const auto norm = [&](const at::Tensor& of) {
      return TorchOps().RmsNorm(of, {.values = weight}, 1e-5, GetParam());
    };
    ExpectClose(FusedAddRmsNorm(x, {}, weight, 1e-5, GetParam()), norm(x), "norm alone");
    ExpectClose(FusedAddRmsNorm(x, bias, weight, 1e-5, GetParam()), norm(sum), "norm");
    ExpectSame(x, sum, "sum");
  }
}

TEST_P(FusedOpsTest, SiluProductIsSwiGlu) {
  for (const int64_t n : {3, 1024, 1500}) {
    const at::Tensor gate_up = Random({4, 2 * n}, 1) * 8, bias = Random({2 * n}, 2);
    ExpectClose(FusedSiluProduct(gate_up, {}, GetParam()), TorchOps().SwiGlu(gate_up.to(type())),
                "product");
    ExpectClose(FusedSiluProduct(gate_up, bias, GetParam()),
                TorchOps().SwiGlu((gate_up + bias).to(type())), "with bias");
  }
}

TEST_P(FusedOpsTest, EmbedTakesRowsOfTheTable) {
  const TableWeight table = {.values = Random({50, 300}, 1).to(type())};
  const at::Tensor tokens = OnDevice(Ints({7, 49, 0}));
  ExpectSame(FusedEmbed(tokens, table), TorchOps().Embed(tokens, table), "rows");
}

TEST_P(FusedOpsTest, RopeToCacheIsHeadNormThenRopeThenTwoWrites) {
  struct Case {
    int64_t heads, kv_heads, dim;
    bool norm, rope, bias;
  };
  for (const Case& c : std::vector<Case>{{3, 1, 16, false, true, true},
                                         {4, 2, 80, true, true, true},
                                         {5, 5, 128, true, true, false},
                                         {2, 1, 256, true, true, false},
                                         {4, 2, 64, false, false, false}}) {
    const DeviceRows rows = MakeRows({0, 63, 64, 130}, 7, 1);
    const at::Tensor qkv = Random({4, (c.heads + 2 * c.kv_heads) * c.dim}, 2);
    const at::Tensor query = Random({c.dim}, 3), key = Random({c.dim}, 4);
    const at::Tensor table =
        TorchOps().RopeTable(rows.positions, Random({c.dim / 2}, 5).abs(), 0.9);
    at::Tensor keys = at::zeros({7 * kPageTokens, c.kv_heads, c.dim}, qkv.options().dtype(type()));
    at::Tensor values = at::zeros_like(keys);

    const at::Tensor bias = c.bias ? Random({qkv.size(1)}, 6) : at::Tensor();
    at::Tensor wanted = (c.bias ? qkv + bias : qkv).to(type());
    if (c.norm) {
      wanted = TorchOps().HeadNorm(wanted, {.values = query}, {.values = key}, c.heads, c.kv_heads,
                                   c.dim, 1e-6);
    }
    if (c.rope) wanted = TorchOps().Rope(wanted, table, c.heads + c.kv_heads, c.dim);
    wanted = wanted.view({4, -1, c.dim});

    const at::Tensor got =
        FusedRopeToCache(qkv, bias, c.norm ? query : at::Tensor(), c.norm ? key : at::Tensor(),
                         1e-6, c.rope ? table : at::Tensor(), rows, keys, values);
    ExpectClose(got, wanted.narrow(1, 0, c.heads), "queries");
    const at::Tensor pages = rows.pages_of.to(at::kCPU), positions = rows.positions.to(at::kCPU);
    std::vector<int32_t> slots;
    for (int64_t row = 0; row < 4; ++row) {
      const int32_t p = positions[row].item<int32_t>();
      slots.push_back(pages[row][p / kPageTokens].item<int32_t>() * kPageTokens + p % kPageTokens);
    }
    const at::Tensor slot = OnDevice(Ints(slots)).to(at::kLong);
    ExpectClose(keys.index_select(0, slot), wanted.narrow(1, c.heads, c.kv_heads), "keys");
    ExpectSame(values.index_select(0, slot), wanted.narrow(1, c.heads + c.kv_heads, c.kv_heads),
               "values");
    // Nothing is written elsewhere.
    keys.index_fill_(0, slot, 0);
    values.index_fill_(0, slot, 0);
    EXPECT_EQ(keys.abs().sum().item<double>() + values.abs().sum().item<double>(), 0);
  }
}

TEST_P(FusedOpsTest, PagedAttentionIsTheGatheredOneWhateverTheHeads) {
  struct Case {
    int64_t heads, kv_heads, dim;
  };
  for (const Case& c : std::vector<Case>{{1, 1, 16},
                                         {4, 4, 32},
                                         {9, 3, 64},
                                         {2, 1, 80},
                                         {7, 1, 96},
                                         {6, 2, 112},
                                         {8, 2, 128},
                                         {6, 2, 256}}) {
    const DeviceRows rows = MakeRows({0, 14, 15, 16, 63, 64, 200}, 12, c.dim);
    const at::Tensor qkv = (Random({7, c.heads + 3, c.dim}, 1) * 4).to(type());
    const at::Tensor q = qkv.narrow(1, 0, c.heads);  // rows with gaps, as those of qkv
    at::Tensor keys = (Random({12 * kPageTokens, c.kv_heads, c.dim}, 2) * 4).to(type());
    const at::Tensor values = Random(keys.sizes(), 3).to(type());
    const at::Tensor got = FusedPagedAttention(q, keys, values, rows);
    DeviceRows known = rows;  // page 0 in place of those that do not exist
    known.pages_of = rows.pages_of.masked_fill(rows.pages_of.ge(12), 0);
    ExpectClose(got, GatherAttention(q, keys, values, known.pages_of, known.positions), "mixed");
    // A row's bits do not depend on the others.
    for (int64_t row : {0, 6}) {
      ExpectSame(
          FusedPagedAttention(q.narrow(0, row, 1), keys, values,
                              {rows.pages_of.narrow(0, row, 1), rows.positions.narrow(0, row, 1)}),
          got.narrow(0, row, 1), "one row");
    }
  }
}

TEST_P(FusedOpsTest, IdleRowsReadAndWriteNothing) {
  const DeviceRows rows = {OnDevice(at::full({2, 1}, 1 << 30, at::kInt)), OnDevice(Ints({-1, -1}))};
  const at::Tensor qkv = Random({2, 3 * 64}, 1);
  const at::Tensor keys = at::full({kPageTokens, 1, 64}, std::nan(""), qkv.options().dtype(type()));
  const at::Tensor queries = FusedRopeToCache(qkv, {}, {}, {}, 1e-6, {}, rows, keys, keys);
  EXPECT_TRUE(keys.isnan().all().item<bool>());
  const at::Tensor mixed = FusedPagedAttention(queries, keys, keys, rows);
  EXPECT_TRUE(mixed.eq(0).all().item<bool>());
}

// The kernel's results, of rows of logits [rows, vocab].
std::vector<DeviceToken> Draw(const at::Tensor& logits, const std::vector<TokenDraw>& rows,
                              int64_t gaps, c10::Device device) {
  const int64_t n = rows.size();
  at::Tensor draws = at::zeros({n * static_cast<int64_t>(sizeof(DeviceDraw))}, at::kByte);
  for (int64_t i = 0; i < n; ++i) {
    static_cast<DeviceDraw*>(draws.mutable_data_ptr())[i] = MakeDeviceDraw(rows[i]);
  }
  at::Tensor drawn = at::zeros({n * static_cast<int64_t>(sizeof(DeviceToken))},
                               at::TensorOptions(at::kByte).device(device));
  FusedDraw(logits.to(device), gaps, draws.to(device), drawn);
  const at::Tensor host = drawn.to(at::kCPU);
  const auto* out = static_cast<const DeviceToken*>(host.const_data_ptr());
  return {out, out + n};
}

TEST_P(FusedOpsTest, DrawsWhatTheSamplerDraws) {
  // A vocabulary below and above the number of threads, with ties and tokens that do not exist.
  for (const int64_t vocab : {50, 700}) {
    at::Tensor logits = RandomFloats({1, vocab}, 1) * 12;
    logits = (logits * 8).round() / 8;
    logits[0][3] = logits[0][40] = -std::numeric_limits<float>::infinity();
    std::vector<TokenDraw> rows;
    for (const double temperature : {1.0, 0.6}) {
      for (const uint32_t top_k : {0, 5, 2000}) {
        for (const double top_p : {1.0, 0.6, 1e-6}) {
          for (int i = 0; i < 2; ++i) {
            rows.push_back({temperature, top_k, top_p, (i + 0.37) / 2});
          }
        }
      }
    }
    rows.push_back({.uniform = 0});
    rows.push_back({.uniform = 1 - 0x1p-53});
    rows.push_back({.temperature = 0});
    rows.push_back({.temperature = 0.5, .forced = 7});
    const int64_t n = rows.size();
    const std::vector<DeviceToken> got =
        Draw(logits.expand({n, vocab}).contiguous(), rows, 2, DeviceOf(kBackend));
    const auto wanted = *DrawFromLogits(logits.expand({n, vocab}).contiguous(), {3, 40}, rows);
    for (int64_t i = 0; i < n; ++i) {
      EXPECT_EQ(got[i].faulty, 0);
      EXPECT_EQ(got[i].token, static_cast<int32_t>(wanted[i].token))
          << vocab << ": top_k " << rows[i].top_k << ", top_p " << rows[i].top_p << ", uniform "
          << rows[i].uniform;
      EXPECT_NEAR(got[i].logprob, wanted[i].logprob, 1e-5);
    }
  }
}

TEST_P(FusedOpsTest, DrawRefusesLogitsThatAreNotFinite) {
  at::Tensor logits = at::zeros({4, 600}, at::kFloat);
  logits[1][5] = std::nan("");
  logits[2][599] = std::numeric_limits<float>::infinity();
  logits[3][0] = -std::numeric_limits<float>::infinity();
  const auto got = Draw(logits, std::vector<TokenDraw>(4), 0, DeviceOf(kBackend));
  for (int i = 0; i < 4; ++i) EXPECT_EQ(got[i].faulty, i == 0 ? 0 : 1) << i;
}

// Bytes of `items` as a tensor on the device.
template <typename Item>
at::Tensor BytesOn(const std::vector<Item>& items, c10::Device device) {
  at::Tensor out = at::empty({static_cast<int64_t>(items.size() * sizeof(Item))}, at::kByte);
  std::memcpy(out.mutable_data_ptr(), items.data(), out.nbytes());
  return out.to(device);
}
template <typename Item>
std::vector<Item> ItemsOf(const at::Tensor& bytes) {
  const at::Tensor host = bytes.to(at::kCPU);
  std::vector<Item> out(host.nbytes() / sizeof(Item));
  std::memcpy(out.data(), host.const_data_ptr(), host.nbytes());
  return out;
}

TEST_P(FusedOpsTest, AStepReadsItsSlotsAndMovesThemOn) {
  const c10::Device device = DeviceOf(kBackend);
  std::vector<DecodeSlot> before(3);
  for (int i = 0; i < 3; ++i) {
    before[i] = {.stream = 77u + i,
                 .place = uint64_t{1} << 40,
                 .top_p = 0.5,
                 .scale = 2.0f + i,
                 .top_k = 4,
                 .forced = i - 1,
                 .token = 10 + i,
                 .position = 63 + i};
  }
  at::Tensor pages = at::full({3, 4}, 1 << 30, at::kInt);
  for (int i = 0; i < 12; ++i) pages.mutable_data_ptr<int32_t>()[i] = 100 + i;
  const DeviceSlots slots = {BytesOn(before, device), OnDevice(pages)};
  const at::Tensor slot_of = OnDevice(Ints({2, -1, 0}));
  const at::Tensor frequency = Random({8}, 5).abs();
  const StepRows step = FusedBeginStep(slots, slot_of, frequency, 0.9);
  ExpectSame(step.tokens, Ints({12, 0, 10}), "tokens");
  ExpectSame(step.rows.positions, Ints({65, -1, 63}), "positions");
  ExpectSame(step.rows.pages_of.select(0, 0).narrow(0, 0, 2), Ints({108, 109}), "pages");
  ExpectSame(step.rows.pages_of.select(0, 2).narrow(0, 0, 1), Ints({100}), "pages");
  const at::Tensor table = TorchOps().RopeTable(step.rows.positions, frequency, 0.9);
  for (int64_t row : {0, 2}) ExpectClose(step.table[row], table[row], "angles");
  const auto draws = ItemsOf<DeviceDraw>(step.draws);
  EXPECT_EQ(draws[0].uniform, CounterRng(79).Uniform(uint64_t{1} << 40));
  EXPECT_EQ(draws[0].scale, 4);
  EXPECT_EQ(draws[0].forced, 1);
  EXPECT_EQ(draws[2].forced, -1);
  EXPECT_EQ(draws[2].top_p, 0.5);
  EXPECT_EQ(draws[0].idle + 10 * draws[1].idle + 100 * draws[2].idle, 10);

  FusedEndStep(slots, slot_of, BytesOn(std::vector<DeviceToken>{{5}, {6}, {7}}, device));
  const auto after = ItemsOf<DecodeSlot>(slots.slots);
  EXPECT_EQ(after[2].token, 5);
  EXPECT_EQ(after[2].position, 66);
  EXPECT_EQ(after[2].place, (uint64_t{1} << 40) + 1);
  EXPECT_EQ(after[2].forced, -1);
  EXPECT_EQ(after[0].token, 7);
  EXPECT_EQ(after[1].token, 11);
  EXPECT_EQ(after[1].position, 64);
  EXPECT_EQ(after[1].scale, 3);
}

std::string NameOf(const testing::TestParamInfo<Dtype>& info) {
  return info.param == Dtype::kBf16 ? "bf16" : "fp32";
}
INSTANTIATE_TEST_SUITE_P(, FusedOpsTest, testing::Values(Dtype::kBf16, Dtype::kFp32), NameOf);

}  // namespace
}  // namespace reckon
