#include "common/model/kernels/torch/torch_ops.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/tensor.h>

#include <ostream>
#include <utility>
#include <vector>

#include "common/model/kernels/cpu/cpu_ops.h"
#include "common/model/kernels/torch/kv_pages.h"
#include "common/model/kernels/torch/packed_attention.h"
#include "gtest/gtest.h"
#include "tests/support/test_tensors.h"

// Compares every operation of TorchOps with CpuOps: its result, and the gradients of its input and
// its parameters. Runs on the CPU and, if there is one, on a GPU.
namespace reckon {
namespace {

struct OpsCase {
  Backend backend;
  Dtype dtype;
};
void PrintTo(const OpsCase& c, std::ostream* out) {
  *out << (c.dtype == Dtype::kBf16 ? "bf16" : "fp32");
}

class TorchOpsTest : public testing::TestWithParam<OpsCase> {
 protected:
  void SetUp() override {
    if (GetParam().backend == Backend::kTorchCuda && !ChooseBackend("CUDA").ok()) {
      GTEST_SKIP() << "needs a GPU: " << ChooseBackend("CUDA").status().message();
    }
  }

  static c10::Device device() { return DeviceOf(GetParam().backend); }
  static Dtype dtype() { return GetParam().dtype; }
  static at::ScalarType type() { return ScalarTypeOf(dtype()); }

  static const Ops& cpu() { return CpuOps(); }
  static const Ops& torch() { return TorchOps(); }

  // The same parameters for both.
  struct LinearPair {
    LinearWeight cpu, torch;
  };
  static LinearPair MakeLinear(std::vector<int64_t> sizes, int64_t k, bool bias) {
    LinearPair out;
    std::vector<at::Tensor> all, biases;
    int64_t first = 0;
    for (int64_t size : sizes) {
      all.push_back(RandomFloats({size, k}, 100 + first).to(type()).to(at::kFloat));
      out.cpu.parts.push_back(all.back().clone().requires_grad_(true));
      out.torch.parts.push_back(all.back().clone().to(device()).requires_grad_(true));
      if (bias) {
        biases.push_back(RandomFloats({size}, 200 + first).to(type()).to(at::kFloat));
        out.cpu.bias_parts.push_back(biases.back().clone().requires_grad_(true));
        out.torch.bias_parts.push_back(biases.back().to(device(), true, true));
        out.torch.bias_parts.back().requires_grad_(true);
      }
      first += size;
    }
    cpu().Pack(all, dtype(), /*trainable=*/true, &out.cpu);
    torch().Pack(out.torch.parts, dtype(), /*trainable=*/true, &out.torch);
    if (bias) {
      out.cpu.bias = at::cat(biases);
      out.torch.bias = out.cpu.bias.to(device());
    }
    return out;
  }
  struct TablePair {
    TableWeight cpu, torch;
  };
  static TablePair MakeTable(at::IntArrayRef sizes) {
    const at::Tensor values = RandomFloats(sizes, 300).to(type());
    auto make = [&](c10::Device where) {
      const at::Tensor leaf = values.to(at::kFloat).clone().to(where).requires_grad_(true);
      return TableWeight{sizes.size() == 1 ? leaf.detach().clone() : values.to(where), leaf};
    };
    return {make(c10::kCPU), make(device())};
  }

  // The largest difference, relative to the largest element, is within the precision of the dtype.
  static void ExpectClose(const at::Tensor& got, const at::Tensor& wanted, const char* what) {
    ASSERT_TRUE(got.defined() && wanted.defined()) << what;
    ASSERT_EQ(got.sizes(), wanted.sizes()) << what;
    const at::Tensor a = got.detach().to(at::kCPU, at::kFloat);
    const at::Tensor b = wanted.detach().to(at::kFloat);
    const double largest = b.abs().max().item<double>();
    ASSERT_GT(largest, 0) << what;
    EXPECT_LE((a - b).abs().max().item<double>() / largest,
              dtype() == Dtype::kBf16 ? 1.0 / 64 : 1e-5)
        << what;
  }

  // Runs both on the input x, and backward from the same random gradient.
  template <typename Cpu, typename Torch>
  static void Compare(const at::Tensor& x, const Cpu& own, const Torch& other) {
    const at::Tensor a = x.clone().requires_grad_(true);
    const at::Tensor b = x.to(device(), x.scalar_type(), false, true).requires_grad_(true);
    const at::Tensor wanted = own(a), got = other(b);
    EXPECT_EQ(got.scalar_type(), wanted.scalar_type());
    ExpectClose(got, wanted, "result");
    const at::Tensor d = RandomFloats(wanted.sizes(), 400).to(wanted.scalar_type());
    wanted.backward(d);
    got.backward(d.to(device()));
    ExpectClose(b.grad(), a.grad(), "input gradient");
    at::NoGradGuard no_grad;
    ExpectClose(other(x.to(device())), own(x.clone()), "result without gradient");
  }
  static void CompareGradients(const LinearPair& pair) {
    for (size_t i = 0; i < pair.cpu.parts.size(); ++i) {
      ExpectClose(pair.torch.parts[i].grad(), pair.cpu.parts[i].grad(), "weight gradient");
    }
    for (size_t i = 0; i < pair.cpu.bias_parts.size(); ++i) {
      ExpectClose(pair.torch.bias_parts[i].grad(), pair.cpu.bias_parts[i].grad(), "bias gradient");
    }
  }
};

TEST_P(TorchOpsTest, Embed) {
  TablePair table = MakeTable({50, 16});
  const at::Tensor tokens = RandomInts(70, 50, 1);
  const at::Tensor wanted = cpu().Embed(tokens, table.cpu);
  const at::Tensor got = torch().Embed(tokens.to(device()), table.torch);
  ExpectClose(got, wanted, "result");
  wanted.backward(RandomFloats(wanted.sizes(), 2));
  got.backward(RandomFloats(wanted.sizes(), 2).to(device()));
  ExpectClose(table.torch.leaf.grad(), table.cpu.leaf.grad(), "gradient");
}

TEST_P(TorchOpsTest, RmsNorm) {
  TablePair table = MakeTable({48});
  Compare(
      RandomFloats({33, 48}, 1),
      [&](const at::Tensor& x) { return cpu().RmsNorm(x, table.cpu, 1e-5, dtype()); },
      [&](const at::Tensor& x) { return torch().RmsNorm(x, table.torch, 1e-5, dtype()); });
  ExpectClose(table.torch.leaf.grad(), table.cpu.leaf.grad(), "weight gradient");
}

TEST_P(TorchOpsTest, Linear) {
  for (bool bias : {false, true}) {
    LinearPair weight = MakeLinear({32, 16, 16}, 48, bias);
    Compare(
        RandomFloats({33, 48}, 1).to(type()),
        [&](const at::Tensor& x) { return cpu().Linear(x, weight.cpu); },
        [&](const at::Tensor& x) { return torch().Linear(x, weight.torch); });
    CompareGradients(weight);
  }
}

TEST_P(TorchOpsTest, AddLinear) {
  LinearPair weight = MakeLinear({48}, 80, false);
  const at::Tensor residual = RandomFloats({33, 48}, 2);
  Compare(
      RandomFloats({33, 80}, 1).to(type()),
      [&](const at::Tensor& x) { return cpu().AddLinear(residual.clone(), x, weight.cpu); },
      [&](const at::Tensor& x) {
        return torch().AddLinear(residual.to(device()), x, weight.torch);
      });
  CompareGradients(weight);
}

TEST_P(TorchOpsTest, HeadNorm) {
  TablePair query = MakeTable({16}), key = MakeTable({16});
  Compare(
      RandomFloats({33, 5 * 16}, 1).to(type()),
      [&](const at::Tensor& x) { return cpu().HeadNorm(x, query.cpu, key.cpu, 3, 1, 16, 1e-5); },
      [&](const at::Tensor& x) {
        return torch().HeadNorm(x, query.torch, key.torch, 3, 1, 16, 1e-5);
      });
  ExpectClose(query.torch.leaf.grad(), query.cpu.leaf.grad(), "query weight gradient");
  ExpectClose(key.torch.leaf.grad(), key.cpu.leaf.grad(), "key weight gradient");
}

TEST_P(TorchOpsTest, Rope) {
  const at::Tensor positions = RandomInts(33, 100, 2), frequency = RandomFloats({8}, 3);
  Compare(
      RandomFloats({33, 5 * 16}, 1).to(type()),
      [&](const at::Tensor& x) {
        return cpu().Rope(x, cpu().RopeTable(positions, frequency, 1.2), 4, 16);
      },
      [&](const at::Tensor& x) {
        const at::Tensor table =
            torch().RopeTable(positions.to(device()), frequency.to(device()), 1.2);
        return torch().Rope(x, table, 4, 16);
      });
}

TEST_P(TorchOpsTest, SwiGlu) {
  Compare(
      RandomFloats({33, 160}, 1).to(type()), [](const at::Tensor& x) { return cpu().SwiGlu(x); },
      [](const at::Tensor& x) { return torch().SwiGlu(x); });
}

// Within a tile of logits, over two tiles of columns, and over two of rows.
TEST_P(TorchOpsTest, HeadLogProb) {
  for (auto [rows, vocab] : {std::pair(300, 99), {50, 8192 + 61}, {4096 + 7, 41}}) {
    LinearPair head = MakeLinear({vocab}, 48, false);
    head.cpu.masked = at::tensor({0, vocab - 1}, at::kLong);
    head.torch.masked = head.cpu.masked.to(device());
    const at::Tensor targets = RandomInts(rows, vocab - 2, 2) + 1;
    Compare(
        RandomFloats({rows, 48}, 1).to(type()),
        [&](const at::Tensor& x) { return cpu().HeadLogProb(x, head.cpu, targets, 0.7); },
        [&](const at::Tensor& x) {
          return torch().HeadLogProb(x, head.torch, targets.to(device()), 0.7);
        });
    CompareGradients(head);
  }
}

TEST_P(TorchOpsTest, HeadLogits) {
  LinearPair head = MakeLinear({99}, 48, false);
  at::NoGradGuard no_grad;
  const at::Tensor x = RandomFloats({33, 48}, 1).to(type());
  const at::Tensor got = torch().HeadLogits(x.to(device()), head.torch);
  EXPECT_EQ(got.scalar_type(), at::kFloat);
  ExpectClose(got, cpu().HeadLogits(x, head.cpu), "logits");
}

// Three query heads a kv head, wider than one page of keys.
ModelConfig Heads(int64_t dim) {
  ModelConfig config;
  config.num_layers = 1;
  config.num_heads = 6;
  config.num_kv_heads = 2;
  config.head_dim = dim;
  return config;
}

TEST_P(TorchOpsTest, PackedAttention) {
  RowSegments apart = {0, 70, 200}, branches;
  branches.Add(70);
  branches.Add(60, /*stem=*/0);
  branches.Add(0, /*stem=*/0);
  branches.Add(1, /*stem=*/0);
  branches.Add(69);
  for (const RowSegments& segments : {apart, branches}) {
    auto own = PackedAttention(Heads(16), segments);
    auto other = PackedAttention(Heads(16), segments, GetParam().backend);
    Compare(
        RandomFloats({200, 10 * 16}, 1).to(type()),
        [&](const at::Tensor& x) { return own->Attend(0, x); },
        [&](const at::Tensor& x) { return other->Attend(0, x); });
  }
}

TEST_P(TorchOpsTest, PagedAttention) {
  at::NoGradGuard no_grad;
  for (int64_t dim : {16, 64, 128}) {
    const ModelConfig config = Heads(dim);
    auto own = KvPages::Make(config, dtype(), 1, 6, Backend::kCpuKernels);
    auto other = KvPages::Make(config, dtype(), 1, 6, GetParam().backend);
    const std::vector<int64_t> a = {3, 1, 4}, b = {5, 0, 2};
    std::vector<KvRow> rows;
    for (int64_t t = 0; t < 150; ++t) rows.push_back({&a, t});
    for (int64_t t = 0; t < 70; ++t) rows.push_back({&b, t});
    const at::Tensor prefill = RandomFloats({220, 10 * dim}, 1).to(type());
    ExpectClose(other->Attend(0, rows, prefill.to(device())), own->Attend(0, rows, prefill),
                "prefill");
    const std::vector<KvRow> next = {{&a, 150}, {&b, 70}};
    const at::Tensor decode = RandomFloats({2, 10 * dim}, 2).to(type());
    ExpectClose(other->Attend(0, next, decode.to(device())), own->Attend(0, next, decode),
                "decode");
  }
}

INSTANTIATE_TEST_SUITE_P(Cpu, TorchOpsTest,
                         testing::Values(OpsCase{Backend::kTorchCpu, Dtype::kFp32},
                                         OpsCase{Backend::kTorchCpu, Dtype::kBf16}));
INSTANTIATE_TEST_SUITE_P(Gpu, TorchOpsTest,
                         testing::Values(OpsCase{Backend::kTorchCuda, Dtype::kFp32},
                                         OpsCase{Backend::kTorchCuda, Dtype::kBf16}));

}  // namespace
}  // namespace reckon
