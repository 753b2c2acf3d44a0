#include "common/model/weights.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/mm.h>

#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/base/rng.h"
#include "common/model/files/manifest.h"
#include "common/model/kernels/dtype.h"
#include "common/model/shared_bytes.h"
#include "common/model/transformer.h"
#include "gtest/gtest.h"
#include "tests/support/random_weights.h"
#include "tests/support/test_tensors.h"

namespace reckon {
namespace {

// The same numbers in F16 and in F32 are the same model, in either arithmetic and on either path.
TEST(LoadTest, F16IsReadExactly) {
  RandomWeights wide = MakeRandomWeights(SmallConfig(), 3), half;
  half.manifest = wide.manifest;
  for (TensorEntry& tensor : *half.manifest.mutable_tensors()) tensor.set_dtype("F16");
  ASSERT_TRUE(LayOut(&half.manifest).ok());
  half.bytes.resize(half.manifest.total_bytes());
  for (size_t i = 0; i < half.bytes.size() / 2; ++i) {
    float value;
    std::memcpy(&value, wide.bytes.data() + 4 * i, 4);
    const uint16_t word = ToF16(value);
    value = FromF16(word);
    std::memcpy(wide.bytes.data() + 4 * i, &value, 4);
    std::memcpy(half.bytes.data() + 2 * i, &word, 2);
  }
  for (const Dtype dtype : {Dtype::kFp32, Dtype::kBf16}) {
    for (const bool trainable : {false, true}) {
      at::Tensor results[2];
      for (const bool is_half : {false, true}) {
        const RandomWeights& weights = is_half ? half : wide;
        Transformer model(SmallConfig(), dtype);
        const absl::Status loaded = model.Load(weights.manifest, weights.bytes, trainable);
        ASSERT_TRUE(loaded.ok()) << loaded;
        at::NoGradGuard no_grad;
        auto attention = PackedAttention(model.config(), {0, 60});
        const at::Tensor rows = Ints(Positions(0, 60));
        results[is_half] = model.Logits(model.Forward(rows, rows, *attention));
      }
      EXPECT_TRUE(results[0].equal(results[1]));
    }
  }
}

// Load reads the caller's bytes in place, which may be another process's memory, and keeps none.
TEST(LoadTest, NothingRefersToTheBytesAfterwards) {
  for (const Dtype dtype : {Dtype::kFp32, Dtype::kBf16}) {
    for (const bool trainable : {false, true}) {
      RandomWeights weights = MakeRandomWeights(SmallConfig(), 3);
      if (dtype == Dtype::kBf16) {  // as a version of a bf16 model is
        RandomWeights half;
        half.manifest = weights.manifest;
        for (TensorEntry& tensor : *half.manifest.mutable_tensors()) tensor.set_dtype("BF16");
        ASSERT_TRUE(LayOut(&half.manifest).ok());
        half.bytes.resize(half.manifest.total_bytes());
        ToBf16(reinterpret_cast<const float*>(weights.bytes.data()),
               static_cast<int64_t>(half.bytes.size() / 2),
               reinterpret_cast<uint16_t*>(half.bytes.data()));
        weights = half;
      }
      Transformer model(SmallConfig(), dtype);
      ASSERT_TRUE(model.Load(weights.manifest, weights.bytes, trainable).ok());
      at::NoGradGuard no_grad;
      const at::Tensor rows = Ints(Positions(0, 60));
      const auto logits = [&] {
        auto attention = PackedAttention(model.config(), {0, 60});
        return model.Logits(model.Forward(rows, rows, *attention));
      };
      const at::Tensor before = logits();
      std::memset(weights.bytes.data(), 0x7f, weights.bytes.size());
      if (trainable) model.Repack();
      EXPECT_TRUE(logits().equal(before)) << trainable;
    }
  }
}

// A learner's model packs where another process can map it, and an actor's computes from that.
TEST(AdoptTest, GivesTheBitsOfAVersionThatWasLoaded) {
  std::vector<ModelConfig> configs(3, SmallConfig());
  configs[1].qkv_bias = configs[1].output_bias = configs[1].mlp_bias = true;
  configs[2].qk_norm = true;
  configs[2].tie_word_embeddings = !configs[2].tie_word_embeddings;
  for (const ModelConfig& config : configs) {
    for (const Dtype dtype : {Dtype::kFp32, Dtype::kBf16}) {
      const RandomWeights weights = MakeRandomWeights(config, 3);
      std::vector<std::shared_ptr<WeightBytes>> packed;
      Transformer learner(config, dtype);
      learner.PackInto([&](int64_t bytes) {
        return TensorOver(packed.emplace_back(*WeightBytes::Shared(static_cast<uint64_t>(bytes))));
      });
      ASSERT_TRUE(learner.Load(weights.manifest, weights.bytes, /*trainable=*/true).ok());
      ASSERT_EQ(packed.size(), 1u);
      at::NoGradGuard no_grad;
      const at::Tensor rows = Ints(Positions(0, 60));
      const auto logits = [&](Transformer& model) {
        auto attention = PackedAttention(model.config(), {0, 60});
        return model.Logits(model.Forward(rows, rows, *attention));
      };
      const auto adopted = [&](const std::shared_ptr<WeightBytes>& memory) {
        memory->EndFill();
        auto mapped = WeightBytes::Map(memory->where(), memory->bytes().size());
        EXPECT_TRUE(mapped.ok()) << mapped.status();
        auto model = std::make_unique<Transformer>(config, dtype);
        EXPECT_TRUE(model->Adopt(TensorOver(*mapped)).ok());
        EXPECT_GT(model->weights().generation(), 0);
        return model;
      };
      Transformer loaded(config, dtype);
      ASSERT_TRUE(loaded.Load(weights.manifest, weights.bytes, /*trainable=*/false).ok());
      const at::Tensor first = logits(loaded);
      EXPECT_TRUE(logits(learner).equal(first));
      const auto actor = adopted(packed[0]);
      EXPECT_TRUE(logits(*actor).equal(first));
      for (auto& [name, parameter] : learner.Parameters()) parameter.mul_(1.25);
      learner.Repack();
      ASSERT_EQ(packed.size(), 2u);
      EXPECT_TRUE(logits(*actor).equal(first)) << "its version is as it was";
      EXPECT_FALSE(packed[0]->BeginFill()) << "it is read";
      const at::Tensor second = logits(learner);
      EXPECT_FALSE(second.equal(first));
      EXPECT_TRUE(logits(*adopted(packed[1])).equal(second));
      const auto other = *WeightBytes::OfSize(packed[0]->bytes().size() + 64);
      EXPECT_EQ(actor->Adopt(TensorOver(other)).code(), absl::StatusCode::kInvalidArgument);
      ASSERT_TRUE(learner.Load(weights.manifest, weights.bytes, /*trainable=*/false).ok());
      EXPECT_EQ(packed.size(), 2u) << "what is frozen is nobody else's";
    }
  }
}

struct AdapterCase {
  std::string name;
  Dtype dtype;
  Backend backend;
};

class AdapterTest : public testing::TestWithParam<AdapterCase> {
 protected:
  std::unique_ptr<Transformer> Make(const RandomWeights& weights) {
    auto model = std::make_unique<Transformer>(SmallConfig(), GetParam().dtype, GetParam().backend);
    EXPECT_TRUE(model->Load(weights.manifest, weights.bytes, /*trainable=*/true).ok());
    return model;
  }
  at::Tensor LogProbs(Transformer& model) {
    auto attention = PackedAttention(model.config(), {0, 60}, model.backend());
    const at::Tensor rows = Ints(Positions(0, 60));
    return model.LogProb(model.Forward(rows, rows, *attention), rows, 1.0);
  }
  // A version of these tensors, in the model's type.
  RandomWeights Version(const NamedTensors& tensors) {
    RandomWeights out;
    for (const auto& [name, values] : tensors) {
      TensorEntry& entry = *out.manifest.add_tensors();
      entry.set_name(name);
      entry.set_dtype(GetParam().dtype == Dtype::kFp32 ? "F32" : "BF16");
      entry.mutable_shape()->Assign(values.sizes().begin(), values.sizes().end());
      entry.set_offset(out.bytes.size());
      const at::Tensor rounded = values.to(ScalarTypeOf(GetParam().dtype)).contiguous();
      const auto* from = static_cast<const char*>(rounded.const_data_ptr());
      out.bytes.insert(out.bytes.end(), from, from + rounded.nbytes());
    }
    return out;
  }
  // As after a few optimizer steps: B is no longer zero.
  void Move(Transformer& model) {
    at::NoGradGuard no_grad;
    CounterRng rng(5);
    uint64_t next = 0;
    for (auto& [name, parameter] : model.Parameters()) {
      auto* values = parameter.mutable_data_ptr<float>();
      for (int64_t i = 0; i < parameter.numel(); ++i) {
        values[i] += static_cast<float>(0.4 * rng.Uniform(next++) - 0.2);
      }
    }
    model.Repack();
  }
};

TEST_P(AdapterTest, ChangeNothingAtFirst) {
  const RandomWeights weights = MakeRandomWeights(SmallConfig(), 1);
  auto plain = Make(weights), adapted = Make(weights);
  adapted->AddAdapters(4, 8, 1);
  at::NoGradGuard no_grad;
  EXPECT_TRUE(LogProbs(*plain).equal(LogProbs(*adapted)));
  EXPECT_EQ(adapted->Parameters().size(), 2u * 7 * 2);
  EXPECT_EQ(adapted->Parameters()[0].first, "model.layers.0.self_attn.q_proj.lora_A.weight");
  EXPECT_EQ(adapted->Parameters()[1].first, "model.layers.0.self_attn.q_proj.lora_B.weight");
}

TEST_P(AdapterTest, LoadedWithTheWeightsAreThoseThatAreAddedLater) {
  RandomWeights weights = MakeRandomWeights(SmallConfig(), 1);
  auto added = Make(weights);
  added->AddAdapters(4, 8, 1);
  auto loaded = std::make_unique<Transformer>(SmallConfig(), GetParam().dtype, GetParam().backend);
  ASSERT_TRUE(loaded->LoadUnderAdapters(weights.manifest, weights.bytes, 4, 8, 1).ok());
  std::memset(weights.bytes.data(), 0x7f, weights.bytes.size());  // they may go
  Move(*added);
  Move(*loaded);
  const NamedTensors merged = added->MergedWeights(), other = loaded->MergedWeights();
  ASSERT_EQ(merged.size(), other.size());
  for (size_t i = 0; i < merged.size(); ++i) {
    EXPECT_EQ(merged[i].first, other[i].first);
    EXPECT_TRUE(merged[i].second.equal(other[i].second)) << merged[i].first;
  }
  const at::Tensor first = LogProbs(*added), second = LogProbs(*loaded);
  EXPECT_TRUE(first.equal(second));
  first.mean().backward();
  second.mean().backward();
  const NamedTensors a = added->Parameters(), b = loaded->Parameters();
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_TRUE(a[i].second.grad().equal(b[i].second.grad())) << a[i].first;
  }
}

TEST_P(AdapterTest, SwitchedOffLeaveTheModelThatTheyWereAddedTo) {
  auto model = Make(MakeRandomWeights(SmallConfig(), 1));
  model->AddAdapters(4, 8, 1);
  at::NoGradGuard no_grad;
  const at::Tensor before = LogProbs(*model);
  Move(*model);
  const at::Tensor moved = LogProbs(*model);
  EXPECT_FALSE(moved.equal(before));
  model->SwitchAdapters(false);
  EXPECT_TRUE(LogProbs(*model).equal(before));
  model->SwitchAdapters(true);
  EXPECT_TRUE(LogProbs(*model).equal(moved));
}

// An actor is sent the adapters alone, has the weights under them packed once, and must compute the
// learner's bits. A rank that is odd is padded.
TEST_P(AdapterTest, ComputeTheSameBitsInAnActorThatHasTheBase) {
  for (const int64_t rank : {4, 3}) {
    const RandomWeights weights = MakeRandomWeights(SmallConfig(), 1);
    auto model = Make(weights), base = Make(weights);
    model->AddAdapters(rank, 8, 1);
    Move(*model);
    Transformer actor(SmallConfig(), GetParam().dtype, GetParam().backend);
    {
      RandomWeights version = Version(model->ScaledAdapters());
      const absl::Status loaded = actor.LoadAdapters(*base, version.manifest, version.bytes);
      ASSERT_TRUE(loaded.ok()) << loaded;
      version.bytes.assign(version.bytes.size(), 0);  // the buffer may be used again
    }
    at::NoGradGuard no_grad;
    EXPECT_TRUE(LogProbs(actor).equal(LogProbs(*model))) << rank;
    EXPECT_FALSE(LogProbs(actor).equal(LogProbs(*base))) << rank;
  }
}

TEST_P(AdapterTest, OfAnActorThatDoNotFitAreNamed) {
  const RandomWeights weights = MakeRandomWeights(SmallConfig(), 1);
  auto model = Make(weights), base = Make(weights);
  model->AddAdapters(4, 8, 1);
  Transformer actor(SmallConfig(), GetParam().dtype, GetParam().backend);
  RandomWeights version = Version(model->ScaledAdapters());
  WeightManifest missing = version.manifest;
  missing.mutable_tensors()->RemoveLast();
  EXPECT_EQ(actor.LoadAdapters(*base, missing, version.bytes).message(),
            "weights: missing model.layers.1.mlp.down_proj.lora_B.weight");
  WeightManifest shape = version.manifest;
  shape.mutable_tensors(2)->set_shape(0, 3);
  EXPECT_NE(std::string(actor.LoadAdapters(*base, shape, version.bytes).message()).find("k_proj"),
            std::string::npos);
  EXPECT_EQ(actor.LoadAdapters(*base, WeightManifest(), {}).code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_FALSE(actor.LoadAdapters(*base, weights.manifest, weights.bytes).ok());
}

// To rounding; the merged weights are what is exported.
TEST_P(AdapterTest, ComputeWhatTheMergedWeightsCompute) {
  auto model = Make(MakeRandomWeights(SmallConfig(), 1));
  model->AddAdapters(4, 8, 1);
  Move(*model);
  at::NoGradGuard no_grad;
  const at::Tensor expected = LogProbs(*Make(Version(model->MergedWeights()))),
                   got = LogProbs(*model);
  const bool fp32 = GetParam().dtype == Dtype::kFp32;
  EXPECT_LT((got - expected).norm().item<double>() / expected.norm().item<double>(),
            fp32 ? 1e-5 : 1e-2);
}

// As a learner does that has left its device to an actor.
TEST_P(AdapterTest, AreMergedOnTheHostAsOnTheDevice) {
  auto model = Make(MakeRandomWeights(SmallConfig(), 1));
  model->AddAdapters(4, 8, 1);
  Move(*model);
  const NamedTensors here = model->MergedWeights(), host = model->MergedWeights(/*on_host=*/true);
  ASSERT_EQ(host.size(), here.size());
  for (size_t i = 0; i < host.size(); ++i) {
    EXPECT_EQ(host[i].first, here[i].first);
    EXPECT_TRUE(host[i].second.is_cpu());
    const at::Tensor expected = here[i].second.to(at::kCPU);
    EXPECT_TRUE(host[i].second.equal(expected)) << host[i].first;
  }
}

// A GPU has room for the frozen weights, and not for all of them in fp32.
TEST_P(AdapterTest, LeaveTheDeviceRoundedOnce) {
  const RandomWeights weights = MakeRandomWeights(SmallConfig(), 1);
  const at::ScalarType type = ScalarTypeOf(GetParam().dtype);
  auto model = Make(weights);
  std::map<std::string, at::Tensor> base, adapters;
  for (const auto& [name, tensor] : model->Parameters()) base[name] = tensor.detach().clone();
  model->AddAdapters(4, 10, 1);
  Move(*model);
  for (const auto& [name, tensor] : model->Parameters()) adapters[name] = tensor.detach();
  const NamedTensors merged = model->MergedWeights();
  ASSERT_EQ(merged.size(), base.size());
  const bool rounds = GetParam().backend != Backend::kCpuKernels;
  for (const auto& [name, tensor] : merged) {
    const std::string stem = name.substr(0, name.rfind(".weight"));
    at::Tensor sum = base.at(name).to(type).to(at::kFloat);
    const bool adapted = adapters.contains(stem + ".lora_A.weight");
    if (adapted) {
      sum = at::addmm(sum, adapters.at(stem + ".lora_B.weight").mul(10.0 / 4),
                      adapters.at(stem + ".lora_A.weight"));
    }
    EXPECT_EQ(tensor.scalar_type(), rounds || !adapted ? type : at::kFloat) << name;
    EXPECT_TRUE(rounds ? tensor.equal(sum.to(type))
                       : tensor.to(at::kFloat).allclose(sum, 1e-5, 1e-6))
        << name;
  }
}

// A rank that is odd is padded, with what changes nothing.
TEST_P(AdapterTest, HaveTheGradientsThatFollowFromTheFullWeights) {
  for (const int64_t rank : {4, 3}) {
    auto adapted = Make(MakeRandomWeights(SmallConfig(), 1));
    adapted->AddAdapters(rank, 10, 1);
    Move(*adapted);
    LogProbs(*adapted).mean().backward();
    // The merged weights, trained in full.
    auto full = Make(MakeRandomWeights(SmallConfig(), 1));
    {
      at::NoGradGuard no_grad;
      const NamedTensors merged = adapted->MergedWeights();
      NamedTensors parameters = full->Parameters();
      for (size_t i = 0; i < parameters.size(); ++i) parameters[i].second.copy_(merged[i].second);
      full->Repack();
    }
    LogProbs(*full).mean().backward();
    std::map<std::string, at::Tensor> whole;
    for (auto& [name, tensor] : full->Parameters()) whole[name] = tensor.grad();
    // In bf16 x A is rounded before it meets B.
    const double tolerance = GetParam().dtype == Dtype::kFp32 ? 1e-5 : 0.06;
    const NamedTensors parameters = adapted->Parameters();
    for (size_t i = 0; i < parameters.size(); i += 2) {
      const std::string& name = parameters[i].first;
      const at::Tensor g = whole.at(name.substr(0, name.find(".lora_A")) + ".weight");
      const at::Tensor a = parameters[i].second.detach(), b = parameters[i + 1].second.detach();
      const double scale = 10.0 / static_cast<double>(rank);
      const at::Tensor da = at::mm(b.t(), g).mul(scale), db = at::mm(g, a.t()).mul(scale);
      auto error = [](const at::Tensor& x, const at::Tensor& y) {
        return (x - y).norm().item<double>() / y.norm().item<double>();
      };
      EXPECT_LT(error(parameters[i].second.grad(), da), tolerance) << name;
      EXPECT_LT(error(parameters[i + 1].second.grad(), db), tolerance) << name;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, AdapterTest,
                         testing::Values(AdapterCase{"OwnFp32", Dtype::kFp32, Backend::kCpuKernels},
                                         AdapterCase{"OwnBf16", Dtype::kBf16, Backend::kCpuKernels},
                                         AdapterCase{"AtenFp32", Dtype::kFp32, Backend::kTorchCpu},
                                         AdapterCase{"AtenBf16", Dtype::kBf16, Backend::kTorchCpu}),
                         [](const testing::TestParamInfo<AdapterCase>& info) {
                           return info.param.name;
                         });

TEST(LoadTest, NamesWhatIsWrong) {
  RandomWeights weights = MakeRandomWeights(SmallConfig(), 1);
  TransformerWeights loaded(SmallConfig(), Dtype::kFp32, Backend::kCpuKernels);
  auto message = [&](WeightManifest manifest) {
    absl::Status status = loaded.Load(manifest, weights.bytes, false);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    return std::string(status.message());
  };
  WeightManifest missing = weights.manifest;
  missing.mutable_tensors()->RemoveLast();
  EXPECT_EQ(message(missing), "weights: missing model.norm.weight");
  WeightManifest extra = weights.manifest;
  extra.add_tensors()->set_name("x");
  EXPECT_EQ(message(extra), "weights: unexpected tensor x");
  WeightManifest shape = weights.manifest;
  shape.mutable_tensors(1)->set_shape(0, 47);
  EXPECT_NE(message(shape).find("has shape [47], config.json asks for [48]"), std::string::npos);
  WeightManifest twice = weights.manifest;
  *twice.add_tensors() = twice.tensors(0);
  EXPECT_EQ(message(twice), "weights: model.embed_tokens.weight given twice");
  WeightManifest beyond = weights.manifest;
  beyond.mutable_tensors(1)->set_offset(weights.bytes.size() - 4);
  EXPECT_NE(message(beyond).find("beyond the end"), std::string::npos);
}

TEST(LoadTest, AShapeLargerThanTheBufferAsksForNoMemory) {
  ModelConfig config = SmallConfig();
  config.vocab_size = config.hidden_size = 1 << 24;
  TransformerWeights weights(config, Dtype::kBf16, Backend::kCpuKernels);
  WeightManifest manifest;
  for (TensorEntry entry : config.Tensors()) {
    entry.set_dtype("BF16");
    *manifest.add_tensors() = entry;
  }
  absl::Status status = weights.Load(manifest, std::vector<char>(16), false);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
}

}  // namespace
}  // namespace reckon
