#ifndef RECKON_CLI_ESTIMATE_MODEL_SIZE_H_
#define RECKON_CLI_ESTIMATE_MODEL_SIZE_H_

#include <cstdint>

#include "common/model/config.h"
#include "proto/config.pb.h"

namespace reckon {

// What estimates know of a model.
struct ModelSize {
  ModelConfig shape;
  uint64_t weight_bytes = 0;  // of the weights in its folder, which are held and sent as version 0
};

// Elements of all tensors; of a layer; of the embedding, and so of the head.
double ParameterCount(const ModelConfig& model);
double LayerCount(const ModelConfig& model);
double TableCount(const ModelConfig& model);
// Elements of low-rank adapters on all its linear layers but the head.
double AdapterCount(const ModelConfig& model, double rank);

// What a stage trains, elements. Ranks that divide a model divide its weights and the critic's
// layers, and each has all of the adapters and heads.
struct TrainedElements {
  double weights = 0, adapters = 0;  // one of the two
  double critic_layers = 0;          // copies of the policy's top layers
  double head = 0;                   // the critic's or a reward model's
  double all() const { return weights + adapters + critic_layers + head; }
  double divided() const { return weights + critic_layers; }
  // Of a rank, where `ranks` divide a model.
  double held(double ranks) const { return divided() / ranks + adapters + head; }
};
TrainedElements TrainedBy(const Stage& stage, const ModelConfig& model);

// Bytes of an element of what matrix products are computed in, and of a version that is made of it.
double ComputeBytes(const RunConfig& config);
double VersionBytes(const RunConfig& config, const ModelConfig& model);

// Bytes of what forward passes of a whole model read: where embedding and head are tied, one table
// for the embedding, and the same packed as the head.
double ForwardBytes(const RunConfig& config, const ModelConfig& model);

}  // namespace reckon

#endif  // RECKON_CLI_ESTIMATE_MODEL_SIZE_H_
