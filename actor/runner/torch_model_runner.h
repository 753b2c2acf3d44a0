#ifndef RECKON_ACTOR_RUNNER_TORCH_MODEL_RUNNER_H_
#define RECKON_ACTOR_RUNNER_TORCH_MODEL_RUNNER_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "actor/runner/model_runner.h"
#include "common/model/backend.h"
#include "common/model/decode/step_device.h"
#include "common/model/files/model_folder.h"

namespace reckon {

struct TorchModelRunnerOptions {
  bool fp32 = false;  // arithmetic of matrix products; false: bf16
  // Memory for keys and values; 0: KvCache::DefaultBytes. A sample that needs more is refused by
  // the engine.
  int64_t kv_cache_bytes = 0;
  Backend backend = Backend::kCpuKernels;
  // What decode passes run on, ahead of their results (common/model/decode); null: the GPU, if that
  // is the backend, and otherwise every pass is finished before the next.
  std::shared_ptr<StepDevice> steps = nullptr;
  // Rows of a decode pass at most; 0: 64, and on a GPU as many as the cache has room for.
  int64_t max_batch = 0;
  // Draws may ask for the likeliest tokens (TokenDraw::ranked), which only the host's sampler
  // knows: no pass runs ahead.
  bool ranks = false;
};

// With max_batch 0 on a GPU: samples of so many tokens are as many as the cache has room for, but
// not more than this.
inline constexpr int64_t kDefaultSampleTokens = 512;
inline constexpr int64_t kMostDefaultBatch = 1024;

// Makes model runners from weight versions, with the transformer of common/model.
//
// All runners of a maker share one KV cache, because a cache for each version would multiply the
// largest block of memory. The maker and its runners own it together. Versions of one shape have
// the same, whatever else their config.json says: a sequence of one runner is one of all, and only
// one runner may run at a time. A version of another shape needs another cache, which is made only
// when the former is gone. Runners of adapters share the packed weights under them with one
// another, and with the runner of that version. Runners may outlive the maker. Not thread-safe.
class TorchModelRunnerMaker {
 public:
  explicit TorchModelRunnerMaker(TorchModelRunnerOptions options);
  ~TorchModelRunnerMaker();

  // Copies what it needs from `weights`, or shares weights.packed. No runner of another shape may
  // be left: ModelSet unloads them. INVALID_ARGUMENT: config or tensors do not fit.
  // RESOURCE_EXHAUSTED: out of memory; the maker can be used again. Errors of the runners' passes
  // have the same codes (common/model/torch_status.h).
  absl::StatusOr<std::unique_ptr<ModelRunner>> Make(const Weights& weights);
  // Of a device that is shared with a learner, whose turn it is not now: `left` are its
  // DeviceWeights, or empty. Until LeaveDevice, Make reads that version's weights where they are,
  // instead of loading it.
  void TakeDevice(const std::string& left);
  // Frees the cache, with the state of decode passes, and what LibTorch has kept of freed memory.
  // No runner may be left. The next Make makes a cache of the size that the device then has room
  // for.
  void LeaveDevice();

 private:
  struct SharedCache;
  const TorchModelRunnerOptions options_;
  std::unique_ptr<SharedCache> shared_;
};

}  // namespace reckon

#endif  // RECKON_ACTOR_RUNNER_TORCH_MODEL_RUNNER_H_
