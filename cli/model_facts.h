#ifndef RECKON_CLI_MODEL_FACTS_H_
#define RECKON_CLI_MODEL_FACTS_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "proto/config.pb.h"

namespace reckon {

// Sizes of a model, without its weights.
struct ModelFacts {
  int64_t parameters = 0;
  uint64_t weight_bytes = 0;
  int64_t layers = 0, hidden = 0, intermediate = 0, vocab = 0, kv_heads = 0, head_dim = 0;
  int64_t max_positions = 0;

  // Keys and values of one token, two bytes each.
  int64_t KvBytesPerToken() const { return 2 * layers * kv_heads * head_dim * 2; }
};

// Of model.path or of what the init stage will make. NOT_FOUND: the folder or one of its files is
// not there.
absl::StatusOr<ModelFacts> InspectModel(const RunConfig& config);

// How many problems the data has, all lines read. NOT_FOUND: a file is not there.
struct DataFacts {
  int64_t train = 0, eval = 0;
};
absl::StatusOr<DataFacts> InspectData(const RunConfig& config);

}  // namespace reckon

#endif  // RECKON_CLI_MODEL_FACTS_H_
