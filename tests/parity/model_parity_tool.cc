// Reads token ids from a file of int32 and writes, as raw fp32: the logits of every position, then
// the gradient of the mean log-probability of the next tokens with respect to a few parameters.
//
// Usage: reckon-model-parity MODEL TOKENS OUTPUT [PARAMETER...]
// With RECKON_WRITE_TO the model is also written there, as Reckon writes models.

#include <ATen/ops/empty.h>

#include <cstdlib>
#include <cstring>
#include <iostream>

#include "common/base/files.h"
#include "common/base/rng.h"
#include "common/model/files/model_folder.h"
#include "common/model/transformer.h"

namespace reckon {
namespace {

// With alpha 16, and a B that is not zero.
void AddMovedAdapters(Transformer& model, int64_t rank) {
  model.AddAdapters(rank, 16, 1);
  const CounterRng rng(1);
  uint64_t next = 0;
  for (auto& [name, parameter] : model.Parameters()) {
    at::Tensor values = parameter.detach();
    for (int64_t i = 0; i < values.numel(); ++i) {
      values.mutable_data_ptr<float>()[i] += static_cast<float>(0.1 * rng.Uniform(next++) - 0.05);
    }
  }
  model.Repack();
}

absl::Status Run(int argc, char** argv) {
  auto weights = ReadModelFolder(argv[1]);
  if (!weights.ok()) return weights.status();
  auto config = ModelConfig::Parse(weights->manifest.texts().config_json());
  if (!config.ok()) return config.status();
  auto model = std::make_unique<Transformer>(*config, Dtype::kFp32);
  absl::Status loaded = model->Load(weights->manifest, weights->bytes->bytes(), true);
  if (!loaded.ok()) return loaded;
  const char* rank = std::getenv("RECKON_LORA_RANK");
  if (rank != nullptr) AddMovedAdapters(*model, std::atoi(rank));
  auto content = ReadFile(argv[2]);
  if (!content.ok()) return content.status();
  int64_t n = static_cast<int64_t>(content->size() / 4);
  at::Tensor tokens = at::empty({n}, at::kInt), positions = at::empty({n}, at::kInt);
  std::memcpy(tokens.mutable_data_ptr(), content->data(), n * 4);
  for (int64_t i = 0; i < n; ++i) positions.mutable_data_ptr<int32_t>()[i] = static_cast<int>(i);
  auto attention = PackedAttention(*config, {0, n});
  at::Tensor hidden = model->Forward(tokens, positions, *attention);
  model->LogProb(hidden.narrow(0, 0, n - 1), tokens.narrow(0, 1, n - 1), 1.0).mean().backward();
  if (const char* folder = std::getenv("RECKON_WRITE_TO"); folder != nullptr) {
    absl::Status written =
        WriteModelFolder(folder, weights->manifest, weights->bytes->bytes(), weights->side_files);
    if (!written.ok()) return written;
  }
  std::string out;
  auto add = [&](const at::Tensor& x) {
    at::Tensor flat = x.detach().contiguous();
    out.append(static_cast<const char*>(flat.const_data_ptr()), flat.nbytes());
  };
  add(model->Logits(hidden.detach()));
  for (int i = 4; i < argc; ++i) {
    for (auto& [name, parameter] : model->Parameters()) {
      if (name != argv[i]) continue;
      if (rank != nullptr) add(parameter);
      add(parameter.grad());
    }
  }
  return WriteFileAtomically(argv[3], out);
}

}  // namespace
}  // namespace reckon

int main(int argc, char** argv) {
  if (argc < 4) {
    std::cerr << "usage: reckon-model-parity MODEL TOKENS OUTPUT [PARAMETER...]\n"
                 "RECKON_LORA_RANK: with adapters, whose values come before their gradients\n";
    return 2;
  }
  absl::Status status = reckon::Run(argc, argv);
  if (!status.ok()) std::cerr << status << "\n";
  return status.ok() ? 0 : 1;
}
