// Decode and training speed of a model folder, the kernels alone: prints one JSON object.
//
// Usage: reckon-model-bench MODEL [SEQUENCES PROMPT NEW TRAIN_SEQUENCES TRAIN_TOKENS]

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <sys/resource.h>

#include <iostream>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/memory.h"
#include "common/base/rng.h"
#include "common/model/kv_cache.h"
#include "common/model/sampler.h"
#include "common/weights/model_folder.h"

namespace reckon {
namespace {

at::Tensor Tokens(int64_t n, int64_t vocab, uint64_t seed) {
  at::Tensor out = at::empty({n}, at::kInt);
  CounterRng rng(seed);
  for (int64_t i = 0; i < n; ++i) {
    out.mutable_data_ptr<int32_t>()[i] = static_cast<int32_t>(rng.Below(vocab, i));
  }
  return out;
}

at::Tensor Positions(int64_t sequences, int64_t n, int64_t first) {
  at::Tensor out = at::empty({sequences * n}, at::kInt);
  for (int64_t i = 0; i < sequences * n; ++i) {
    out.mutable_data_ptr<int32_t>()[i] = static_cast<int32_t>(first + i % n);
  }
  return out;
}

std::unique_ptr<Transformer> Load(const Weights& weights, bool trainable) {
  auto config = ModelConfig::Parse(weights.manifest.config_json()).value();
  auto model = Transformer::Create(config, Compute::kBf16).value();
  absl::Status loaded = model->Load(weights.manifest, weights.bytes->bytes(), trainable);
  if (!loaded.ok()) std::cerr << loaded << "\n";
  return model;
}

double Decode(const Weights& weights, int64_t sequences, int64_t prompt, int64_t fresh) {
  at::NoGradGuard no_grad;
  auto model = Load(weights, false);
  auto cache = KvCache::Create(model->config(), Compute::kBf16, int64_t{2} << 30);
  absl::Time begin = absl::Now();
  std::vector<KvCache::SequenceId> ids;
  std::vector<int32_t> tokens(sequences);
  for (int64_t s = 0; s < sequences; ++s) {
    ids.push_back(cache->Add(prompt + fresh).value());
    auto step = cache->Step(std::vector<KvCache::SequenceId>(prompt, ids.back()));
    at::Tensor hidden = model->Forward(Tokens(prompt, model->config().vocab_size, s),
                                       Positions(1, prompt, 0), *step);
    SampleRow row{.uniform = 0.5};
    tokens[s] =
        static_cast<int32_t>(Sample(*model, hidden.narrow(0, prompt - 1, 1), {&row, 1})[0].token);
  }
  CounterRng rng(1);
  for (int64_t t = 1; t < fresh; ++t) {
    at::Tensor step_tokens = at::empty({sequences}, at::kInt);
    at::Tensor positions = at::empty({sequences}, at::kInt);
    std::vector<SampleRow> rows(sequences);
    for (int64_t s = 0; s < sequences; ++s) {
      step_tokens.mutable_data_ptr<int32_t>()[s] = tokens[s];
      positions.mutable_data_ptr<int32_t>()[s] = static_cast<int32_t>(prompt + t - 1);
      rows[s].uniform = rng.Uniform(t, s);
    }
    auto step = cache->Step(ids);
    auto sampled = Sample(*model, model->Forward(step_tokens, positions, *step), rows);
    for (int64_t s = 0; s < sequences; ++s) tokens[s] = static_cast<int32_t>(sampled[s].token);
  }
  return static_cast<double>(sequences * fresh) / absl::ToDoubleSeconds(absl::Now() - begin);
}

double Train(const Weights& weights, int64_t sequences, int64_t length) {
  auto model = Load(weights, true);
  std::vector<int64_t> starts;
  for (int64_t s = 0; s <= sequences; ++s) starts.push_back(s * length);
  at::Tensor tokens = Tokens(sequences * length, model->config().vocab_size, 3);
  double best = 0;
  for (int i = 0; i < 2; ++i) {
    absl::Time begin = absl::Now();
    auto attention = PackedAttention(model->config(), starts);
    at::Tensor hidden = model->Forward(tokens, Positions(sequences, length, 0), *attention);
    model->LogProb(hidden, tokens, 1.0).mean().backward();
    model->Repack();
    double seconds = absl::ToDoubleSeconds(absl::Now() - begin);
    best = std::max(best, static_cast<double>(sequences * length) / seconds);
  }
  return best;
}

}  // namespace
}  // namespace reckon

int main(int argc, char** argv) {
  reckon::KeepFreedMemory();
  at::set_num_threads(1);  // OpenMP's threads spin; the kernels have their own
  if (argc < 2) {
    std::cerr
        << "usage: reckon-model-bench MODEL [SEQUENCES PROMPT NEW TRAIN_SEQUENCES TRAIN_TOKENS]\n";
    return 2;
  }
  auto number = [&](int i, int64_t otherwise) {
    return argc > i ? std::atoll(argv[i]) : otherwise;
  };
  auto weights = reckon::ReadModelFolder(argv[1]);
  if (!weights.ok()) {
    std::cerr << weights.status() << "\n";
    return 1;
  }
  double decode = reckon::Decode(*weights, number(2, 64), number(3, 71), number(4, 64));
  double train = reckon::Train(*weights, number(5, 8), number(6, 200));
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  std::cout << absl::StrCat("{\"generate_tokens_per_s\": ", decode,
                            ", \"train_tokens_per_s\": ", train,
                            ", \"peak_memory_mib\": ", usage.ru_maxrss / 1024, "}\n");
}
