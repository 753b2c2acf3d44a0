#include "common/model/ops/device_ops.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/from_blob.h>

#include <ostream>
#include <vector>

#include "common/base/rng.h"
#include "common/model/device_kv_pages.h"
#include "common/model/device_packed_attention.h"
#include "common/model/ops/ops_table.h"
#include "gtest/gtest.h"

// Every operation beside the own kernel: its result, and the gradients of its input and its
// parameters. The same test runs on the CPU and, where there is one, on a GPU.
namespace reckon {
namespace {

at::Tensor Random(at::IntArrayRef sizes, uint64_t key) {
  CounterRng rng(key);
  at::Tensor out = at::empty(sizes, at::kFloat);
  for (int64_t i = 0; i < out.numel(); ++i) {
    out.mutable_data_ptr<float>()[i] = static_cast<float>(rng.Uniform(i) - 0.5);
  }
  return out;
}

at::Tensor Ints(int64_t n, int64_t below, uint64_t key) {
  CounterRng rng(key);
  at::Tensor out = at::empty({n}, at::kInt);
  for (int64_t i = 0; i < n; ++i) {
    out.mutable_data_ptr<int32_t>()[i] = static_cast<int32_t>(rng.Below(below, i));
  }
  return out;
}

struct Case {
  Backend backend;
  Element element;
};
void PrintTo(const Case& c, std::ostream* out) {
  *out << (c.element == Element::kBf16 ? "bf16" : "fp32");
}

class DeviceOpsTest : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    if (GetParam().backend == Backend::kCuda && !ChooseBackend("CUDA").ok()) {
      GTEST_SKIP() << "needs a GPU: " << ChooseBackend("CUDA").status().message();
    }
  }

  static c10::Device device() { return DeviceOf(GetParam().backend); }
  static Element element() { return GetParam().element; }
  static at::ScalarType type() { return ScalarOf(element()); }

  // The same parameters for the own kernels and for the device.
  struct LinearPair {
    LinearWeight own, device;
  };
  static LinearPair MakeLinear(std::vector<int64_t> sizes, int64_t k, bool bias) {
    LinearPair out;
    int64_t n = 0;
    for (int64_t size : sizes) n += size;
    out.own.forward.Reset(element(), k, n);
    out.own.backward.Reset(element(), n, k);
    std::vector<at::Tensor> rounded, biases;
    int64_t first = 0;
    for (int64_t size : sizes) {
      const at::Tensor values = Random({size, k}, 100 + first).to(type()).to(at::kFloat);
      out.own.forward.PackTransposed(values.const_data_ptr<float>(), size, first);
      out.own.backward.PackRows(values.const_data_ptr<float>(), size, first, k);
      out.own.parts.push_back(values.clone().requires_grad_(true));
      out.device.parts.push_back(values.clone().to(device()).requires_grad_(true));
      rounded.push_back(values.to(type()));
      if (bias) {
        biases.push_back(Random({size}, 200 + first).to(type()).to(at::kFloat));
        out.own.bias_parts.push_back(biases.back().clone().requires_grad_(true));
        out.device.bias_parts.push_back(biases.back().to(device(), true, true));
        out.device.bias_parts.back().requires_grad_(true);
      }
      first += size;
    }
    out.device.device_weight = at::cat(rounded).to(device());
    if (bias) {
      out.own.bias = at::cat(biases);
      out.device.bias = out.own.bias.to(device());
    }
    return out;
  }
  struct TablePair {
    TableWeight own, device;
  };
  static TablePair MakeTable(at::IntArrayRef sizes) {
    const at::Tensor values = Random(sizes, 300).to(type());
    auto make = [&](c10::Device where) {
      const at::Tensor leaf = values.to(at::kFloat).clone().to(where).requires_grad_(true);
      return TableWeight{sizes.size() == 1 ? leaf.detach().clone() : values.to(where), leaf};
    };
    return {make(c10::kCPU), make(device())};
  }

  // Equal to the precision of what is rounded last, of the largest element.
  static void ExpectClose(const at::Tensor& got, const at::Tensor& wanted, const char* what) {
    ASSERT_TRUE(got.defined() && wanted.defined()) << what;
    ASSERT_EQ(got.sizes(), wanted.sizes()) << what;
    const at::Tensor a = got.detach().to(at::kCPU, at::kFloat);
    const at::Tensor b = wanted.detach().to(at::kFloat);
    const double largest = b.abs().max().item<double>();
    ASSERT_GT(largest, 0) << what;
    EXPECT_LE((a - b).abs().max().item<double>() / largest,
              element() == Element::kBf16 ? 1.0 / 64 : 1e-5)
        << what;
  }

  // Runs both with the input x, backward from the same random gradient, and compares the results
  // and the input's gradients.
  template <typename Own, typename Device>
  static void Compare(const at::Tensor& x, const Own& own, const Device& other) {
    const at::Tensor a = x.clone().requires_grad_(true);
    const at::Tensor b = x.to(device(), x.scalar_type(), false, true).requires_grad_(true);
    const at::Tensor wanted = own(a), got = other(b);
    EXPECT_EQ(got.scalar_type(), wanted.scalar_type());
    ExpectClose(got, wanted, "result");
    const at::Tensor d = Random(wanted.sizes(), 400).to(wanted.scalar_type());
    wanted.backward(d);
    got.backward(d.to(device()));
    ExpectClose(b.grad(), a.grad(), "input gradient");
    at::NoGradGuard no_grad;
    ExpectClose(other(x.to(device())), own(x.clone()), "result without gradient");
  }
  static void CompareGradients(const LinearPair& pair) {
    for (size_t i = 0; i < pair.own.parts.size(); ++i) {
      ExpectClose(pair.device.parts[i].grad(), pair.own.parts[i].grad(), "weight gradient");
    }
    for (size_t i = 0; i < pair.own.bias_parts.size(); ++i) {
      ExpectClose(pair.device.bias_parts[i].grad(), pair.own.bias_parts[i].grad(), "bias gradient");
    }
  }
};

TEST_P(DeviceOpsTest, Embed) {
  TablePair table = MakeTable({50, 16});
  const at::Tensor tokens = Ints(70, 50, 1);
  const at::Tensor wanted = Embed(tokens, table.own);
  const at::Tensor got = device::Embed(tokens.to(device()), table.device);
  ExpectClose(got, wanted, "result");
  wanted.backward(Random(wanted.sizes(), 2));
  got.backward(Random(wanted.sizes(), 2).to(device()));
  ExpectClose(table.device.leaf.grad(), table.own.leaf.grad(), "gradient");
}

TEST_P(DeviceOpsTest, RmsNorm) {
  TablePair table = MakeTable({48});
  Compare(
      Random({33, 48}, 1),
      [&](const at::Tensor& x) { return RmsNorm(x, table.own, 1e-5, element()); },
      [&](const at::Tensor& x) { return device::RmsNorm(x, table.device, 1e-5, element()); });
  ExpectClose(table.device.leaf.grad(), table.own.leaf.grad(), "weight gradient");
}

TEST_P(DeviceOpsTest, Linear) {
  for (bool bias : {false, true}) {
    LinearPair weight = MakeLinear({32, 16, 16}, 48, bias);
    Compare(
        Random({33, 48}, 1).to(type()), [&](const at::Tensor& x) { return Linear(x, weight.own); },
        [&](const at::Tensor& x) { return device::Linear(x, weight.device); });
    CompareGradients(weight);
  }
}

TEST_P(DeviceOpsTest, AddLinear) {
  LinearPair weight = MakeLinear({48}, 80, false);
  const at::Tensor residual = Random({33, 48}, 2);
  Compare(
      Random({33, 80}, 1).to(type()),
      [&](const at::Tensor& x) { return AddLinear(residual.clone(), x, weight.own); },
      [&](const at::Tensor& x) {
        return device::AddLinear(residual.to(device()), x, weight.device);
      });
  CompareGradients(weight);
}

TEST_P(DeviceOpsTest, HeadNorm) {
  TablePair query = MakeTable({16}), key = MakeTable({16});
  Compare(
      Random({33, 5 * 16}, 1).to(type()),
      [&](const at::Tensor& x) { return HeadNorm(x, query.own, key.own, 3, 1, 16, 1e-5); },
      [&](const at::Tensor& x) {
        return device::HeadNorm(x, query.device, key.device, 3, 1, 16, 1e-5);
      });
  ExpectClose(query.device.leaf.grad(), query.own.leaf.grad(), "query weight gradient");
  ExpectClose(key.device.leaf.grad(), key.own.leaf.grad(), "key weight gradient");
}

TEST_P(DeviceOpsTest, Rope) {
  const at::Tensor positions = Ints(33, 100, 2), frequency = Random({8}, 3);
  Compare(
      Random({33, 5 * 16}, 1).to(type()),
      [&](const at::Tensor& x) { return Rope(x, positions, 4, 16, frequency); },
      [&](const at::Tensor& x) {
        return device::Rope(x, positions.to(device()), 4, 16, frequency.to(device()));
      });
}

TEST_P(DeviceOpsTest, SwiGlu) {
  Compare(
      Random({33, 160}, 1).to(type()), [](const at::Tensor& x) { return SwiGlu(x); },
      [](const at::Tensor& x) { return device::SwiGlu(x); });
}

TEST_P(DeviceOpsTest, HeadLogProbOverSeveralChunks) {
  LinearPair head = MakeLinear({99}, 48, false);
  const at::Tensor targets = Ints(300, 99, 2);
  Compare(
      Random({300, 48}, 1).to(type()),
      [&](const at::Tensor& x) { return HeadLogProb(x, head.own, targets, 0.7); },
      [&](const at::Tensor& x) {
        return device::HeadLogProb(x, head.device, targets.to(device()), 0.7);
      });
  CompareGradients(head);
}

TEST_P(DeviceOpsTest, HeadLogits) {
  LinearPair head = MakeLinear({99}, 48, false);
  at::NoGradGuard no_grad;
  const at::Tensor x = Random({33, 48}, 1).to(type());
  const at::Tensor got = device::HeadLogits(x.to(device()), head.device);
  EXPECT_EQ(got.scalar_type(), at::kFloat);
  ExpectClose(got, HeadLogits(x, head.own), "logits");
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

TEST_P(DeviceOpsTest, PackedAttention) {
  const ModelConfig config = Heads(16);
  auto own = PackedAttention(config, {0, 70, 200});
  auto other = PackedAttention(config, {0, 70, 200}, GetParam().backend);
  Compare(
      Random({200, 10 * 16}, 1).to(type()), [&](const at::Tensor& x) { return own->Attend(0, x); },
      [&](const at::Tensor& x) { return other->Attend(0, x); });
}

TEST_P(DeviceOpsTest, PagedAttention) {
  at::NoGradGuard no_grad;
  for (int64_t dim : {16, 64, 128}) {
    const ModelConfig config = Heads(dim);
    auto own = KvPages::Make(config, element(), 1, 6, Backend::kOwn);
    auto other = KvPages::Make(config, element(), 1, 6, GetParam().backend);
    const std::vector<int64_t> a = {3, 1, 4}, b = {5, 0, 2};
    std::vector<KvRow> rows;
    for (int64_t t = 0; t < 150; ++t) rows.push_back({&a, t});
    for (int64_t t = 0; t < 70; ++t) rows.push_back({&b, t});
    const at::Tensor prefill = Random({220, 10 * dim}, 1).to(type());
    ExpectClose(other->Attend(0, rows, prefill.to(device())), own->Attend(0, rows, prefill),
                "prefill");
    const std::vector<KvRow> next = {{&a, 150}, {&b, 70}};
    const at::Tensor decode = Random({2, 10 * dim}, 2).to(type());
    ExpectClose(other->Attend(0, next, decode.to(device())), own->Attend(0, next, decode),
                "decode");
  }
}

INSTANTIATE_TEST_SUITE_P(Cpu, DeviceOpsTest,
                         testing::Values(Case{Backend::kAtenCpu, Element::kFp32},
                                         Case{Backend::kAtenCpu, Element::kBf16}));
INSTANTIATE_TEST_SUITE_P(Gpu, DeviceOpsTest,
                         testing::Values(Case{Backend::kCuda, Element::kFp32},
                                         Case{Backend::kCuda, Element::kBf16}));

}  // namespace
}  // namespace reckon
