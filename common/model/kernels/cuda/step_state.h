#ifndef RECKON_COMMON_MODEL_KERNELS_CUDA_STEP_STATE_H_
#define RECKON_COMMON_MODEL_KERNELS_CUDA_STEP_STATE_H_

#include <cuda_runtime_api.h>

#include <cstdint>

#include "common/model/kernels/cuda/draw_tokens.h"

namespace reckon {

// What the device keeps of one sequence between the steps that draw its tokens. Every step moves it
// on by one token, so the host sends it only when something else is to come.
struct DecodeSlot {
  uint64_t stream, place;  // of the next number: CounterRng(stream).Uniform(place)
  double top_p;
  float scale;  // these as in DeviceDraw
  uint32_t top_k;
  int32_t forced;    // after a step: -1
  int32_t token;     // what the next step feeds
  int32_t position;  // of that token in the sequence
  int32_t unused;
};

// The first kernel of a step: what the others read of each row. Device memory.
struct BeginStepArgs {
  const DecodeSlot* slots;
  const int32_t* slot_of;     // [rows]; below 0: the row is idle
  const int32_t* slot_pages;  // [slots, most_pages]
  const float* frequency;     // [half]
  float magnitude;
  int32_t* tokens;     // [rows]; 0 of idle rows
  int32_t* positions;  // [rows]; -1 of idle rows
  int32_t* pages_of;   // [rows, most_pages], as far as the row's position reaches
  float* table;        // [rows, 2 half]: Ops::RopeTable; not of idle rows
  DeviceDraw* draws;   // [rows]
  int64_t rows, most_pages, half;
};
cudaError_t LaunchBeginStep(const BeginStepArgs& args, cudaStream_t stream);

// The same table for rows whose positions are known; not of rows whose position is below 0.
struct RopeTableArgs {
  const int32_t* positions;  // [rows]
  const float* frequency;    // [half]
  float magnitude;
  float* table;  // [rows, 2 half]
  int64_t rows, half;
};
cudaError_t LaunchRopeTable(const RopeTableArgs& args, cudaStream_t stream);

// The last kernel: moves the slots of the rows on by what was drawn.
struct EndStepArgs {
  DecodeSlot* slots;
  const int32_t* slot_of;    // [rows]
  const DeviceToken* drawn;  // [rows]
  int64_t rows;
};
cudaError_t LaunchEndStep(const EndStepArgs& args, cudaStream_t stream);

}  // namespace reckon

#endif  // RECKON_COMMON_MODEL_KERNELS_CUDA_STEP_STATE_H_
