#include "common/model/weights.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/mm.h>

#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/base/rng.h"
#include "common/model/files/manifest.h"
#include "common/model/kernels/dtype.h"
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

// Actors load the merged weights and must compute the learner's bits.
TEST_P(AdapterTest, ComputeTheBitsOfAModelOfTheMergedWeights) {
  auto model = Make(MakeRandomWeights(SmallConfig(), 1));
  model->AddAdapters(4, 8, 1);
  Move(*model);
  RandomWeights merged = MakeRandomWeights(SmallConfig(), 1);
  const NamedTensors tensors = model->MergedWeights();
  for (int i = 0; i < merged.manifest.tensors_size(); ++i) {
    const TensorEntry& entry = merged.manifest.tensors(i);
    ASSERT_EQ(tensors[i].first, entry.name());
    std::memcpy(merged.bytes.data() + entry.offset(), tensors[i].second.const_data_ptr(),
                tensors[i].second.nbytes());
  }
  at::NoGradGuard no_grad;
  EXPECT_TRUE(LogProbs(*Make(merged)).equal(LogProbs(*model)));
  // New adapters start from the merged old ones, rounded as a published version is.
  const at::Tensor before = LogProbs(*model);
  model->AddAdapters(2, 8, 1);
  EXPECT_TRUE(LogProbs(*model).equal(before));
}

TEST_P(AdapterTest, HaveTheGradientsThatFollowFromTheFullWeights) {
  auto adapted = Make(MakeRandomWeights(SmallConfig(), 1));
  adapted->AddAdapters(4, 10, 1);
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
  const double tolerance = GetParam().dtype == Dtype::kFp32 ? 1e-5 : 0.02;
  const NamedTensors parameters = adapted->Parameters();
  for (size_t i = 0; i < parameters.size(); i += 2) {
    const std::string& name = parameters[i].first;
    const at::Tensor g = whole.at(name.substr(0, name.find(".lora_A")) + ".weight");
    const at::Tensor a = parameters[i].second.detach(), b = parameters[i + 1].second.detach();
    const at::Tensor da = at::mm(b.t(), g).mul(10.0 / 4), db = at::mm(g, a.t()).mul(10.0 / 4);
    auto error = [](const at::Tensor& x, const at::Tensor& y) {
      return (x - y).norm().item<double>() / y.norm().item<double>();
    };
    EXPECT_LT(error(parameters[i].second.grad(), da), tolerance) << name;
    EXPECT_LT(error(parameters[i + 1].second.grad(), db), tolerance) << name;
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
