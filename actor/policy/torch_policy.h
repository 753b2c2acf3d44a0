#ifndef RECKON_ACTOR_POLICY_TORCH_POLICY_H_
#define RECKON_ACTOR_POLICY_TORCH_POLICY_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "actor/policy/policy.h"
#include "common/model/backend.h"
#include "common/weights/model_folder.h"

namespace reckon {

struct TorchPolicyOptions {
  bool fp32 = false;  // arithmetic of matrix products; else bf16
  int64_t kv_cache_bytes = int64_t{1} << 30;
  Backend backend = Backend::kOwn;
};

// Makes policies from weight versions. All of them share one KV cache while the config stays the
// same, which is why only one of them may hold sequences at a time. Used by one thread. LibTorch's
// exceptions become INTERNAL.
class TorchPolicyMaker {
 public:
  explicit TorchPolicyMaker(TorchPolicyOptions options);
  ~TorchPolicyMaker();

  // Copies what it needs of `weights`. INVALID_ARGUMENT: config or tensors do not fit.
  absl::StatusOr<std::unique_ptr<Policy>> Make(const Weights& weights);

 private:
  struct Shared;
  const TorchPolicyOptions options_;
  std::unique_ptr<Shared> shared_;
};

}  // namespace reckon

#endif  // RECKON_ACTOR_POLICY_TORCH_POLICY_H_
