#ifndef RECKON_LEARNER_PUBLISH_VERSION_BUFFERS_H_
#define RECKON_LEARNER_PUBLISH_VERSION_BUFFERS_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "common/model/files/weight_bytes.h"

namespace reckon {

// The buffers that versions are packed into, in the form of a manifest or in that of the kernels. A
// version stays as it is while actors read it and the next one is packed into another buffer; a
// buffer that nobody reads any more is filled again, which saves the kernel the work of clearing
// new pages at every step. Two versions are served and one is packed, hence three, and one for a
// slow reader; of the kernels' form one is served. Owned by the Publisher; one thread.
class VersionBuffers {
 public:
  // Begun to be filled; the caller ends that. RESOURCE_EXHAUSTED: no memory.
  absl::StatusOr<std::shared_ptr<WeightBytes>> Take(uint64_t bytes);

 private:
  std::vector<std::shared_ptr<WeightBytes>> buffers_;
};

}  // namespace reckon

#endif  // RECKON_LEARNER_PUBLISH_VERSION_BUFFERS_H_
